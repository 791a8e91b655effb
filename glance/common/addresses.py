"""Hosts and IP addresses that a caller names: their many spellings, and which are dangerous (spec security.md §3)."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IPv6 addresses that carry an IPv4 address in their last 32 bits, to which a gateway may deliver.
_CARRIERS = (
    IPv6Network("::/96"),  # IPv4-compatible
    IPv6Network("::ffff:0:0:0/96"),  # SIIT
    IPv6Network("64:ff9b::/96"),  # NAT64
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_ISATAP = (0x00005EFE, 0x02005EFE)
_UNUSABLE = (IPv4Network("0.0.0.0/8"), IPv4Network("255.255.255.255/32"))


def normalise_host(host: str) -> str:
    """One spelling for each host: lower case, no trailing dot, addresses in their usual form.

    ``0x7f.1``, ``2130706433``, ``017700000001`` and ``::ffff:127.0.0.1`` all become
    ``127.0.0.1``.  An IPv6 address may stand in brackets.

    :raises ValueError: neither an address nor a name of ASCII letters, digits, ``-``, ``_``
    """
    if not host.isascii():
        raise ValueError("not ASCII")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone")
        address = IPv6Address(host)
        return str(address.ipv4_mapped or address)
    host = host.lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        raise ValueError("not a host name")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(socket.inet_aton(host)))  # knows every number format the C library resolves
        except OSError:
            raise ValueError("not an IPv4 address") from None
    return host


def parse_address(text: str) -> Address | None:
    """The address that a normalised host is, None for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def with_embedded(address: Address) -> Iterator[Address]:
    """Yield ``address`` and every IPv4 address that it may lead to through a translator or tunnel."""
    yield address
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (number >> 32) & 0xFFFFFFFF in _ISATAP or any(address in block for block in _CARRIERS):
        yield last
    if address in _LOCAL_NAT64:
        if number & 0xFF_FFFF_FFFF:
            yield last
        else:  # RFC 6052: the address lies around bits 64 to 71, and zeros follow
            yield IPv4Address(((number >> 64) & 0xFFFF) << 16 | (number >> 40) & 0xFFFF)


def is_dangerous(address: Address) -> bool:
    """True for loopback, link-local, unspecified and multicast addresses, however they are wrapped."""
    return any(
        inner.is_loopback
        or inner.is_link_local
        or inner.is_unspecified
        or inner.is_multicast
        or any(inner in block for block in _UNUSABLE)
        for inner in with_embedded(address)
    )


def is_of_this_machine(address: Address) -> bool:
    """Whether an interface of this machine has ``address``; sends nothing."""
    elsewhere = "192.0.2.1" if address.version == 4 else "2001:db8::1"  # reserved for documentation
    # The second test knows further addresses of an interface too, unless ip_nonlocal_bind lets every test pass.
    return _route_starts_at(address) or (_can_bind(str(address)) and not _can_bind(elsewhere))


def _probe(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


def _route_starts_at(address: Address) -> bool:
    try:
        with _probe(str(address)) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False  # no route: it cannot be connected to either


def _can_bind(address: str) -> bool:
    try:
        with _probe(address) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


class HostList:
    """Names, addresses and, with ``blocks``, CIDR blocks, as an operator lists them.

    :raises ValueError: an item that is none of these; the text is the item
    """

    def __init__(self, items: Iterable[str], *, blocks: bool) -> None:
        self._names: set[str] = set()
        self._blocks: list[IPv4Network | IPv6Network] = []
        for item in items:
            try:
                if blocks and "/" in item:
                    self._blocks.append(ipaddress.ip_network(item.strip(), strict=False))
                else:
                    self._names.add(normalise_host(item.strip()))
            except ValueError:
                raise ValueError(item) from None
        if blocks:
            addresses = [parse_address(name) for name in self._names]
            self._blocks += [ipaddress.ip_network(address) for address in addresses if address is not None]

    def __bool__(self) -> bool:
        return bool(self._names or self._blocks)

    def names(self, host: str) -> bool:
        """Whether a normalised host is in the list as it is spelt there."""
        return host in self._names

    def covers(self, address: Address) -> bool:
        """Whether an address, or an IPv4 address in it, lies in one of the blocks."""
        return any(inner in block for inner in with_embedded(address) for block in self._blocks)
