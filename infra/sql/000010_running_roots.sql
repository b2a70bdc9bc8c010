-- What archivers say of their open segments: signed notes on their way into the next heartbeat. Nothing here is the only
-- copy of anything, so it is neither logged nor moved.

CREATE UNLOGGED TABLE running_roots (
  writer         text COLLATE "C" PRIMARY KEY,
  note           bytea NOT NULL,
  posted_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
