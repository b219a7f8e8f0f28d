"""A server that knows its users by signed tokens, and the credentials file that lets one in."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import nkeys  # type: ignore[import-untyped] # it has no stubs
import pytest

from support.nats import NatsServer
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.streams import StreamSettings, ensure_streams

_UNLIMITED = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1) | {"wildcards": True}
_JETSTREAM = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


class _Identity:
    def __init__(self, prefix: int) -> None:
        self.seed = bytes(nkeys.encode_seed(os.urandom(32), prefix))
        self.keys = nkeys.from_seed(bytearray(self.seed))
        self.name = self.keys.public_key.decode()

    def vouch_for(self, other: "_Identity", kind: str, **claims: Any) -> str:
        """A token (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt)."""
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        nats = {"type": kind, "version": 2, **claims}
        body = {"jti": other.name, "iat": 1, "iss": self.name, "name": kind, "sub": other.name, "nats": nats}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, body))
        return f"{signed}.{_base64(self.keys.sign(signed.encode()))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_the_credentials_file_lets_in_and_nothing_else_does(tmp_path: Path) -> None:
    operator = _Identity(nkeys.PREFIX_BYTE_OPERATOR)
    account, system = _Identity(nkeys.PREFIX_BYTE_ACCOUNT), _Identity(nkeys.PREFIX_BYTE_ACCOUNT)
    user = _Identity(nkeys.PREFIX_BYTE_USER)
    config = (
        f"operator: {operator.vouch_for(operator, 'operator')}\n"
        f"system_account: {system.name}\n"
        "resolver: MEMORY\n"
        "resolver_preload: {\n"
        f"  {account.name}: {operator.vouch_for(account, 'account', limits=_UNLIMITED | _JETSTREAM)}\n"
        f"  {system.name}: {operator.vouch_for(system, 'account', limits=_UNLIMITED)}\n"
        "}"
    )
    token = account.vouch_for(user, "user", pub={}, sub={}, subs=-1, data=-1, payload=-1)
    credentials = tmp_path / "user.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    with NatsServer(tmp_path / "nats", more_config=config) as server:
        settings = msgspec.structs.replace(server.settings, connect_timeout_s=0.5)
        allowed = msgspec.structs.replace(settings, credentials_file=str(credentials), connect_timeout_s=5.0)
        async with await Bus.connect(allowed, name="test") as bus:
            await ensure_streams(bus, StreamSettings())
            await server.bounce()
            await bus.wait_connected(10.0)
        with pytest.raises(EventStoreUnavailableError):
            await Bus.connect(settings, name="test")
        missing = msgspec.structs.replace(settings, credentials_file=str(tmp_path / "none.creds"))
        with pytest.raises(EventStoreUnavailableError, match=r"none\.creds"):
            await Bus.connect(missing, name="test")
