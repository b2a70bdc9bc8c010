/** Colours for one of our own streams: on a terminal, unless NO_COLOR is set. Whatever else the environment says is of other programs. */
import { createColors } from 'picocolors'

export function colorsFor(stream: Pick<NodeJS.WriteStream, 'isTTY'>): ReturnType<typeof createColors> {
  // Undefined where the stream is a file or a pipe: the library would guess then.
  const isTerminal: unknown = stream.isTTY
  return createColors(isTerminal === true && (process.env['NO_COLOR'] ?? '') === '')
}
