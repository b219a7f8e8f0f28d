"""Projects events and log lines into Postgres."""
