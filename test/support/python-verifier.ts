/**
 * The independent verifier in Python: once as a process of its own, as an auditor starts it, or as one process that judges
 * archive after archive, since loading its packages takes longer than judging a small one. That one ends with the test file.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Python } from './services/python.ts'

export const VERIFIER = new URL('../../tools/hooktrail_verify.py', import.meta.url).pathname
const MANY = new URL('verify-many.py', import.meta.url).pathname
const PROCESS_MS_MAX = 240_000

export interface VerifierRun {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export function runVerifier(
  python: Python,
  given: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<VerifierRun> {
  const { promise, resolve } = Promise.withResolvers<VerifierRun>()
  // Isolated: no variable and no package of the caller decides.
  execFile(
    python.path,
    ['-I', VERIFIER, ...given],
    { env: { ...process.env, ...env }, timeout: PROCESS_MS_MAX, maxBuffer: 64 * 1024 * 1024 },
    (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr })
    },
  )
  return promise
}

type Runner = (given: readonly string[]) => Promise<VerifierRun>

const runners = new Map<string, Runner>()

/** The same by the process that stays. */
export function runVerifierAgain(python: Python, given: readonly string[]): Promise<VerifierRun> {
  const runner = runners.get(python.path) ?? startRunner(python)
  runners.set(python.path, runner)
  return runner(given)
}

/** Answers come in the order of the requests. While none is awaited the process keeps nobody alive, and ends by its empty input. */
function startRunner(python: Python): Runner {
  const child = spawn(python.path, ['-I', '-B', MANY, VERIFIER], { stdio: ['pipe', 'pipe', 'inherit'] })
  const awaited: PromiseWithResolvers<VerifierRun>[] = []
  const { stdin, stdout } = child
  assert(stdin instanceof Socket && stdout instanceof Socket)
  const rest = (): void => {
    child.unref()
    stdin.unref()
    stdout.unref()
  }
  createInterface({ input: stdout }).on('line', (line) => {
    awaited.shift()?.resolve(parseRun(line))
    if (awaited.length === 0) rest()
  })
  child.on('exit', () => {
    runners.delete(python.path)
    for (const each of awaited) each.reject(new Error('the verifier in Python ended before its answer'))
  })
  rest()
  return (given) => {
    const answer = Promise.withResolvers<VerifierRun>()
    awaited.push(answer)
    stdout.ref()
    stdin.write(`${JSON.stringify(given)}\n`)
    return answer.promise
  }
}

function parseRun(line: string): VerifierRun {
  return JSON.parse(line) as VerifierRun
}
