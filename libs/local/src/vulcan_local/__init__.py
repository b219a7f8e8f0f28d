"""The embedded stack: nats-server, PostgreSQL and the services under one supervisor."""
