"""Ports on loopback for what runs embedded."""

import secrets
import socket
from typing import Final

HOST: Final = "127.0.0.1"
_LOW: Final = 20_000
_HIGH: Final = 32_768  # from here on the kernel hands ports to outgoing connections, also while a service restarts
_TRIES: Final = 100


def is_free(host: str, port: int) -> bool:
    """True if a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on now and that no outgoing connection will take."""
    for _ in range(_TRIES):
        port = _LOW + secrets.randbelow(_HIGH - _LOW)
        if is_free(HOST, port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        last_resort: int = probe.getsockname()[1]
        return last_resort
