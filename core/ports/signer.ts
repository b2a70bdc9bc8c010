/**
 * Who signs for the archive: a key in this process, or a service that keeps it. A signer may be slow, silent or refuse; what
 * waits for it is the archiver alone, since nothing else is signed.
 */

export interface Signer {
  /** Of the key, inside notes. */
  readonly name: string
  /** What tells it from others of that name: the first 4 bytes of its hash. */
  readonly keyHash: Buffer
  /** Verifier key line: `name+hash+base64`. */
  readonly vkey: string
  /**
   * Ed25519 over exactly these bytes (RFC 8032, no prehash), within a deadline of its own. Asking again is harmless.
   * @throws ARCHIVE_SIGNER_FAILED
   */
  sign(message: Buffer): Promise<Buffer>
}

/** A key that may sign for an archive, with what its root says of it. */
export interface KeyCandidate {
  readonly signer: Signer
  /** Notes of the root that name this key; empty where the archive has none. */
  readonly delegations: readonly string[]
}

/** Where an archiver's keys are kept. */
export interface KeySource {
  /** The keys at hand: the one that signs, and the one that is to replace it where somebody asked for that. */
  read(): Promise<readonly KeyCandidate[]>
  /** This one is in force: from now on it is the one to begin with. Repeating it is harmless. */
  promote(vkey: string): Promise<void>
}
