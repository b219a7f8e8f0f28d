"""The scheduler's decisions: pure. Time comes in as `Now`; nothing here awaits, reads a clock or touches a network."""
