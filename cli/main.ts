/**
 * The command line. One file a command, loaded when it is named and all of them for help: most commands need a tenth of
 * what the processes load. Errors end here, with their four parts.
 */
import { Command } from 'commander'
import { packageVersion } from '../adapters/system/package-root.ts'
import { reportError } from './report-error.ts'

const EXIT_USAGE = 64

/** In the order of the help text. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand(),
  ingress: async () => (await import('./start.ts')).singleCommand('ingress'),
  dispatcher: async () => (await import('./start.ts')).singleCommand('dispatcher'),
  archiver: async () => (await import('./start.ts')).singleCommand('archiver'),
  api: async () => (await import('./start.ts')).singleCommand('api'),
  init: async () => (await import('./init.ts')).initCommand(),
  validate: async () => (await import('./validate.ts')).validateCommand(),
  send: async () => (await import('./send.ts')).sendCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  events: async () => (await import('./events.ts')).eventsCommand(),
  jobs: async () => (await import('./jobs.ts')).jobsCommand(),
  handlers: async () => (await import('./handlers.ts')).handlersCommand(),
  replay: async () => (await import('./replay.ts')).replayCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  bench: async () => (await import('./bench.ts')).benchCommand(),
  move: async () => (await import('./move.ts')).moveCommand(),
  export: async () => (await import('./export-events.ts')).exportCommand(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  store: async () => (await import('./store.ts')).storeCommand(),
  archive: async () => (await import('./archive.ts')).archiveCommand(),
}

const program = new Command('hooktrail')
  .description(
    'Receives webhooks, keeps them in a durable log, delivers them with retries, archives them verifiably',
  )
  .version(packageVersion())
  // `replay` has options of its own and commands with the same ones.
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExamples:\n  hooktrail start\n  hooktrail status\n  hooktrail jobs list --status dead',
  )

for (const load of named(process.argv[2])) program.addCommand(await load())
exitWithUsage(program)
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportError(error)
}

function named(name: string | undefined): readonly (() => Promise<Command>)[] {
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  return command === undefined ? Object.values(COMMANDS) : [command]
}

/** What commander itself refuses is a fault of usage. */
function exitWithUsage(command: Command): void {
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE))
  for (const child of command.commands) exitWithUsage(child)
}
