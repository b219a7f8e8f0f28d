import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_executor_v8.egress.request import BadRequestError, parse_head


def test_a_tunnel() -> None:
    request = parse_head(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n")
    assert (request.host, request.port, request.head) == ("api.example.com", 443, None)
    assert parse_head(b"CONNECT [2001:db8::1]:8443 HTTP/1.1\r\n\r\n").host == "2001:db8::1"


def test_a_plain_request_goes_on_in_origin_form_without_what_was_meant_for_the_proxy() -> None:
    request = parse_head(
        b"POST http://h.example:81/a%20b?q=1 HTTP/1.1\r\nHost: h.example:81\r\nProxy-Authorization: Basic x\r\n"
        b"Connection: keep-alive\r\nContent-Length: 3\r\n\r\n"
    )
    assert (request.host, request.port) == ("h.example", 81)
    assert request.head == (
        b"POST /a%20b?q=1 HTTP/1.1\r\nHost: h.example:81\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    )
    assert parse_head(b"GET http://h.example HTTP/1.1\r\n\r\n").port == 80


def test_an_upgrade_is_passed_on() -> None:
    head = parse_head(b"GET http://h/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").head
    assert head == b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def test_the_server_sees_the_host_that_was_asked_for_and_no_other() -> None:
    head = parse_head(b"GET http://u:p@allowed:81/x HTTP/1.1\r\nHost: other\r\nhOST: third\r\nA: b\r\n\r\n").head
    assert head == b"GET /x HTTP/1.1\r\nHost: allowed:81\r\nA: b\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET https://h/ HTTP/1.1\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\n\r\n",
        b"GET http://h:99999/ HTTP/1.1\r\n\r\n",
        b"CONNECT h HTTP/1.1\r\n\r\n",
        b"CONNECT h:0 HTTP/1.1\r\n\r\n",
        b"CONNECT h:65536 HTTP/1.1\r\n\r\n",
        b"CONNECT h:x HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"GET http://h/ SPDY\r\n\r\n",
        "GET http://hé/ HTTP/1.1\r\n\r\n".encode(),
        b"CONNECT :80 HTTP/1.1\r\n\r\n",
        b"CONNECT [fd00::1%1]:80 HTTP/1.1\r\n\r\n",
        b"CONNECT a\0b:80 HTTP/1.1\r\n\r\n",
        b"CONNECT h:80:90 HTTP/1.1\r\n\r\n",
        b"GET http://h/\ta HTTP/1.1\r\n\r\n",
        b"GET http://[fe80::1%25lo]/ HTTP/1.1\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nX: a\nHost: other\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nX: a\rHost: other\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"GET\n http://h/ HTTP/1.1\r\n\r\n",
    ],
)
def test_anything_else_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_head(head)


@given(st.binary(max_size=200))
def test_no_head_breaks_it(head: bytes) -> None:
    try:
        request = parse_head(head)
    except BadRequestError:
        return
    assert request.host
    assert 0 < request.port < 65_536
