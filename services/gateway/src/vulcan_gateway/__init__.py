"""The public API: REST and SSE."""
