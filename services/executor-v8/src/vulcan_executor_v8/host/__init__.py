"""Hosts: jailed Deno processes, each with a control socket and two output pipes, and the pool that keeps them."""
