/**
 * One table of sizes: `npm test` uses the small column, `npm run test:long` (HOOKTRAIL_TEST_LONG=1) the full one.
 * The same files and code paths run in both.
 */
const long = process.env['HOOKTRAIL_TEST_LONG'] === '1'

function size(ci: number, full: number): number {
  return long ? full : ci
}

export const scale = {
  /** Batches that each of several concurrent appenders writes to the log. */
  logBatches: size(40, 2_000),
  /** Times that the database of the log is killed while appends are under way. */
  logKills: size(2, 20),
  /** Single bytes that are changed anywhere below an archive of each format, each judged by both verifiers. */
  archiveFlips: size(20, 200),
  /** Segments of a synthetic archive: a year of one installation. */
  archiveSegments: size(20_000, 500_000),
  /** Rounds in which each crash point of the archiver has its turn; six are every store with one archiver and with three. */
  crashSeeds: size(1, 6),
  /** Times that an S3 server is killed while objects are created. */
  s3Kills: size(2, 20),
  /** Rounds of kill -9 over the whole process group and over the database alone. */
  killRounds: size(6, 20),
  /** Events sent in each of those rounds. */
  killEventsPerRound: size(300, 1500),
  /** How long a server stays away, at least: longer than every deadline that somebody waits for. */
  outageMs: size(5_000, 60_000),
  /** Events a second, about, while something is away. */
  outageEventsPerSecond: size(100, 400),
  /** Events that lie in Redis when it loses them, and that are sent to what has just started. */
  outageEvents: size(100, 2000),
  /** Times that the broker is stopped and killed while events are sent. */
  outageLogFaults: size(1, 5),
  /** Events that are sent while answers of Postgres and S3 are lost. */
  lostAnswersEvents: size(600, 20_000),
  /** Events behind handlers that do not work, a tenth of them for those that do. */
  isolationEvents: size(3_000, 200_000),
  /** Events that a handler has before it while its endpoint is away. */
  breakerBacklog: size(800, 300_000),
  /** Events through several of each process, of which one is killed and one added on the way. */
  processEvents: size(5_000, 50_000),
  /** Events that are replayed while the whole process group is killed. */
  replayEvents: size(1_000, 100_000),
  /** Steps of the random run of the job store. */
  jobSteps: size(500, 30_000),
  /** Real payloads of each provider that go through the whole pipeline. */
  e2eEventsMax: size(120, 100_000),
}
