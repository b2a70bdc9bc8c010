/** The one table of tamperings of an archive in a folder. It runs on each format of data objects. */
import { END_TAMPERINGS } from './ends.ts'
import { NOTE_TAMPERINGS } from './notes.ts'
import { OBJECT_TAMPERINGS } from './objects.ts'
import { ROW_TAMPERINGS } from './rows.ts'
import type { Tampering } from './tampering.ts'

export const TAMPERINGS: readonly Tampering[] = [
  ...OBJECT_TAMPERINGS,
  ...ROW_TAMPERINGS,
  ...NOTE_TAMPERINGS,
  ...END_TAMPERINGS,
]
