-- Legal holds that operators asked for. The archive's own chain of notes is their truth; this is the way there, since who
-- answers the API has no key to sign with.

CREATE TABLE hold_requests (
  request_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hold_id        text NOT NULL,
  action         text NOT NULL,
  topic          text,
  -- Null: of every topic that ever had this name.
  topic_id       text,
  partition_no   integer,
  from_offset    bigint,
  -- Inclusive; null: whatever will come, too.
  to_offset      bigint,
  event_id       text,
  reason         text NOT NULL,
  requested_at   timestamptz NOT NULL DEFAULT now(),
  -- Number of its note in the archive; null until an archiver signed it.
  note_n         bigint,
  UNIQUE (hold_id, action)
);

CREATE INDEX hold_requests_open ON hold_requests (request_no) WHERE note_n IS NULL;
