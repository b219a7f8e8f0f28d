"""What the gateway reads from the Postgres projections; the only place here that knows SQL."""
