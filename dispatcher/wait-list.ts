/** What parts of the dispatcher wait for right now; one line of it stands in /health. */
export class WaitList {
  readonly #reasons = new Map<string, string>()

  /** True when the part did not wait before. */
  set(part: string, reason: string): boolean {
    const isNew = !this.#reasons.has(part)
    this.#reasons.set(part, reason)
    return isNew
  }

  clear(part: string): void {
    this.#reasons.delete(part)
  }

  /** The first reason, and how many parts wait besides it; null when all run. */
  text(): string | null {
    const [first] = this.#reasons
    if (first === undefined) return null
    const others = this.#reasons.size - 1
    return `${first[0]}: ${first[1]}${others === 0 ? '' : ` (and ${others} more)`}`
  }
}
