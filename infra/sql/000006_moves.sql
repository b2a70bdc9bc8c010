-- Moving up from one size to a larger one: which side of a move this database is, and how its log is closed.

CREATE TABLE moves (
  only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  move_id        uuid NOT NULL,
  side           text NOT NULL CHECK (side IN ('source', 'target')),
  is_whole       boolean NOT NULL DEFAULT false,
  -- Of the larger size: where the log goes on.
  log_driver     text NOT NULL,
  -- The larger size, for people; its database is what the two sides of one move agree on.
  place          text NOT NULL,
  database       text NOT NULL,
  began_at       timestamptz NOT NULL DEFAULT now()
);

-- Of a trigger that a move makes: from its commit on nothing can be appended, whoever still runs.
CREATE FUNCTION refuse_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the log was closed by hooktrail move' USING ERRCODE = 'HT003';
END $$;
