/**
 * Part of the job store's port: what archivers say of their open segments, for whoever signs the next heartbeat. Best
 * effort: what is lost here is not signed early, and is signed with its segment all the same.
 */

export interface RunningRootStore {
  /** Replaces what this writer posted before. Nothing of it need survive a crash. */
  postRunningRoots(writer: string, note: Buffer): Promise<void>
  /** Of every writer that posted within the last minutes. */
  runningRoots(): Promise<readonly Buffer[]>
}
