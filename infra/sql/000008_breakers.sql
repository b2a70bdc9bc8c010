-- Breakers: whether a handler's endpoint is sent to at all, with a few probes alone, or as usual. Changed by
-- compare-and-swap on the version; every take looks at it. And since when a handler has had no success.

ALTER TABLE handlers
  ADD COLUMN breaker          text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'probing')),
  ADD COLUMN breaker_version  bigint NOT NULL DEFAULT 0,
  -- Why and when it opened; null while it is closed.
  ADD COLUMN breaker_reason   text,
  ADD COLUMN breaker_since    timestamptz,
  -- Open: no probe before this. Probing: afterwards the round counts as given up, and anybody may begin anew.
  ADD COLUMN breaker_until    timestamptz,
  -- Probes of the round under way, and rounds that failed since it opened.
  ADD COLUMN breaker_probes   integer NOT NULL DEFAULT 0,
  ADD COLUMN breaker_failures integer NOT NULL DEFAULT 0,
  -- Null: it delivers, or nobody knows better. Set once a handler has failed for a while, cleared by a success.
  ADD COLUMN failing_since    timestamptz;
