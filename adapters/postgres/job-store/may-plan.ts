/** The store takes plan steps: it does not recover. A move stops it in the same way, but plans the rest of the log itself. */
export const MAY_PLAN = `(state = 'ok' OR EXISTS (SELECT FROM moves WHERE side = 'source' AND NOT is_whole))`
