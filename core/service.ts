/** What a process part looks like from outside: started by `start(config, deps)`, stopped by an AbortSignal. */
export interface Service extends AsyncDisposable {
  /** Settles when the service has ended: resolved after a stop, rejected with the reason when it could not go on. */
  readonly done: Promise<void>
  /** Stops and waits; double and early stops are fine. */
  stop(): Promise<void>
  /** One line for /health: what it waits for, or null when it runs. */
  waitingFor(): string | null
}
