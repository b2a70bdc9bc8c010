/** The four parts of an error's text. `what` is constant (it groups in logs and metrics); `read` is a page in docs/. */
export interface ErrorText {
  /** What happened. */
  readonly what: string
  /** What it means for events. */
  readonly events: string
  /** What to do: a command or a line of configuration. */
  readonly fix: string
  /** Where to read on. */
  readonly read: string
}
