"""Where a run may connect to. Pure: who dials, resolves names first and asks about every address it would dial.

Whatever the rules say, nothing leads to this machine itself, to link-local addresses (cloud metadata among them) or to
multicast. Private networks are open only to a rule that names them by address, never to a name that resolves there.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from vulcan_contracts.egress import EgressRule, parse_rule
from vulcan_contracts.spec import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_EMBEDDING: Final = tuple(
    map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
"""Networks whose addresses are ones of version 4 in disguise, in their low 32 bits: compatible, mapped, translated."""
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"))
)
_LOW_32: Final = 0xFFFF_FFFF


class EgressPolicy(Struct, frozen=True, kw_only=True):
    """What one run may reach. `exceptions` are open to it whatever else holds: for tests, and nothing else."""

    mode: Literal["none", "allow_list", "all"]
    rules: tuple[EgressRule, ...] = ()
    own_addresses: frozenset[Address] = frozenset()
    exceptions: tuple[IpNetwork, ...] = ()

    def name_problem(self, host: str, port: int) -> str | None:
        """Why this name may not even be resolved (a lookup alone can carry data out); None if it may."""
        if self.mode == "none":
            return "this workload has no network access"
        if self.mode == "all" or any(_names(rule, host) and _port_fits(rule, port) for rule in self.rules):
            return None
        return f"{host}:{port} is not in the workload's network.allow"

    def address_problem(self, address: Address, port: int, *, name: str | None = None) -> str | None:
        """Why this address may not be dialled; None if it may.

        Args:
            address: as it would be dialled.
            port: the TCP port.
            name: the name that resolved to it and has passed `name_problem`; None if the workload gave the address.
        """
        if self.mode == "none":
            return "this workload has no network access"
        if any(address in network for network in self.exceptions):
            return None
        faces = _faces(address)
        for face in faces:
            if (problem := self._never(face)) is not None:
                return problem
        for face in faces:
            if not _is_public(face) and not self._lists(face, port):
                return (
                    f"{address} is in a private network, and the workload's network.allow does not list it by address"
                )
        if any(self._lists(face, port) for face in (address, *faces)):
            return None
        if self.mode == "allow_list" and name is None:
            return f"{address}:{port} is not in the workload's network.allow"
        return None

    def _lists(self, address: Address, port: int) -> bool:
        return any(_contains(rule, address) and _port_fits(rule, port) for rule in self.rules)

    def _never(self, address: Address) -> str | None:
        if address.is_loopback or address.is_unspecified or address in self.own_addresses:
            return f"{address} is the machine that runs the workload"
        if address in _METADATA or address.is_link_local:
            return f"{address} is link-local or a metadata service"
        if address.is_multicast or address == ipaddress.IPv4Address(_LOW_32):
            return f"{address} is multicast or broadcast"
        return None


def policy(
    network: Network, *, own_addresses: frozenset[Address], exceptions: Sequence[IpNetwork] = ()
) -> EgressPolicy:
    """The policy of a spec.

    Raises:
        ValueError: a rule is none; specs that were validated have no such rule.
    """
    return EgressPolicy(
        mode=network.egress,
        rules=tuple(parse_rule(rule) for rule in network.allow) if network.egress == "allow_list" else (),
        own_addresses=own_addresses,
        exceptions=tuple(exceptions),
    )


def local_addresses(fib_trie: str, if_inet6: str) -> frozenset[Address]:
    """This machine's own addresses, from the texts of /proc/net/fib_trie and /proc/net/if_inet6."""
    found: set[Address] = set()
    last = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("|--", "+--"):
            last = words[1].partition("/")[0]
        elif "/32 host LOCAL" in line and last:
            found.add(ipaddress.IPv4Address(last))
    for line in if_inet6.splitlines():
        if words := line.split():
            found.add(ipaddress.IPv6Address(int(words[0], 16)))
    return frozenset(found)


def _is_public(address: Address) -> bool:
    return address.is_global and not (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)


def _names(rule: EgressRule, host: str) -> bool:
    if rule.host is None:
        return False
    host = host.lower().rstrip(".")
    if rule.host.startswith("*."):
        return host.endswith(rule.host[1:])
    return host == rule.host


def _port_fits(rule: EgressRule, port: int) -> bool:
    return rule.port is None or rule.port == port


def _contains(rule: EgressRule, address: Address) -> bool:
    return rule.network is not None and address.version == rule.network.version and address in rule.network


def _faces(address: Address) -> list[Address]:
    """The address without its zone, and every address of version 4 that it stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    plain = ipaddress.IPv6Address(int(address))
    if any(plain in network for network in _EMBEDDING) and int(plain) > 1:  # not :: and ::1
        return [ipaddress.IPv4Address(int(plain) & _LOW_32)]
    faces: list[Address] = [plain]
    if plain.sixtofour is not None:
        faces.append(plain.sixtofour)
    if plain.teredo is not None:
        faces.extend(plain.teredo)
    return faces
