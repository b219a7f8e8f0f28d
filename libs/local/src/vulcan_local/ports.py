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


class Ports:
    """Hands out ports, each only once: who got one does not listen there before it has started."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, host: str, port: int) -> bool:
        """Have this port. False if somebody has it, or listens there."""
        if port in self._taken or not is_free(host, port):
            return False
        self._taken.add(port)
        return True

    def take_any(self) -> int:
        """A port on loopback that nobody else has and that no outgoing connection will take."""
        for _ in range(_TRIES):
            port = _LOW + secrets.randbelow(_HIGH - _LOW)
            if self.take(HOST, port):
                return port
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            last_resort: int = probe.getsockname()[1]
        self._taken.add(last_resort)
        return last_resort
