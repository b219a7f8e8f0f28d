"""The backend protocol, the run loop that all executors share, and the contract tests that every backend passes."""
