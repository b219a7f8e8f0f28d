"""The Python client, async and sync, over HTTP only."""
