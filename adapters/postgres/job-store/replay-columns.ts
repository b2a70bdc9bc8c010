/**
 * Select lists of `replays AS r`: what it is, how far it is, and what became of its jobs. The last are counted in indexes
 * that hold jobs of replays alone.
 */
export const SCOPE = `r.replay_id AS "replayId", r.handler, r.to_topic AS "toTopic", r.source, r.topic, r.filter, r.event_ids AS "eventIds"`

/** Offsets as text: JSON numbers would lose them. */
export const RANGES = `(SELECT coalesce(json_agg(json_build_object('topicId', topic_id, 'partition', partition_no,
                  'first', first_offset::text, 'next', next_offset::text, 'end', end_offset::text)
                  ORDER BY topic_id, partition_no), '[]') FROM replay_ranges g WHERE g.name = r.name) AS ranges`

const countOf = (kind: string): string => `'${kind}', coalesce(sum((counts->>'${kind}')::int8), 0)`
export const COUNTS = `(SELECT json_build_object(${['planned', 'filtered', 'duplicate', 'errors', 'skipped', 'lost'].map(countOf).join(', ')})
                   FROM replay_ranges g WHERE g.name = r.name) AS counts`

export const RESULT = `json_build_object(
    'delivered', (SELECT count(*) FROM jobs_done d
                   WHERE d.handler = r.name AND strpos(d.handler, '.') > 0 AND d.state = 'completed')
      + (SELECT coalesce(sum((counts->>'published')::int8), 0) FROM replay_ranges g WHERE g.name = r.name),
    'discarded', (SELECT count(*) FROM jobs_done d
                   WHERE d.handler = r.name AND strpos(d.handler, '.') > 0 AND d.state = 'discarded'),
    'dead', (SELECT count(*) FROM jobs_dead d WHERE d.handler = r.name AND strpos(d.handler, '.') > 0),
    'open', (SELECT count(*) FROM jobs j WHERE j.handler = r.name))`
