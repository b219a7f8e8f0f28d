-- What the log says, as tables to read from. Names are never qualified: a rebuild runs these files in a schema of its own.

CREATE TABLE projection_positions (
    name text PRIMARY KEY,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE projection_positions IS 'Everything up to this stream sequence is in, and nothing behind it.';

INSERT INTO projection_positions (name, seq) VALUES ('workloads', 0), ('log_lines', 0);

CREATE TABLE workloads (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    state text NOT NULL,
    reason text,
    message text NOT NULL,
    exit_code int,
    isolation text NOT NULL,
    backend text,
    runtime text,
    source_type text NOT NULL,
    node text,
    attempt int NOT NULL,
    priority int NOT NULL,
    labels jsonb NOT NULL,
    submitted_at timestamptz NOT NULL,
    waiting_since timestamptz NOT NULL,
    scheduled_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    replay_of text,
    kill_requested boolean NOT NULL,
    deleted boolean NOT NULL,
    version int NOT NULL,
    seq bigint NOT NULL,
    last_line bigint NOT NULL,
    queued_ms double precision,
    dispatched_ms double precision,
    sandbox_ready_ms double precision,
    first_output_ms double precision,
    run_ms double precision,
    total_ms double precision
);
CREATE INDEX workloads_by_tenant ON workloads (tenant, submitted_at DESC, id DESC);
CREATE INDEX workloads_by_tenant_state ON workloads (tenant, state, submitted_at DESC, id DESC);
CREATE INDEX workloads_by_label ON workloads USING gin (labels);

CREATE TABLE log_lines (
    expires_on date NOT NULL,
    tenant text NOT NULL,
    workload_id text NOT NULL,
    seq bigint NOT NULL,
    "time" timestamptz NOT NULL,
    stream text NOT NULL,
    text text NOT NULL,
    partial boolean NOT NULL
) PARTITION BY RANGE (expires_on);
CREATE INDEX log_lines_by_workload ON log_lines (tenant, workload_id, seq);
COMMENT ON TABLE log_lines IS 'A partition a day. It is dropped whole once its day is over.';
