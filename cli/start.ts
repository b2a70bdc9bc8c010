/**
 * `hooktrail start` and each process alone: runs until SIGTERM or SIGINT, drains, and ends. A signal stops a start, too;
 * a later one forces. What fails on the way stops all that was started and is reported by its four parts.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { createLogger } from '../adapters/system/logger.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import { openContext } from './composition/context.ts'
import { probeListeners } from './composition/listeners.ts'
import { homeOf, loadConfig, overlayOption, type ConfigFlags } from './composition/load-config.ts'
import { hasServicesThread, runServices, type Running, type ServiceName } from './composition/run-services.ts'
import { startEcho } from './echo.ts'
import { prepareFirstStart, welcomeText } from './first-start.ts'
import { reportError } from './report-error.ts'
import { sayWhenRunning } from './running-line.ts'
import { addServeOptions, servedOf, type ServeFlags } from './serve-options.ts'
import { catchStop, type StopRequest } from './stop-request.ts'

const ALL: readonly ServiceName[] = ['ingress', 'dispatcher', 'archiver', 'api']
const EXIT_FAILED = 70
const STOPPED = 'hooktrail stops: a service could not go on'

export function startCommand(): Command {
  return processCommand('start', ALL, 'run ingress, dispatcher, archiver and api on one listener')
}

export function singleCommand(name: ServiceName): Command {
  const command = processCommand(name, [name], `run the ${name} alone, against the same stores`)
  return name === 'dispatcher' ? addServeOptions(command) : command
}

type StartFlags = ConfigFlags & ServeFlags

function processCommand(name: string, services: readonly ServiceName[], about: string): Command {
  return new Command(name)
    .description(about)
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addOption(overlayOption())
    .addHelpText(
      'after',
      `
Examples:
  hooktrail ${name}
  hooktrail ${name} -c /etc/hooktrail.yaml
  HOOKTRAIL_LOG=debug HOOKTRAIL_LOG_FORMAT=json HOOKTRAIL_HOME=/var/lib/hooktrail hooktrail ${name}

Exit codes: 0 stopped by a signal, 64 usage, 66 the archive or its key cannot be used, 69 a dependency or address is
            missing or refused, 70 a service failed, 78 configuration, 130 forced by a second signal`,
    )
    .action(async (flags: StartFlags) => {
      await run(flags, services)
    })
}

async function run(flags: StartFlags, services: readonly ServiceName[]): Promise<void> {
  const logger = createLogger()
  catchStrays(logger)
  using stop = catchStop()
  await using opened = new AsyncDisposableStack()
  const running = await unlessStopped(stop, logger, () => begin({ flags, services, logger, stop, opened }))
  if (running === null) return
  const reason = await Promise.race([stop.asked, running.failed.catch((error: unknown) => ({ error }))])
  if (typeof reason === 'object') logger.error({ err: reason.error }, STOPPED)
  else logger.info({ signal: reason }, 'hooktrail stops')
  await running.stop()
  if (typeof reason !== 'object') return
  // Behind the last line of the log, as where the start itself fails.
  process.exitCode = isHooktrailError(reason.error) ? reportError(reason.error) : EXIT_FAILED
}

interface Beginning {
  readonly flags: StartFlags
  readonly services: readonly ServiceName[]
  readonly logger: Logger
  readonly stop: StopRequest
  /** Gives everything back at the end, also of a start that failed. */
  readonly opened: AsyncDisposableStack
}

async function begin({ flags, services, logger, stop, opened }: Beginning): Promise<Running> {
  const { signal } = stop
  if (isFirstStart(flags) && services === ALL) await prepareFirstStart(flags.config)
  const { config, warnings } = loadConfig(flags)
  for (const warning of warnings) logger.warn({}, warning)
  const names = new Set(services)
  // One process for everything leaves no handler out; a dispatcher alone is one of several.
  const serves = services === ALL ? null : servedOf(config, flags)
  if (services !== ALL && config.database.url === null)
    throw new HooktrailError('DATABASE_URL_MISSING', { process: services.join() })
  const { connectionsMax: allMax } = config.database
  const connectionsMax = hasServicesThread(names) ? Math.floor(allMax / 2) : allMax
  const home = homeOf(process.env)
  const processId = randomUUID()
  const beforeDatabase = (): Promise<void> => probeListeners(config, names.has('ingress'))
  const context = opened.use(
    await openContext({ config, home, connectionsMax, processId, logger, signal, beforeDatabase }),
  )
  // Behind the context, which locks the home: a second start is told that one runs, not that a port is taken.
  const echo = services === ALL ? await startEcho(config, logger) : null
  if (echo !== null) opened.use(echo)
  const running = await runServices(context, { names, serves }, signal)
  const { webhooks, api } = running.addresses
  const fields = { webhooks, api, services, generation: context.config.generation }
  void sayWhenRunning({ services: running.services, fields, clock: context.clock, logger }, signal)
  if (echo !== null) process.stderr.write(welcomeText({ config, url: webhooks ?? api }))
  return running
}

function isFirstStart({ config, env }: ConfigFlags): boolean {
  return config === 'hooktrail.yaml' && env === undefined && !existsSync(config)
}

/** Null when a signal ended the start; what failed because of it is of interest to nobody but a debugger. */
async function unlessStopped<T>(
  stop: StopRequest,
  logger: Logger,
  start: () => Promise<T>,
): Promise<T | null> {
  try {
    return await start()
  } catch (error) {
    if (!stop.signal.aborted) throw error
    logger.debug({ err: error }, 'the start was interrupted')
    logger.info({}, 'hooktrail was stopped while it started')
    return null
  }
}

function catchStrays(logger: Logger): void {
  const end = (error: unknown): void => {
    logger.error({ err: error }, 'hooktrail stops: an error that nobody expected')
    process.exit(EXIT_FAILED)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
}
