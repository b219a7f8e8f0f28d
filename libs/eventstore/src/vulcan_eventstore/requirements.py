"""What a NATS server has to be. Older ones ignore silently what the fences rest on."""

from typing import Final

from nats.aio.client import Client

from vulcan_eventstore.errors import IncompatibleServerError

MIN_SERVER: Final = (2, 12)
MIN_MAX_PAYLOAD_BYTES: Final = 1024 * 1024


def check_server(client: Client) -> None:
    """Look at the server that this client is connected to.

    Raises:
        IncompatibleServerError: it is too old or takes too little.
    """
    version = client.connected_server_version
    if (version.major, version.minor) < MIN_SERVER:
        needed = ".".join(map(str, MIN_SERVER))
        found = f"{version.major}.{version.minor}.{version.patch}"
        raise IncompatibleServerError(f"nats-server {found} is too old: {needed} or newer is needed")
    if client.max_payload < MIN_MAX_PAYLOAD_BYTES:
        found = str(client.max_payload)
        message = f"nats-server takes messages of {found} bytes; set max_payload to {MIN_MAX_PAYLOAD_BYTES} or more"
        raise IncompatibleServerError(message)
