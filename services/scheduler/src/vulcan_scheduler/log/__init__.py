"""The scheduler and the event log: what it follows, and what it appends."""
