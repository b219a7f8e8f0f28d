"""A port is given once, and never one that somebody listens on."""

import socket

from vulcan_local import ports
from vulcan_local.ports import HOST, Ports


def test_no_port_is_given_twice() -> None:
    handed = Ports()
    given = [handed.take_any() for _ in range(500)]  # of 12,768: by chance alone some would be the same
    assert len(set(given)) == len(given)


def test_what_was_asked_for_by_number_is_nobody_elses() -> None:
    handed = Ports()
    port = Ports().take_any()
    assert handed.take(HOST, port)
    assert not handed.take(HOST, port)


def test_where_somebody_listens_is_not_given() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not ports.is_free(HOST, server.getsockname()[1])
        assert not Ports().take(HOST, server.getsockname()[1])
