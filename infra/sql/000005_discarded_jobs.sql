-- What an operator gave up ends where completed jobs do, with the error that it last had.
ALTER TABLE jobs_done
  ADD COLUMN state text NOT NULL DEFAULT 'completed' CHECK (state IN ('completed', 'discarded')),
  ADD COLUMN last_error text;
