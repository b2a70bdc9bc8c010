/** The first line of /health and `hooktrail status`, computed from what the processes know. Pure. */
export interface ServiceState {
  readonly name: string
  readonly waitingFor: string | null
}

export interface HealthFacts {
  readonly storeAnswers: boolean
  readonly services: readonly ServiceState[]
  readonly openJobs: readonly { handler: string; available: number; retryable: number }[]
  readonly halted: readonly { topic: string; partition: number; reason: string }[]
  readonly chainFault: string | null
  readonly archiveLagSeconds: number | null
}

export function verdictOf(facts: HealthFacts): string {
  const { storeAnswers, services, openJobs, halted, chainFault, archiveLagSeconds } = facts
  const waits = services.flatMap(({ name, waitingFor }) =>
    waitingFor === null ? [] : [`${name} waits: ${waitingFor}.`],
  )
  const retries = openJobs
    .filter(({ retryable }) => retryable > 0)
    .map(
      ({ handler, retryable }) =>
        `${handler}: ${retryable} ${retryable === 1 ? 'job waits' : 'jobs wait'} for a retry.`,
    )
  const halts = halted.map(
    ({ topic, partition, reason }) => `Archiving of ${topic}/${partition} is halted: ${reason}.`,
  )
  const troubles = [
    ...(storeAnswers ? [] : ['The database does not answer: events are answered 503 and sent again.']),
    ...(chainFault === null ? [] : [`The archive contradicts itself: ${chainFault}.`]),
    ...halts,
    ...waits,
    ...retries,
  ]
  const archive = archiveLagSeconds === null ? [] : [`Archive ${Math.round(archiveLagSeconds)} s behind.`]
  return [...(troubles.length === 0 ? ['All is well.'] : troubles), ...archive].join(' ')
}
