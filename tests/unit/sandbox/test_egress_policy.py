import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.spec import Network
from vulcan_sandbox.egress import EgressPolicy, local_addresses, policy

OWN = frozenset(
    {ipaddress.ip_address("198.51.100.7"), ipaddress.ip_address("8.8.4.4"), ipaddress.ip_address("fd00::2")}
)
ALL = policy(Network(egress="all"), own_addresses=OWN)


def listing(*rules: str) -> EgressPolicy:
    return policy(Network(egress="allow_list", allow=list(rules)), own_addresses=OWN)


def refused(made: EgressPolicy, address: str, port: int = 443, *, name: str | None = None) -> bool:
    return made.address_problem(ipaddress.ip_address(address), port, name=name) is not None


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("api.example.com", "api.example.com", 443, True),
        ("api.example.com", "API.Example.COM.", 80, True),
        ("api.example.com", "example.com", 443, False),
        ("api.example.com", "x.api.example.com", 443, False),
        ("api.example.com:443", "api.example.com", 80, False),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "badexample.com", 443, False),
        ("192.0.2.0/24", "api.example.com", 443, False),
    ],
)
def test_names(rule: str, host: str, port: int, allowed: bool) -> None:
    assert (listing(rule).name_problem(host, port) is None) is allowed


@pytest.mark.parametrize(
    ("rule", "address", "port", "allowed"),
    [
        ("8.8.8.8", "8.8.8.8", 53, True),
        ("8.8.8.8:53", "8.8.8.8", 54, False),
        ("8.8.8.0/24", "8.8.8.200", 1, True),
        ("8.8.8.0/24", "8.8.9.1", 1, False),
        ("10.0.0.0/8", "10.1.2.3", 5432, True),
        ("[2606:4700::1]:443", "2606:4700::1", 443, True),
        ("0.0.0.0/0", "127.0.0.1", 80, False),
        ("0.0.0.0/0", "169.254.169.254", 80, False),
        ("169.254.169.254", "169.254.169.254", 80, False),
        ("0.0.0.0/0", "198.51.100.7", 80, False),
        ("::/0", "fd00::2", 80, False),
        ("0.0.0.0/0", "255.255.255.255", 80, False),
        ("0.0.0.0/0", "224.0.0.1", 80, False),
    ],
)
def test_addresses(rule: str, address: str, port: int, allowed: bool) -> None:
    assert refused(listing(rule), address, port) is not allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",  # noqa: S104
        "100.100.100.200", "198.51.100.7", "8.8.4.4", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.4.4", "64:ff9b::7f00:1",
        "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::",
    ],
)  # fmt: skip
def test_never_with_egress_to_all(address: str) -> None:
    assert refused(ALL, address)
    assert refused(ALL, address, name="a.name.that.resolves.there")


def test_public_addresses_with_egress_to_all() -> None:
    assert not refused(ALL, "8.8.8.8")
    assert not refused(ALL, "2606:4700::1111")
    assert ALL.name_problem("anything.example", 1) is None


def test_a_name_that_resolves_into_a_private_network_is_refused_unless_it_is_listed_by_address() -> None:
    assert refused(listing("db.example.com"), "10.0.0.5", 5432, name="db.example.com")
    assert not refused(listing("db.example.com", "10.0.0.0/24:5432"), "10.0.0.5", 5432, name="db.example.com")
    assert refused(listing("db.example.com"), "127.0.0.1", 5432, name="db.example.com")
    assert not refused(listing("db.example.com"), "8.8.8.8", 5432, name="db.example.com")


def test_an_address_that_only_a_name_was_listed_for_is_refused() -> None:
    assert refused(listing("dns.google"), "8.8.8.8", 443)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_none_is_none(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    made = policy(Network(), own_addresses=OWN)
    assert made.address_problem(address, port) is not None
    assert made.name_problem(str(address), port) is not None


@given(st.ip_addresses(v=4))
def test_a_mapped_address_fares_as_the_one_it_stands_for(address: ipaddress.IPv4Address) -> None:
    assert refused(ALL, f"::ffff:{address}") == refused(ALL, str(address))


def test_own_addresses_are_read_from_the_kernels_tables() -> None:
    trie = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
  +-- 192.0.2.0/24 2 0 2
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
    inet6 = (
        "fe8000000000000000fc00fffe000001 02 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    found = local_addresses(trie, inet6)
    assert found == {ipaddress.ip_address(text) for text in ("192.0.2.2", "fe80::fc:ff:fe00:1", "::1")}


@pytest.mark.parametrize(
    "disguised",
    [
        "::ffff:127.0.0.1%1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
        "2002:7f00:1::", "::1%1", "::ffff:169.254.169.254%1", "fd00:ec2::254%1", "fd00::2%1", "fe80::1%1",
    ],
)  # fmt: skip
def test_no_disguise_leads_to_what_is_never_allowed(disguised: str) -> None:
    assert refused(listing("0.0.0.0/0", "::/0"), disguised)
    assert refused(ALL, disguised, name="x.example.com")


@pytest.mark.parametrize("private", ["::10.0.0.1", "::ffff:10.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "2002:a00:1::"])
def test_a_private_address_in_disguise_is_private(private: str) -> None:
    assert refused(ALL, private)
    assert refused(ALL, private, name="x.example.com")


def test_a_rule_for_all_of_version_6_does_not_open_private_networks_of_version_4() -> None:
    assert refused(listing("::/0"), "::ffff:10.0.0.1")
    assert not refused(listing("10.0.0.0/8"), "::ffff:10.0.0.1")
