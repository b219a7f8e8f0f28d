"""Decides which waiting workload runs next, where, and says why."""
