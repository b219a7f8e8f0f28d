"""This machine's own addresses, which no run may reach."""

from pathlib import Path

from vulcan_sandbox.egress import Address, local_addresses


def own_addresses() -> frozenset[Address]:
    """Every address of every interface here, now."""
    return local_addresses(_text("/proc/net/fib_trie"), _text("/proc/net/if_inet6"))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # IPv6 is off, or this is not Linux, where there is no egress
        return ""
