"""Runs JavaScript and TypeScript, each workload in a fresh V8 isolate inside a jailed Deno process."""
