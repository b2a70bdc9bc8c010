/** Errors of the queue on Redis. */
import type { ErrorText } from './error-text.ts'

export const queueErrors = {
  QUEUE_UNAVAILABLE: {
    what: 'Redis does not answer',
    events:
      'events are accepted, stored and planned as ever; deliveries wait until it is back and then go on by themselves',
    fix: 'bring the Redis of queue.url back (with Sentinels or a Cluster: enough of them to agree on a master); nothing in it needs to be restored',
    read: 'docs/operations.md',
  },
  QUEUE_REFUSED: {
    what: 'Redis refuses this user, or a command that the queue needs',
    events: 'events are accepted and stored; nothing is delivered until Redis lets hooktrail in',
    fix: 'correct user and password in queue.url; the user needs all commands on keys below the prefix, and INFO',
    read: 'docs/config.md',
  },
  QUEUE_EVICTS: {
    what: 'Redis may evict keys: its maxmemory-policy is not noeviction',
    events:
      'events are accepted and stored; nothing is offered, since a queue that loses parts of itself stalls',
    fix: 'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
