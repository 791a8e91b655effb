"""Spellings of hosts, and the addresses that are refused."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common.addresses import (
    HostList,
    is_dangerous,
    is_of_this_machine,
    normalise_host,
    parse_address,
    with_embedded,
)

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
DANGEROUS_V4 = st.one_of(
    *(st.ip_addresses(network=block) for block in ("127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/4")),
    st.just(ipaddress.IPv4Address("255.255.255.255")),
)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """Ways to write an IPv4 address that the C library resolves."""
    number, parts = int(address), address.packed
    return [
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        hex(number).upper(),
        ".".join(hex(part) for part in parts),
        ".".join(f"0{part:o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"::ffff:{address}",
        f"[::FFFF:{address}]",
    ]


def wrappings(address: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    """IPv6 addresses that lead to an IPv4 address."""
    number = int(address)
    blocks = (
        "::",
        "::ffff:0:0",
        "::ffff:0:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "2001:db8::5efe:0:0",
        "fc00::200:5efe:0:0",
    )
    plain = [ipaddress.IPv6Address(int(ipaddress.IPv6Address(block)) + number) for block in blocks]
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) + (number << 80) + 1)
    teredo = ipaddress.IPv6Address((0x20010000 << 96) + (0xC0000201 << 64) + (number ^ 0xFFFFFFFF))
    local = ipaddress.IPv6Address((0x64FF9B0001 << 80) + ((number >> 16) << 64) + ((number & 0xFFFF) << 40))
    return [*plain, sixtofour, teredo, local]


class TestNormaliseHost:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("Mirror.Example", "mirror.example"),
            ("mirror.example.", "mirror.example"),
            ("a", "a"),
            ("a_b.c-d", "a_b.c-d"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.1", "127.0.0.1"),
            ("0x7f.0.0.1", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("[::1]", "::1"),
            ("[0:0::0:1]", "::1"),
            ("[FE80::1]", "fe80::1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
            ("1.example", "1.example"),
        ],
    )
    def test_one_spelling(self, host, expected):
        assert normalise_host(host) == expected

    @pytest.mark.parametrize(
        "host",
        [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a\n",
            "-a",
            "a-",
            "1.2.3.4.5",
            "256.1.1.1",
            "08.1.1.1",
            "4294967296",
            "a.0x",
            "[::1",
            "::1%eth0",
            "[::1%25eth0]",
            "[1.2.3.4]x",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "loc\u0131lhost",
            "localhost。",
            "\u212a",
            "x" * 64,
            ("x" * 63 + ".") * 4 + "x",
            "a:b",
            "[]",
        ],
    )
    def test_refused(self, host):
        with pytest.raises(ValueError):
            normalise_host(host)

    @given(V4)
    def test_every_spelling_of_an_address(self, address):
        assert {normalise_host(spelling) for spelling in spellings(address)} == {str(address)}

    @given(V6)
    def test_ipv6(self, address):
        expected = str(address.ipv4_mapped or address)
        assert {normalise_host(text) for text in (str(address), address.exploded.upper(), f"[{address}]")} == {expected}

    @given(st.text(max_size=30) | st.text(alphabet="0123456789abcdefx.:[]-", max_size=20))
    def test_any_text(self, text):
        try:
            host = normalise_host(text)
        except ValueError:
            return
        assert normalise_host(host) == host
        assert host.isascii()
        if parse_address(host) is None:
            # What is not recognised as an address is not one for the C library either.
            with pytest.raises(OSError):
                socket.inet_aton(host)


class TestDangerous:
    @given(DANGEROUS_V4)
    def test_ipv4_in_every_wrapping(self, address):
        assert is_dangerous(address)
        assert [str(wrapped) for wrapped in wrappings(address) if not is_dangerous(wrapped)] == []

    @pytest.mark.parametrize("text", ["::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "febf::1"])
    def test_ipv6(self, text):
        assert is_dangerous(ipaddress.ip_address(text))

    @pytest.mark.parametrize(
        "text", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "93.184.216.34", "fd00::1", "2001:db8::1", "2a00:1450::8a"]
    )
    def test_ordinary_and_private_addresses(self, text):
        assert not is_dangerous(ipaddress.ip_address(text))

    @given(st.ip_addresses(network="10.0.0.0/8"))
    def test_private_addresses_in_every_wrapping(self, address):
        assert not any(is_dangerous(wrapped) for wrapped in wrappings(address))

    @given(V4)
    def test_what_is_wrapped_is_found(self, address):
        assert [str(wrapped) for wrapped in wrappings(address) if address not in with_embedded(wrapped)] == []


def test_addresses_of_this_machine():
    assert is_of_this_machine(ipaddress.ip_address("127.0.0.1"))
    assert is_of_this_machine(ipaddress.ip_address("127.1.2.3"))
    assert not is_of_this_machine(ipaddress.ip_address("203.0.113.9"))
    assert not is_of_this_machine(ipaddress.ip_address("2001:db8::1"))


class TestHostList:
    def test_names(self):
        hosts = HostList(["Mirror.Example.", " 0x7f.1 ", "[::1]"], blocks=False)
        assert all(hosts.names(host) for host in ("mirror.example", "127.0.0.1", "::1"))
        assert not hosts.names("other.example")

    def test_blocks(self):
        hosts = HostList(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "bad.example"], blocks=True)
        for text in ("10.1.2.3", "192.0.2.7", "2001:db8::5", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::"):
            assert hosts.covers(ipaddress.ip_address(text))
        for text in ("11.0.0.1", "192.0.2.8", "2001:db9::"):
            assert not hosts.covers(ipaddress.ip_address(text))
        assert hosts.names("bad.example")

    def test_host_bits_do_not_matter(self):
        assert HostList(["10.1.2.3/8"], blocks=True).covers(ipaddress.ip_address("10.9.9.9"))

    @pytest.mark.parametrize("item", ["a b", "10.0.0.0/33", "http://x", "x/8", ""])
    def test_malformed(self, item):
        with pytest.raises(ValueError):
            HostList([item], blocks=True)

    def test_no_blocks_where_only_names_count(self):
        with pytest.raises(ValueError):
            HostList(["127.0.0.0/8"], blocks=False)

    def test_empty(self):
        assert not HostList([], blocks=True)
        assert HostList(["10.0.0.0/8"], blocks=True)
