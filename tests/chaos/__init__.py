"""Processes are killed at random under load; afterwards everything is compared with what was asked for."""
