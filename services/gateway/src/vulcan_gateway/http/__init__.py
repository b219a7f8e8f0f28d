"""The HTTP calls, by resource, and what every one of them passes through."""
