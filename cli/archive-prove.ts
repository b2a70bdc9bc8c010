/**
 * `hooktrail archive prove`: the proof of one event as one file, and the check of such a file, which needs no archive and
 * no network.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { readPublicKeys } from '../adapters/system/key-files.ts'
import { findEvent, type FindRequest } from '../core/archive/index/find-event.ts'
import { checkProof, type ProvenEvent } from '../core/archive/proof/check-proof.ts'
import { parsePlace, placesOf } from '../core/archive/proof/event-place.ts'
import { makeProof, type EventPlace } from '../core/archive/proof/make-proof.ts'
import { parseProof, type Proof } from '../core/archive/proof/proof.ts'
import type { ArchiveSource } from '../core/archive/range/find-segment.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import { LOCATION_HELP, openSource } from './open-archive.ts'
import { openIndex, type IndexOptions } from './open-index.ts'

interface ProveOptions extends IndexOptions {
  readonly key: string
  readonly out?: string
  readonly check?: string
}

export function archiveProveCommand(): Command {
  const command = new Command('prove')
    .description('prove one event in one file, or check such a file')
    .argument('[location]', LOCATION_HELP)
    .argument('[event]', 'topic:partition:offset, or an event id')
    .requiredOption('--key <file>', 'public key that you were given (archive.pub)')
    .option('--out <file>', 'where the proof goes (default: stdout)')
    .option('--index <location>', 'the index for event ids (default: LOCATION-index)')
    .option('--check <file>', 'check this proof; no archive is read')
    .addHelpText('after', HELP)
  return command.action(
    async (location: string | undefined, event: string | undefined, options: ProveOptions) => {
      if (options.check !== undefined) {
        process.exitCode = await check(options.check, options)
      } else if (location === undefined || event === undefined) {
        command.error('error: name the archive and the event, or --check FILE')
      } else await prove(location, event, options)
    },
  )
}

async function prove(location: string, event: string, options: ProveOptions): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const source = await openSource(location, options.key, opened)
  const index = await openIndex(location, options, opened)
  const { signal } = new AbortController()
  const place = await placeOf({ source, index, event, signal })
  const proof = await makeProof(source, place, signal)
  const text = `${JSON.stringify(proof, null, 2)}\n`
  if (options.out === undefined) process.stdout.write(text)
  else await writeFile(options.out, text)
}

interface ProveRequest {
  readonly source: ArchiveSource
  readonly index: FindRequest['index']
  readonly event: string
  readonly signal: AbortSignal
}

/** Of records with one event id the first is the event, the others are its duplicates. */
async function placeOf({ source, index, event, signal }: ProveRequest): Promise<EventPlace> {
  const written = parsePlace(event)
  if (written === null) {
    const { rows } = await findEvent({ source, index, kind: 'event_id', value: event, signal })
    const [row] = rows
    if (row === undefined) throw unproven(event, 'neither index nor newest segments have this event')
    return { ...row.at, offset: row.record.offset }
  }
  const [place, ...others] = await placesOf(source, written)
  if (place === undefined) throw unproven(event, 'the archive does not hold this offset')
  if (others.length > 0) throw unproven(event, 'the topic was made anew: several events have this offset')
  return place
}

function unproven(event: string, reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_EVENT_UNPROVEN', { event, reason })
}

async function check(file: string, options: ProveOptions): Promise<number> {
  const keys = await readPublicKeys(options.key)
  const proof = await readProof(file)
  try {
    console.log(provenText(checkProof(proof, keys)))
    return 0
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    const { reason } = error.details
    console.log(`not proven: ${typeof reason === 'string' ? reason : error.code}`)
    return 1
  }
}

/** @throws ARCHIVE_PROOF_INVALID */
async function readProof(file: string): Promise<Proof> {
  try {
    return parseProof(await readFile(file, 'utf8'))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_PROOF_INVALID', { file }, error)
  }
}

function provenText({ at, record, manifest, heartbeat }: ProvenEvent): string {
  const id = record.headers.find(({ name }) => name === 'ce_id')?.value?.toString()
  return [
    `proven: ${id === undefined ? 'a record' : `event ${id}`} at ${at.topic}:${String(at.partition)}:${String(record.offset)}`,
    `archive ${manifest.archive_id}, in the log since ${new Date(Number(record.timestampMs)).toISOString()}`,
    `manifest of ${manifest.created_at}, heartbeat ${heartbeat.n} of ${heartbeat.created_at}, tree of ${heartbeat.tree_size}`,
  ].join('\n')
}

const HELP = `
Examples:
  hooktrail archive prove ./archive hooktrail.events.github:0:17 --key archive.pub --out proof.json
  hooktrail archive prove --check proof.json --key archive.pub

Exit codes: 0 proven, 1 the file proves nothing, 64 usage, 66 there is no such event, or something cannot be read`
