-- What an operator gave up ends where completed jobs do, with the error that it last had. No CHECK on the state: a new
-- slice is made without its parent's, and then cannot be attached.
ALTER TABLE jobs_done ADD COLUMN state text NOT NULL DEFAULT 'completed', ADD COLUMN last_error text;
