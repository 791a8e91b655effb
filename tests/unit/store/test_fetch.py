"""The guard: what it lets through, to where it connects, and how little it tells."""

import logging
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from glance.common import exception, fetch
from glance.common.fetch import Guard, parse
from tests.unit.store.web import Answer, RawServer, WebServer, closed_port


class Names:
    """Stands in for ``getaddrinfo``: a list of addresses per name; the calls are counted."""

    def __init__(self, **names):
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked = []

    def __call__(self, host, port, **kwargs):
        self.asked.append(host)
        found = self.names.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        addresses = found.pop(0) if found and isinstance(found[0], list) else found
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.fixture
def naps(monkeypatch):
    """The waits with which the guard hides what happened are recorded instead of made."""
    found = []
    monkeypatch.setattr(fetch.time, "sleep", found.append)
    return found


@pytest.fixture
def make_guard(make_conf):
    def build(names=None, deadline=20, options=None, **filters):
        filters.setdefault("allowed_hosts", "127.0.0.1")
        conf = make_conf(import_filtering_opts={"fetch_deadline": deadline, **filters}, **(options or {}))
        return Guard(conf, names or Names())

    return build


@pytest.fixture
def decoy():
    """A server that nothing may reach: the address is not in allowed_hosts."""
    server = WebServer("127.0.0.2")
    server.answers["/secret"] = Answer(200, b"secret")
    yield server
    server.close()
    assert server.asked == []


def body(response):
    try:
        return b"".join(response)
    finally:
        response.close()


def refused(guard, url, method="GET", **options):
    """The URL is refused with the one text."""
    with pytest.raises(exception.BadStoreUri) as caught:
        guard.open(method, url, **options)
    assert str(caught.value) == exception.BadStoreUri.message
    assert caught.value.__cause__ is None


class TestParse:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://host/path?q=1#frag", ("http", "host", None, "/path?q=1", None)),
            ("HTTPS://Host.:443", ("https", "host", 443, "/", None)),
            ("http://u:p%40ss@host/x", ("http", "host", None, "/x", b"u:p@ss")),
            ("http://[::1]:80/x", ("http", "::1", 80, "/x", None)),
            ("http://127.1/x", ("http", "127.0.0.1", None, "/x", None)),
            ("http://host?q", ("http", "host", None, "/?q", None)),
            ("http://host/ä%20b", ("http", "host", None, "/%C3%A4%20b", None)),
            ("http://host/a:b@c", ("http", "host", None, "/a:b@c", None)),
        ],
    )
    def test_parts(self, url, expected):
        target = parse(url)
        assert (target.scheme, target.host, target.port, target.path, target.credentials) == expected

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http",
            "http:",
            "http:/",
            "http://",
            "http:///path",
            "http://:80/",
            "http://host:/",
            "http://host:0/",
            "http://host:65536/",
            "http://host:8 0/",
            "http://host:-1/",
            "http://host:٣/",
            "http://ho st/",
            "http://host\\@other/",
            "http://host/a b",
            "http://host/a\r\nHost: x",
            "http://host\t/",
            " http://host/",
            "http://user@other@host/",
            "http://[::1/",
            "http://::1/",
            "http://[::1]x/",
            "http://[fe80::1%25eth0]/",
            "ftp://host/",
            "file:///decoy/of/this/test",
            "gopher://host/",
            "http\u017f://host/",
            "//host/path",
            "http://%6c%6f%63alhost/",
            "http://ｌocalhost/",
            "http://127.0.0.1\u3002/",
        ],
    )
    def test_malformed(self, url):
        with pytest.raises(exception.BadStoreUri):
            parse(url)


class TestAnswers:
    def test_success(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"data")
        response = make_guard().open("GET", web.url("/image"))
        assert response.length == 4
        assert body(response) == b"data"

    def test_large_body(self, make_guard, web):
        web.answers["/image"] = Answer(200, bytes(range(256)) * 20000)
        assert body(make_guard().open("GET", web.url("/image"))) == bytes(range(256)) * 20000

    def test_head(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"", {"Content-Length": "123456"})
        response = make_guard().open("HEAD", web.url("/image"))
        assert response.length == 123456
        response.close()
        assert web.asked[0][0] == "HEAD"

    @pytest.mark.parametrize("length", ["x", "-1", "1e3", "", "9" * 40, "٣"])
    def test_odd_length(self, make_guard, length):
        def talk(connection):
            connection.recv(10000)
            connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())

        server = RawServer(talk)
        response = make_guard().open("HEAD", f"http://127.0.0.1:{server.port}/")
        assert response.length is None
        response.close()
        server.close()

    def test_request(self, make_guard, web):
        web.answers["/a%20b?c=d"] = Answer(200, b"x")
        response = make_guard().open("GET", f"http://user:p%3Aw@127.0.0.1:{web.port}/a%20b?c=d#e")
        response.close()
        method, path, headers = web.asked[0]
        assert (method, path) == ("GET", "/a%20b?c=d")
        assert headers["Host"] == f"127.0.0.1:{web.port}"
        assert headers["Authorization"] == "Basic dXNlcjpwOnc="
        assert headers["Accept-Encoding"] == "identity"

    def test_not_found(self, make_guard, web):
        for method in ("HEAD", "GET"):
            with pytest.raises(exception.NotFound):
                make_guard().open(method, web.url("/absent"))

    def test_short_body(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"half", {"Content-Length": "8"})
        response = make_guard().open("GET", web.url("/image"))
        with pytest.raises(exception.StoreUnavailable):
            body(response)

    def test_chunked_body(self, make_guard):
        def talk(connection):
            connection.recv(10000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")

        server = RawServer(talk)
        response = make_guard().open("GET", f"http://127.0.0.1:{server.port}/")
        assert response.length is None
        assert body(response) == b"abcd"
        server.close()

    def test_chunked_body_that_breaks_off(self, make_guard):
        def talk(connection):
            connection.recv(10000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")

        server = RawServer(talk)
        with pytest.raises(exception.StoreUnavailable):
            body(make_guard().open("GET", f"http://127.0.0.1:{server.port}/"))
        server.close()


class TestSecrecy:
    def outcomes(self, make_guard, web, raw, naps):
        """(error, waited) for everything that can go wrong."""
        names = Names(rebound=["127.0.0.2"], mixed=["93.184.216.34", "127.0.0.1"], empty=[])
        guard, open_guard = make_guard(names), make_guard(names, allowed_hosts="")
        web.answers["/broken"] = Answer(500, b"internal detail")
        web.answers["/forbidden"] = Answer(403)
        web.answers["/loop"] = Answer(302, headers={"Location": "/loop"})
        urls = {
            guard: [
                f"http://127.0.0.1:{closed_port()}/",
                f"http://127.0.0.1:{raw.port}/",
                web.url("/broken"),
                web.url("/forbidden"),
                web.url("/loop"),
                f"https://127.0.0.1:{web.port}/",
                "http://127.0.0.2/",
                "http://elsewhere.example/",
            ],
            open_guard: [
                web.url("/broken"),
                "http://127.0.0.1/",
                "http://169.254.169.254/latest/meta-data/",
                "http://[::1]:9191/",
                "http://0/",
                "http://rebound/",
                "http://mixed/",
                "http://empty/",
                "http://unknown.example/",
            ],
        }
        for checked, addresses in urls.items():
            for url in addresses:
                for method in ("HEAD", "GET"):
                    naps.clear()
                    with pytest.raises(exception.GlanceException) as caught:
                        checked.open(method, url)
                    yield type(caught.value), str(caught.value), caught.value.__cause__, len(naps)

    def test_every_failure_looks_the_same(self, make_guard, web, naps):
        raw = RawServer(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n"))
        assert set(self.outcomes(make_guard, web, raw, naps)) == {
            (exception.BadStoreUri, exception.BadStoreUri.message, None, 1)
        }
        raw.close()

    def test_failures_wait_until_the_deadline(self, make_guard, naps):
        refused(make_guard(deadline=500), "http://127.0.0.2/")
        refused(make_guard(deadline=500), f"http://127.0.0.1:{closed_port()}/")
        assert [400 < nap <= 500 for nap in naps] == [True, True]

    def test_only_success_and_404_are_quick(self, make_guard, web, naps):
        web.answers["/image"] = Answer(200, b"x")
        make_guard().open("GET", web.url("/image")).close()
        with pytest.raises(exception.NotFound):
            make_guard().open("GET", web.url("/absent"))
        assert naps == []

    @pytest.mark.parametrize(
        "talk",
        [
            lambda connection: connection.recv(10000) and connection.recv(1),
            lambda connection: [connection.sendall(b"H") or threading.Event().wait(0.02) for _ in range(500)],
            lambda connection: (
                connection.sendall(b"HTTP/1.1 200 OK\r\n") or connection.recv(10000) * 0 or connection.recv(1)
            ),
        ],
        ids=["silent", "trickling", "headers without end"],
    )
    def test_slow_servers(self, make_guard, talk):
        server = RawServer(talk)
        refused(make_guard(deadline=0.3), f"http://127.0.0.1:{server.port}/")
        server.close()

    def test_resolver_that_hangs(self, make_guard):
        release = threading.Event()
        guard = make_guard(lambda *args, **kwargs: release.wait(20) and [], deadline=0.2, allowed_hosts="slow.example")
        refused(guard, "http://slow.example/")
        release.set()

    def test_an_answer_after_the_deadline_is_given_up(self, make_guard):
        release, closed = threading.Event(), threading.Event()

        def talk(connection):
            connection.recv(10000)
            release.wait(20)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
                while connection.recv(1):
                    pass
            except OSError:
                pass
            closed.set()

        server = RawServer(talk)
        refused(make_guard(deadline=0.2), f"http://127.0.0.1:{server.port}/")
        release.set()
        assert closed.wait(10)
        server.close()

    def test_the_log_says_why_and_hides_the_password(self, make_guard, naps, caplog):
        with caplog.at_level(logging.INFO):
            refused(make_guard(), "http://user:hush@127.0.0.2/path?signature=hush")
        assert "127.0.0.2" in caplog.text
        assert "hush" not in caplog.text


class TestAddresses:
    @pytest.mark.parametrize(
        "host", ["127.0.0.2", "127.2", "0x7f.2", "2130706434", "[::ffff:127.0.0.2]", "017700000002"]
    )
    def test_loopback_needs_a_name_in_the_list(self, make_guard, decoy, naps, host):
        refused(make_guard(allowed_hosts=""), f"http://{host}:{decoy.port}/secret")
        refused(make_guard(allowed_hosts="mirror.example"), f"http://{host}:{decoy.port}/secret")

    @pytest.mark.parametrize("spelling", ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"])
    @pytest.mark.parametrize("host", ["127.1", "2130706433", "[::ffff:7f00:1]"])
    def test_any_spelling_of_a_named_address(self, make_guard, web, spelling, host):
        web.answers["/image"] = Answer(200, b"x")
        assert body(make_guard(allowed_hosts=spelling).open("GET", web.url("/image", host))) == b"x"

    def test_named_host_may_be_anywhere(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"x")
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="Mirror.Example.")
        assert body(guard.open("GET", web.url("/image", "MIRROR.example"))) == b"x"
        assert web.asked[0][2]["Host"] == f"mirror.example:{web.port}"

    def test_a_list_admits_only_what_it_names(self, make_guard, naps):
        names = Names(other_example=["93.184.216.34"])
        refused(make_guard(names, allowed_hosts="mirror.example"), "http://other.example/")
        refused(make_guard(names, allowed_hosts="mirror.example"), "http://sub.mirror.example/")
        assert names.asked == []

    def test_one_bad_address_is_enough(self, make_guard, decoy, naps):
        names = Names(mixed_example=["93.184.216.34", "127.0.0.2"], turned_example=["127.0.0.2", "93.184.216.34"])
        refused(make_guard(names, allowed_hosts=""), f"http://mixed.example:{decoy.port}/secret")
        refused(make_guard(names, allowed_hosts=""), f"http://turned.example:{decoy.port}/secret")

    @pytest.mark.parametrize(
        ("entry", "address"),
        [
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::/8", "fd00::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("10.0.0.0/8", "64:ff9b::10.1.2.3"),
            ("host.example", "93.184.216.34"),
        ],
    )
    def test_disallowed_hosts(self, make_guard, entry, address):
        guard = make_guard(Names(host_example=[address]), allowed_hosts="", disallowed_hosts=entry)
        with pytest.raises(fetch._Refused):
            guard._check(parse("http://host.example/"), False)

    def test_private_addresses_are_admitted(self, make_guard):
        guard = make_guard(Names(host_example=["10.1.2.3", "fd00::1"]), allowed_hosts="")
        assert [str(address) for address in guard._check(parse("http://host.example/"), False)] == [
            "10.1.2.3",
            "fd00::1",
        ]

    def test_allowed_wins_over_disallowed(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"x")
        guard = make_guard(allowed_hosts="127.0.0.1", disallowed_hosts="127.0.0.0/8")
        assert body(guard.open("GET", web.url("/image"))) == b"x"

    @pytest.mark.parametrize("option", ["bind_host", "registry_host"])
    @pytest.mark.parametrize("listening", ["203.0.113.7", "2001:db8::7", "api.example"])
    def test_where_the_service_listens(self, make_guard, option, listening):
        names = Names(
            api_example=["203.0.113.7", "2001:db8::7"],
            own_example=["2001:db8::7" if ":" in listening else "203.0.113.7"],
            other_example=["203.0.113.8"],
        )
        guard = make_guard(names, options={"bind_host": "203.0.113.99", option: listening}, allowed_hosts="")
        with pytest.raises(fetch._Refused):
            guard._check(parse("http://own.example/"), False)
        assert guard._check(parse("http://other.example/"), False)

    def test_everywhere_means_every_address_of_this_machine(self, make_guard, monkeypatch):
        monkeypatch.setattr(fetch, "is_of_this_machine", lambda address: str(address) == "203.0.113.7")
        names = Names(own_example=["203.0.113.7"], other_example=["203.0.113.8"])
        guard = make_guard(names, options={"bind_host": "0.0.0.0"}, allowed_hosts="")
        with pytest.raises(fetch._Refused):
            guard._check(parse("http://own.example/"), False)
        assert guard._check(parse("http://other.example/"), False)

    @pytest.mark.parametrize("option", ["allowed_hosts", "disallowed_hosts"])
    def test_malformed_list(self, make_guard, option):
        with pytest.raises(exception.ConfigurationError, match="a b is not a host"):
            make_guard(**{option: "a b"})


class TestLists:
    @pytest.mark.parametrize(
        ("filters", "url", "admitted"),
        [
            ({}, "http://h/", True),
            ({}, "https://h/", True),
            ({"allowed_schemes": "https"}, "http://h/", False),
            ({"allowed_schemes": "https", "disallowed_schemes": "https"}, "https://h/", True),
            ({"allowed_schemes": "", "disallowed_schemes": "http"}, "http://h/", False),
            ({"allowed_schemes": "", "disallowed_schemes": "http"}, "https://h/", True),
            ({"disallowed_schemes": "http"}, "http://h/", True),
            ({}, "http://h:8080/", True),
            ({"allowed_ports": "80,8080"}, "http://h:8080/", True),
            ({"allowed_ports": "80"}, "http://h:8080/", False),
            ({"allowed_ports": "8080"}, "http://h/", True),
            ({"disallowed_ports": "22"}, "http://h:22/", False),
            ({"disallowed_ports": "22"}, "http://h:23/", True),
            ({"allowed_ports": "22", "disallowed_ports": "22"}, "http://h:22/", True),
        ],
    )
    def test_schemes_and_ports(self, make_guard, filters, url, admitted):
        guard = make_guard(Names(h=["93.184.216.34"]), allowed_hosts="", **filters)
        if admitted:
            assert guard._check(parse(url), False)
        else:
            with pytest.raises(fetch._Refused):
                guard._check(parse(url), False)

    def test_built_in_ports_bind_imports_only(self, make_guard):
        guard = make_guard(Names(h=["93.184.216.34"]), allowed_hosts="")
        assert guard._check(parse("http://h:8080/"), False)
        assert guard._check(parse("http://h:443/"), True)
        with pytest.raises(fetch._Refused):
            guard._check(parse("http://h:8080/"), True)


class TestPinning:
    def test_a_name_is_resolved_once(self, make_guard, web, decoy):
        web.answers["/secret"] = Answer(200, b"checked")
        other = WebServer("127.0.0.3", port=0)
        names = Names(mirror_example=[["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]])
        guard = make_guard(names, allowed_hosts="mirror.example")
        assert body(guard.open("GET", web.url("/secret", "mirror.example"))) == b"checked"
        assert names.asked == ["mirror.example"]
        other.close()

    def test_the_next_address_is_tried(self, make_guard, web):
        web.answers["/image"] = Answer(200, b"x")
        guard = make_guard(Names(mirror_example=["127.0.0.9", "127.0.0.1"]), allowed_hosts="mirror.example")
        assert body(guard.open("GET", web.url("/image", "mirror.example"))) == b"x"

    def test_environment_proxies_are_not_used(self, make_guard, web, decoy, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.2:{decoy.port}")
        web.answers["/image"] = Answer(200, b"x")
        assert body(make_guard().open("GET", web.url("/image"))) == b"x"


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302])
    @pytest.mark.parametrize("location", ["/b?c", "b?c", "//127.0.0.1:{port}/b?c", "http://127.1:{port}/b?c#d"])
    def test_followed(self, make_guard, web, status, location):
        web.answers["/a"] = Answer(status, b"moved", {"Location": location.format(port=web.port)})
        web.answers["/b?c"] = Answer(200, b"there")
        assert body(make_guard().open("GET", web.url("/a"))) == b"there"

    @pytest.mark.parametrize("status", [300, 303, 304, 307, 308])
    def test_other_statuses_are_not(self, make_guard, web, naps, status):
        web.answers["/a"] = Answer(status, b"", {"Location": "/b"})
        web.answers["/b"] = Answer(200, b"there")
        refused(make_guard(), web.url("/a"))
        assert len(web.asked) == 1

    def test_five_at_most(self, make_guard, web, naps):
        for number in range(9):
            web.answers[f"/{number}"] = Answer(302, b"", {"Location": f"/{number - 1}"})
        web.answers["/0"] = Answer(200, b"end")
        assert body(make_guard().open("GET", web.url("/5"))) == b"end"
        web.asked.clear()
        refused(make_guard(), web.url("/6"))
        assert len(web.asked) == 6

    @pytest.mark.parametrize(
        "location",
        [
            "http://127.0.0.2:{decoy}/secret",
            "//0x7f.2:{decoy}/secret",
            "http://rebound.example:{decoy}/secret",
            "file:///etc/hostname",
            "ftp://127.0.0.1/",
            "gopher://127.0.0.1:{port}/x",
            "http://",
            "http://127.0.0.1:{port}x/",
            "",
        ],
    )
    def test_each_is_checked_again(self, make_guard, web, decoy, naps, location):
        web.answers["/a"] = Answer(302, b"", {"Location": location.format(port=web.port, decoy=decoy.port)})
        names = Names(mirror_example=["127.0.0.1"], rebound_example=["127.0.0.2"])
        refused(make_guard(names, allowed_hosts="mirror.example"), web.url("/a", "mirror.example"))
        assert web.asked

    def test_without_location(self, make_guard, web, naps):
        web.answers["/a"] = Answer(302)
        refused(make_guard(), web.url("/a"))

    def test_the_name_is_resolved_again_for_each(self, make_guard, web, decoy, naps):
        web.answers["/a"] = Answer(302, b"", {"Location": f"http://mirror.example:{decoy.port}/secret"})
        names = Names(mirror_example=[["127.0.0.1"], ["93.184.216.34", "127.0.0.2"]])
        guard = make_guard(names, allowed_hosts="", disallowed_hosts="")
        conf = guard._conf
        conf.set_override("allowed_hosts", ["mirror.example"], group="import_filtering_opts")
        real = guard._check

        def check(target, image_import):
            addresses = real(target, image_import)
            conf.set_override("allowed_hosts", [], group="import_filtering_opts")
            return addresses

        guard._check = check
        refused(guard, web.url("/a", "mirror.example"))
        assert len(web.asked) == 1

    def test_password_goes_only_to_the_same_origin(self, make_guard, web):
        other = WebServer("127.0.0.4")
        web.answers["/a"] = Answer(302, b"", {"Location": "/b"})
        web.answers["/b"] = Answer(302, b"", {"Location": other.url("/c")})
        other.answers["/c"] = Answer(200, b"x")
        guard = make_guard(allowed_hosts="127.0.0.1,127.0.0.4")
        assert body(guard.open("GET", f"http://u:p@127.0.0.1:{web.port}/a")) == b"x"
        assert ["Authorization" in headers for _, _, headers in (*web.asked, *other.asked)] == [True, True, False]
        other.close()


class TestTls:
    @pytest.fixture
    def secure(self, secure_web):
        secure_web.answers["/image"] = Answer(200, b"over tls")
        return secure_web

    def test_the_name_is_verified_at_the_checked_address(self, make_guard, secure, certificate):
        tls = ssl.create_default_context(cafile=certificate.authority)
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="mirror.example")
        assert body(guard.open("GET", secure.url("/image", "mirror.example", "https"), tls=tls)) == b"over tls"

    def test_another_name(self, make_guard, secure, certificate, naps):
        tls = ssl.create_default_context(cafile=certificate.authority)
        guard = make_guard(Names(other_example=["127.0.0.1"]), allowed_hosts="other.example,127.0.0.1")
        refused(guard, secure.url("/image", "other.example", "https"), tls=tls)
        refused(guard, secure.url("/image", scheme="https"), tls=tls)
        assert secure.asked == []

    def test_unknown_authority(self, make_guard, secure, naps):
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="mirror.example")
        refused(guard, secure.url("/image", "mirror.example", "https"))

    def test_from_http_to_https(self, make_guard, web, secure, certificate):
        tls = ssl.create_default_context(cafile=certificate.authority)
        web.answers["/a"] = Answer(302, b"", {"Location": secure.url("/image", "mirror.example", "https")})
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="mirror.example")
        assert body(guard.open("GET", web.url("/a", "mirror.example"), tls=tls)) == b"over tls"

    def test_never_from_https_to_http(self, make_guard, web, secure, certificate, naps):
        tls = ssl.create_default_context(cafile=certificate.authority)
        web.answers["/image"] = Answer(200, b"in the open")
        secure.answers["/a"] = Answer(302, b"", {"Location": web.url("/image", "mirror.example")})
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="mirror.example")
        refused(guard, secure.url("/a", "mirror.example", "https"), tls=tls)
        assert web.asked == []


class TestProxy:
    @pytest.fixture
    def proxy(self):
        """Answers CONNECT and passes bytes on; remembers to where."""
        tunnels = []

        def talk(connection):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(10000)
            method, target, _ = request.decode().split(" ", 2)
            tunnels.append((method, target))
            with socket.create_connection(tuple(target.rsplit(":", 1))) as peer:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(peer, connection), daemon=True)
                back.start()
                pump(connection, peer)
                back.join(5)

        def pump(source, sink):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

        server = RawServer(talk)
        server.tunnels = tunnels
        yield server
        server.close()

    def test_is_asked_for_the_checked_address(self, make_guard, web, proxy):
        web.answers["/image"] = Answer(200, b"tunnelled")
        guard = make_guard(Names(mirror_example=["127.0.0.1"]), allowed_hosts="mirror.example")
        proxies = {"http": f"127.0.0.1:{proxy.port}"}
        assert body(guard.open("GET", web.url("/image", "mirror.example"), proxies=proxies)) == b"tunnelled"
        assert proxy.tunnels == [("CONNECT", f"127.0.0.1:{web.port}")]
        assert web.asked[0][2]["Host"] == f"mirror.example:{web.port}"

    def test_does_not_open_what_is_refused(self, make_guard, decoy, proxy, naps):
        guard = make_guard(Names(mirror_example=["127.0.0.2"]), allowed_hosts="")
        refused(guard, f"http://mirror.example:{decoy.port}/secret", proxies={"http": f"127.0.0.1:{proxy.port}"})
        assert proxy.tunnels == []

    def test_that_is_down(self, make_guard, web, naps):
        refused(make_guard(), web.url("/image"), proxies={"http": f"127.0.0.1:{closed_port()}"})
        assert web.asked == []


def test_all_of_this_under_eventlet():
    program = (
        "import eventlet; eventlet.monkey_patch(); import pytest, sys; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--deselect', "
        "'tests/unit/store/test_fetch.py::test_all_of_this_under_eventlet', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program, __file__], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode()
