/**
 * The name of a configuration in health, logs, evidence and attempts. Secrets, header values and queries count, too; the
 * digest key keeps anybody without it from guessing them. Processes with the same key and settings have the same one.
 */
import { canonicalJson } from '../archive/canonical-json.ts'
import { createDigestKey, keyedDigestBytes } from '../record/keyed-digest.ts'
import type { Settings } from './config.ts'

const GENERATION_CHARACTERS = 16

export function generationOf(settings: Settings, digestKey: string): string {
  // The key is the same wherever it stands; the redacted form, and a generation that is there already, follow from the rest.
  const text = canonicalJson({ ...settings, digestKey: null, redacted: null, generation: null })
  const digest = keyedDigestBytes(createDigestKey(digestKey), `hooktrail configuration\n${text}`)
  return digest.toString('hex').slice(0, GENERATION_CHARACTERS)
}
