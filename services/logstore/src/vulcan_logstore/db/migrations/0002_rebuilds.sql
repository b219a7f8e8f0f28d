-- Requests to build the projections anew, and how far each is. At most one goes on at a time.

CREATE TABLE projection_rebuilds (
    id text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    events_seq bigint NOT NULL DEFAULT 0,
    events_target bigint NOT NULL DEFAULT 0,
    logs_seq bigint NOT NULL DEFAULT 0,
    logs_target bigint NOT NULL DEFAULT 0,
    message text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX projection_rebuilds_going_on ON projection_rebuilds ((true)) WHERE state IN ('waiting', 'running');
