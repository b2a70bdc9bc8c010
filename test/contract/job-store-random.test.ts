/**
 * The job store and the decision on outcomes under random interleavings of everything that happens to jobs, held against
 * a model (test/support/job-model.ts): planning, takes, outcomes early, late and twice, expired leases, takes given back,
 * operators, restarts. `HOOKTRAIL_TEST_SEED` repeats a run; the seed is printed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import type { RetryConfig } from '../../core/config/config.ts'
import { decideOutcome, transformFailed, type Decision } from '../../core/delivery/decide-outcome.ts'
import { RETRY_AFTER_MS_MAX } from '../../core/delivery/retry-after.ts'
import type { TransportErrorClass } from '../../core/delivery/sender.ts'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { ModelJob } from '../support/job-model.ts'
import { claim, createJobStage, outcome, plan, retryOf, take, type JobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'

const AUDIT = { actor: 'test', action: 'test', target: 'x', reason: null, details: {} }
const ATTEMPTS_MAX = 3
const CHECK_EVERY = 20
const HELD_MAX = 40
/** Far longer than a run: time passes only where a step says so. */
const BASE_MS = 3_600_000
const LEASE_MS = 3_600_000
const OPEN_JOBS_MAX = 25
const JITTER = 0.2
const RETRY: RetryConfig = { attemptsMax: ATTEMPTS_MAX, backoff: { kind: 'fixed', intervalMs: BASE_MS } }
const CLASSES: readonly TransportErrorClass[] = ['timeout', 'connect', 'dns', 'tls', 'blocked', 'network']
const STATUSES = [200, 204, 302, 400, 408, 410, 429, 500, 503]
const SENT = {
  timings: { totalMs: 1, dnsMs: null, connectMs: null, tlsMs: null, firstByteMs: null },
  remoteAddress: null,
}

class Run {
  readonly #random: () => number
  readonly #stage: JobStage
  readonly #jobs = new Map<string, ModelJob>()
  /** Takes whose outcome may still come, of dead processes too. */
  #held: TakenJob[] = []
  #store: JobStore
  #isActive = true
  #offset = 0
  #took = 0

  constructor(stage: JobStage, random: () => number) {
    this.#stage = stage
    this.#store = stage.store
    this.#random = random
  }

  async step(): Promise<void> {
    const steps = [
      () => this.#plan(),
      () => this.#plan(),
      () => this.#take(),
      () => this.#take(),
      () => this.#take(),
      () => this.#end(),
      () => this.#end(),
      () => this.#end(),
      () => this.#end(),
      () => this.#giveBack(),
      () => this.#expire(),
      () => this.#passTime(),
      () => this.#passTime(),
      () => this.#settle(),
      () => this.#settle(),
      () => this.#setStatus(),
      () => this.#setStatus(),
      () => this.#restart(),
    ]
    await this.#pick(steps)?.()
  }

  async #plan(): Promise<void> {
    if (this.#where((job) => job.isOpen).length > OPEN_JOBS_MAX) return
    const claims = Array.from({ length: this.#below(4) + 1 }, () => claim(this.#offset++))
    const deadOffsets = claims.flatMap(({ offset }) => (this.#chance(0.1) ? [offset] : []))
    // Twice, as after a lost answer: the second must change nothing.
    for (let times = this.#chance(0.2) ? 2 : 1; times > 0; times--)
      await plan(this.#store, { claims, deadOffsets })
    for (const { eventId, offset } of claims) {
      const id = `${eventId}.billing`
      const state = deadOffsets.includes(offset) ? 'dead' : 'available'
      this.#jobs.set(id, new ModelJob(id, ATTEMPTS_MAX, state))
    }
  }

  async #take(): Promise<void> {
    const slots = this.#below(8) + 1
    const takable = this.#isActive ? this.#where((job) => job.isTakable) : []
    const taken = await take(this.#store, slots, LEASE_MS)
    assert.equal(taken.length, Math.min(slots, takable.length), 'a take gets what is due, and no more')
    for (const { jobId, lease, attempt, maxAttempts } of taken) {
      const job = this.#job(jobId)
      job.take(lease)
      assert.deepEqual([attempt, maxAttempts], [job.attempt, job.maxAttempts], jobId)
      assert.ok(attempt <= maxAttempts || job.isBlocked, `${jobId} keeps its budget`)
    }
    this.#took += taken.length
    this.#held = [...this.#held, ...taken].slice(-HELD_MAX)
  }

  async #end(): Promise<void> {
    const ending = new Map<string, TakenJob>()
    for (let n = this.#below(4); n >= 0; n--) {
      const job = this.#pick(this.#held)
      if (job !== undefined) ending.set(job.jobId, job)
    }
    const outcomes = [...ending.values()].map((job) => {
      const decision = this.#decide(job)
      return { ...outcome(job, decision.next), errorClass: decision.errorClass }
    })
    const before = await this.#nowMs()
    const late = await this.#store.recordOutcomes(outcomes)
    const after = await this.#nowMs()
    for (const { job, errorClass, next } of outcomes) {
      const model = this.#job(job.jobId)
      const known = model.attempts.length
      const moved = model.end(job.lease, { attempt: job.attempt, errorClass, next })
      assert.equal(
        late.has(job.jobId),
        !moved && model.attempts.length > known,
        'late is what came late, once',
      )
      if (!moved) continue
      if ('disableHandler' in next && next.disableHandler) this.#isActive = false
      if (next.state === 'retryable')
        await this.#checkDue(job.jobId, before + next.delayMs, after + next.delayMs)
      // Now and then it stays to be handed in again.
      if (this.#chance(0.8)) this.#held = this.#held.filter(({ lease }) => lease !== job.lease)
    }
  }

  #decide({ attempt, maxAttempts }: TakenJob): Decision {
    if (this.#chance(0.05)) return transformFailed('no result')
    const retryAfter = this.#chance(0.2) ? String(this.#below(200_000)) : null
    const result = this.#chance(0.7)
      ? {
          kind: 'response' as const,
          statusCode: this.#pick(STATUSES) ?? 200,
          retryAfter,
          body: null,
          ...SENT,
        }
      : { kind: 'failed' as const, errorClass: this.#pick(CLASSES) ?? 'network', detail: '', ...SENT }
    const context = { attempt, attemptsMax: maxAttempts, retry: RETRY, nowMs: 0, random: this.#random() }
    const decision = decideOutcome(result, context)
    const { next } = decision
    if (next.state === 'retryable') {
      assert.ok(attempt < maxAttempts || decision.errorClass === 'blocked', 'the last attempt is the last')
      assert.ok(next.delayMs >= BASE_MS * (1 - JITTER), 'not before the schedule')
      const asked = result.kind === 'response' && retryAfter !== null
      assert.ok(next.delayMs <= (asked ? RETRY_AFTER_MS_MAX : BASE_MS * (1 + JITTER)), 'and not long after')
    }
    assert.equal(next.state === 'completed', result.kind === 'response' && result.statusCode < 300)
    return decision
  }

  async #giveBack(): Promise<void> {
    const job = this.#pick(this.#held)
    if (job === undefined || this.#job(job.jobId).attempts.some((text) => text.startsWith(`${job.attempt} `)))
      return
    await this.#store.giveBack([
      { jobId: job.jobId, lease: job.lease, delayMs: 0, reason: 'lease_too_short' },
    ])
    const model = this.#job(job.jobId)
    if (model.lease === job.lease) model.isDue = true
    model.giveBack(job.lease)
    this.#held = this.#held.filter(({ lease }) => lease !== job.lease)
  }

  /** Processes die: their leases run out, and what they sent may still be told. */
  async #expire(): Promise<void> {
    const running = this.#where((job) => job.state === 'running' && this.#chance(0.5))
    const ids = running.map(({ id }) => id)
    const text = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE job_id = ANY ($1::text[])"
    await this.#stage.database.query(text, [ids])
    assert.equal(await this.#store.reapExpired(1_000), ids.length, 'what expired is reaped, and nothing else')
    for (const job of running) job.reap()
  }

  async #passTime(): Promise<void> {
    await this.#stage.database.query('UPDATE jobs SET due = least(due, now())')
    for (const job of this.#jobs.values()) job.isDue = true
  }

  async #settle(): Promise<void> {
    const job = this.#chance(0.7) ? this.#pick(this.#where(({ state }) => state === 'dead')) : this.#anyJob()
    if (job === undefined) return
    const isRetry = this.#chance(0.7)
    const budget = this.#below(3) + 1
    const action = isRetry ? retryOf(budget) : ({ kind: 'discard' } as const)
    const settled = await this.#store.settleDeadJob(job.id, action, AUDIT)
    assert.equal(settled, job.state === 'dead' ? 'settled' : 'not-dead', job.id)
    if (settled !== 'settled') return
    if (isRetry) job.retry(budget)
    else job.discard()
  }

  async #setStatus(): Promise<void> {
    this.#isActive = this.#chance(0.75)
    await this.#store.setHandlerStatus('billing', this.#isActive ? 'active' : 'paused', AUDIT)
  }

  /** Another process; what the last one holds it may still tell. */
  #restart(): Promise<void> {
    this.#store = createPostgresJobStore(this.#stage.database, { logger: silentLogger, queued: false })
    this.#held = this.#held.filter(() => this.#chance(0.5))
    return Promise.resolve()
  }

  async #checkDue(jobId: string, fromMs: number, toMs: number): Promise<void> {
    const [row] = await this.#stage.database.query<{ at: number }>(
      'SELECT (extract(epoch FROM due) * 1000)::float8 AS at FROM jobs WHERE job_id = $1',
      [jobId],
    )
    assert.ok(
      row !== undefined && row.at >= fromMs - 1 && row.at <= toMs + 1,
      `${jobId} is due when it was said`,
    )
  }

  async #nowMs(): Promise<number> {
    const [row] = await this.#stage.database.query<{ at: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at',
    )
    return row?.at ?? NaN
  }

  /** The store says of every job, and of every attempt, what the model says. */
  async check(): Promise<void> {
    const rows = await this.#stage.database.query<{ line: string }>(
      `SELECT concat_ws(' ', job_id, state, attempt, max_attempts) AS line FROM (
         SELECT job_id, state, attempt, max_attempts FROM jobs
         UNION ALL SELECT job_id, state, attempt, max_attempts FROM jobs_done
         UNION ALL SELECT job_id, 'dead', attempt, max_attempts FROM jobs_dead) AS job`,
    )
    const jobs = [...this.#jobs.values()]
    const expected = jobs.map(({ id, state, attempt, maxAttempts }) =>
      [id, state, attempt, maxAttempts].join(' '),
    )
    assert.deepEqual(rows.map(({ line }) => line).sort(), expected.sort())
    const attempts = await this.#stage.database.query<{ line: string }>(
      `SELECT concat_ws(' ', job_id, attempt, coalesce(error_class, '-'), late) AS line FROM attempts`,
    )
    const made = jobs.flatMap(({ id, attempts: texts }) => texts.map((text) => `${id} ${text}`))
    // concat_ws writes t and f.
    const told = attempts.map(({ line }) => line.replace(/ t$/, ' true').replace(/ f$/, ' false'))
    assert.deepEqual(told.sort(), made.sort())
  }

  summary(): string {
    const counts = new Map<string, number>()
    for (const { state } of this.#jobs.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
    const attempts = this.#where(() => true).reduce((sum, job) => sum + job.attempts.length, 0)
    const states = [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
    return `${this.#jobs.size} jobs: ${states}; ${this.#took} takes, ${attempts} attempts`
  }

  #where(test: (job: ModelJob) => boolean): readonly ModelJob[] {
    return [...this.#jobs.values()].filter(test)
  }

  #anyJob(): ModelJob | undefined {
    return this.#pick([...this.#jobs.values()])
  }

  #job(id: string): ModelJob {
    const job = this.#jobs.get(id)
    assert.ok(job !== undefined, `${id} was planned`)
    return job
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#below(items.length)]
  }
}

test('whatever happens in whatever order, jobs, attempts and budgets are what the model says', async (context) => {
  const given = process.env['HOOKTRAIL_TEST_SEED']
  const seed = given === undefined ? Date.now() % 1_000_000_007 : Number(given)
  context.diagnostic(`HOOKTRAIL_TEST_SEED=${seed}`)
  await using stage = await createJobStage()
  const run = new Run(stage, seededRandom(seed))
  for (let step = 1; step <= scale.jobSteps; step++) {
    try {
      await run.step()
      if (step % CHECK_EVERY === 0 || step === scale.jobSteps) await run.check()
    } catch (error) {
      throw new Error(`HOOKTRAIL_TEST_SEED=${seed}, step ${step}`, { cause: error })
    }
  }
  context.diagnostic(run.summary())
})
