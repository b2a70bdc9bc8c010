/** `hooktrail start` and each process alone: runs until SIGTERM or SIGINT, drains, and ends. A second signal forces. */
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import type { Config } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import { openContext } from './composition/context.ts'
import { homeOf, loadConfig } from './composition/load-config.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { runServices, type ServiceName } from './composition/run-services.ts'
import { startEcho } from './echo.ts'
import { prepareFirstStart, welcomeText, type FirstStart } from './first-start.ts'

const ALL: readonly ServiceName[] = ['ingress', 'dispatcher', 'archiver', 'api']
const EXIT_FAILED = 70
const EXIT_FORCED = 130

export function startCommand(): Command {
  return processCommand('start', ALL, 'run ingress, dispatcher, archiver and api on one listener')
}

export function singleCommands(): readonly Command[] {
  return ALL.map((name) => processCommand(name, [name], `run the ${name} alone, against the same stores`))
}

function processCommand(name: string, services: readonly ServiceName[], about: string): Command {
  return new Command(name)
    .description(about)
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addHelpText(
      'after',
      `\nExamples:\n  hooktrail ${name}\n  hooktrail ${name} -c /etc/hooktrail.yaml\n\nExit codes: 0 stopped by a signal, 69 a dependency or address is missing, 70 a service failed, 78 configuration`,
    )
    .action(async ({ config: file }: { config: string }) => {
      await run(file, services)
    })
}

async function run(file: string, services: readonly ServiceName[]): Promise<void> {
  const logger = createLogger()
  catchStrays(logger)
  const stopping = stopSignal()
  const isDefault = file === 'hooktrail.yaml' && services === ALL
  const first: FirstStart | null = isDefault && !existsSync(file) ? await prepareFirstStart(file) : null
  const { config, warnings } = loadConfig(file)
  for (const warning of warnings) logger.warn({}, warning)
  await using echo = await startEcho(config)
  await serve({ config, services, logger, stopping, echoes: echo !== null, first: first !== null })
}

interface Serving {
  readonly config: Config
  readonly services: readonly ServiceName[]
  readonly logger: Logger
  readonly stopping: Promise<string>
  readonly echoes: boolean
  readonly first: boolean
}

async function serve({ config, services, logger, stopping, echoes }: Serving): Promise<void> {
  const home = homeOf(process.env)
  await using context = await openContext({ config, home, logger })
  const running = await runServices(context, new Set(services))
  logger.info({ url: running.url, services, generation: config.generation }, 'hooktrail is running')
  if (echoes) process.stderr.write(welcomeText({ config, home: context.home, url: running.url }))
  const reason = await Promise.race([stopping, running.failed.catch((error: unknown) => ({ error }))])
  if (typeof reason === 'object') {
    logger.error({ err: reason.error }, 'hooktrail stops: a service could not go on')
    process.exitCode = EXIT_FAILED
  } else logger.info({ signal: reason }, 'hooktrail stops')
  await running.stop()
}

function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let asked = false
  const onSignal = (signal: string): void => {
    if (asked) process.exit(EXIT_FORCED)
    asked = true
    resolve(signal)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return promise
}

function catchStrays(logger: Logger): void {
  const end = (error: unknown): void => {
    logger.error({ err: error }, 'hooktrail stops: an error that nobody expected')
    process.exit(EXIT_FAILED)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
}
