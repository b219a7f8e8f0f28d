"""The event log, log lines, dispatch, leases and blobs on JetStream; the only owner of the NATS client."""
