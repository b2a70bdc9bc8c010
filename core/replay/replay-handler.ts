/**
 * A replay as planning sees it: a handler whose name is the replay's and which wants what its handler wants by the
 * configuration in force, and of that only what the replay was asked for. An expression of the handler that fails makes a
 * dead job as ever; one of the replay only chooses, and chooses nothing where it fails.
 */
import type { HandlerConfig } from '../config/config.ts'
import { compileFilter, type Filter, type FilterResult } from '../match/filter.ts'
import { compileHandler, type PlanHandler } from '../plan/plan-handler.ts'
import type { ReplayScope } from '../ports/replay-store.ts'
import { replayName } from './replay-name.ts'

const NO_MATCH: FilterResult = { kind: 'no-match' }
const MATCH: FilterResult = { kind: 'match' }

type Choice = Pick<ReplayScope, 'filter' | 'eventIds'>

export function compileReplay(
  handler: HandlerConfig,
  replay: Choice & Pick<ReplayScope, 'replayId'>,
): PlanHandler {
  const compiled = compileHandler(handler)
  const isChosen = compileChoice(replay)
  const filter: Filter = {
    evaluate: (context) => {
      if (!isChosen(context)) return NO_MATCH
      return compiled.filter === null ? MATCH : compiled.filter.evaluate(context)
    },
  }
  return { ...compiled, name: replayName(handler.name, replay.replayId), filter }
}

/** All that was asked for, whoever wants it. @throws as compileFilter */
export function chosenAlone(choice: Choice): PlanHandler {
  const isChosen = compileChoice(choice)
  const filter: Filter = { evaluate: (context) => (isChosen(context) ? MATCH : NO_MATCH) }
  return { name: 'chosen', attemptsMax: 1, events: [], filter }
}

/** Whether an event is one of those that were asked for. @throws as compileFilter */
function compileChoice({
  filter,
  eventIds,
}: Choice): (context: Parameters<Filter['evaluate']>[0]) => boolean {
  const ids = eventIds === null ? null : new Set(eventIds)
  const compiled = filter === null ? null : compileFilter(filter)
  return (context) =>
    (ids === null || ids.has(context.event.id)) &&
    (compiled === null || compiled.evaluate(context).kind === 'match')
}
