"""No secret is where it should not be: logs, answers, notifications (spec security.md §1, §2; DESIGN principles).

Both daemons run at debug level with secrets in their configurations and in the requests; afterwards everything they
wrote and said is searched for each secret as it is, quoted for a URL, in base64 and in hexadecimal.  The database keeps
locations, and is not searched.
"""

import base64
import contextlib
import json
import re
import uuid
from urllib.parse import quote, quote_plus

import pytest
import requests

from tests.functional.conftest import identity
from tests.functional.v1.raw import Conversation
from tests.functional.v1.source import Source

TOKEN = "tok/en+of=the user&1"
DATABASE_PASSWORD = "data base/pass+word"
SECRETS = {
    "admin_password": "admin pass/word+1",
    "keystone password": "keystone pass/word+2",
    "memcache_secret_key": "memcache key/3+x",
    "metadata_encryption_key": "key+of/16=bytes!",
    "swift_store_key": "swift key/5+x",
    "s3_store_secret_key": "s3 secret/6+x",
    "s3_store_access_key": "s3 access/7+x",
    "transport password": "rabbit pass/8+x",
    "token": TOKEN,
    "storage token": "storage tok/9+x",
    "service token": "service tok/10+x",
    "catalog": "catalog pass/11+x",
    "location": "loc pass/12+x",
    "refused location": "ref pass/13+x",
    "copy source": "copy pass/14+x",
    "unknown scheme": "unk pass/15+x",
    "database password": DATABASE_PASSWORD,
}
"""None is a word of its own; each has characters that are quoted."""
LOCATION_HOLDERS = ("location", "refused location", "copy source", "unknown scheme")
MINIMUM_LINES = 300
UPLOAD = {
    "x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}  # fmt: skip
USER = identity("tenant") | {
    "X-Auth-Token": TOKEN, "X-Storage-Token": SECRETS["storage token"], "X-Service-Token": SECRETS["service token"],
    "X-Service-Catalog": json.dumps([{"type": "image", "endpoints": [{"publicURL": SECRETS["catalog"]}]}]),
}  # fmt: skip
ADMIN = USER | identity("admins", "root", "admin")


def forms(secret):
    """How a secret may be written."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * shift + raw).decode()[4 if shift else 0 : -4] for shift in range(3)]
    texts = {
        secret, quote(secret, safe=""), quote(secret), quote_plus(secret), secret.replace(" ", "+"), raw.hex(),
        base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("="),
        json.dumps(secret)[1:-1], *shifted,
    }  # fmt: skip
    return {text for text in texts if len(text) > 7}


class Search:
    """Everything that was written or said, by where."""

    def __init__(self):
        self.texts = {}
        self.answers = []

    def add(self, where, text):
        self.texts[where] = text

    def keep(self, answer):
        """Remember an answer with its headers; return it."""
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append(f"{answer.request.method} {answer.status_code}\n{headers}\n{answer.text}")
        return answer

    @property
    def lines(self):
        return sum(len(text.splitlines()) for text in [*self.texts.values(), *self.answers])

    def found(self, names=SECRETS, spare=()):
        """(secret, where, the line) of each that is where it should not be.

        :param spare: kinds of places that may hold them
        """
        places = self.texts | {f"answer {number}": text for number, text in enumerate(self.answers)}
        hits = []
        for name in names:
            pattern = re.compile("|".join(re.escape(form) for form in forms(SECRETS[name])))
            for where, text in places.items():
                if where not in spare and (hit := pattern.search(text)):
                    line = text[text.rfind("\n", 0, hit.start()) + 1 :].splitlines()[0]
                    hits.append((name, where, line[:300]))
        return hits


@pytest.fixture(scope="module")
def source():
    with Source() as server:
        yield server


@pytest.fixture(scope="module")
def database(postgresql_server):
    """A database whose URL has a password that nobody asks for."""
    with postgresql_server.database() as url:
        yield url.replace(":secret@", f":{quote(DATABASE_PASSWORD, safe='')}@")


@pytest.fixture(scope="module")
def deployment(deploy, database):
    secrets = {
        "admin_user": "glance", "admin_password": SECRETS["admin_password"], "admin_tenant_name": "service",
        "keystone_authtoken": {
            "admin_user": "glance", "admin_password": SECRETS["keystone password"], "admin_tenant_name": "service",
            "memcache_secret_key": SECRETS["memcache_secret_key"],
        },
        "glance_store": {
            "stores": "file,http", "swift_store_key": SECRETS["swift_store_key"],
            "s3_store_access_key": SECRETS["s3_store_access_key"],
            "s3_store_secret_key": SECRETS["s3_store_secret_key"],
        },
        "oslo_messaging_notifications": {
            "transport_url": f"rabbit://glance:{quote(SECRETS['transport password'], safe='')}@127.0.0.1:1/"
        },
        "database": {"connection": database.replace("%", "%%") if False else database},
        "import_filtering_opts": {"allowed_hosts": "127.0.0.1", "fetch_deadline": 1},
    }  # fmt: skip
    debug = {"debug": True, "default_log_levels": "sqlalchemy.engine=WARN"}
    api = debug | secrets | {
        "metadata_encryption_key": SECRETS["metadata_encryption_key"], "notifier_strategy": "logging",
        "registry_client_timeout": 5, "show_multiple_locations": True, "show_image_direct_url": False,
    }  # fmt: skip
    registry = debug | {name: secrets[name] for name in ("keystone_authtoken", "database")}
    return deploy(api=api, registry=registry, flavor="trusted-auth", connection=database)


def url_of(secret, port, path, scheme="http"):
    return f"{scheme}://user:{quote(SECRETS[secret], safe='')}@127.0.0.1:{port}{path}"


@pytest.fixture(scope="module")
def search(deployment, source):
    """Lets the daemons do everything that may go well or wrong, then collects what they wrote."""
    search = Search()
    port = source.port if hasattr(source, "port") else int(source.url.rsplit(":", 1)[1].split("/")[0])
    dead = url_of("refused location", 1, "/x")

    def ask(method, path, headers=USER, data=None, base=deployment.url, **more):
        return search.keep(requests.request(method, base + path, headers=headers | more, data=data, timeout=60))

    def v1():
        image = ask("POST", "/images", USER | UPLOAD, b"data").json()["image"]["id"]
        for path in ("/images", "/images/detail", f"/images/{image}", f"/images/{image}/members", "/nothing"):
            for headers in (USER, ADMIN, USER | {"X-Auth-Token": TOKEN + "\x7f"}, {"X-Auth-Token": TOKEN}):
                ask("GET", path, headers)
        ask("PUT", f"/images/{image}", USER | {"x-image-meta-name": "n"})
        ask("PUT", f"/images/{image}/members/m", USER, b"{")
        ask("DELETE", f"/images/{image}", USER)
        places = [
            url_of("location", port, "/size/5"), url_of("location", port, "/status/500"),
            url_of("location", port, "/status/404"), url_of("location", port, "/short/50"), dead,
            url_of("refused location", 99999, "/x"), url_of("refused location", port, "/x y\u00e9"),
            url_of("unknown scheme", 1, "/x", "ftp"), url_of("unknown scheme", 1, "/x", "swift+http"),
            url_of("unknown scheme", 1, "/x", "s3+https"), url_of("unknown scheme", 1, "/x", "file"),
        ]  # fmt: skip
        for place in places:
            meta = UPLOAD | {"x-image-meta-location": place.encode()}
            answer = ask("POST", "/images", USER | meta)
            if answer.status_code == 201:
                created = answer.json()["image"]["id"]
                for method in ("HEAD", "GET", "DELETE"):
                    with contextlib.suppress(requests.RequestException):
                        ask(method, f"/images/{created}")
        for place in (url_of("copy source", port, "/short/50"), url_of("copy source", port, "/size/9"), dead):
            ask("POST", "/images", USER | UPLOAD | {"x-glance-api-copy-from": place})

    def v2():
        base = deployment.endpoint + "/v2"
        answer = ask(
            "POST", "/images", data=json.dumps({"name": "n"}), base=base, **{"Content-Type": "application/json"}
        )
        image = answer.json()["id"]
        kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        for place in (url_of("location", port, "/size/5"), dead, url_of("unknown scheme", 1, "/x", "ftp")):
            patch = [{"op": "add", "path": "/locations/-", "value": {"url": place, "metadata": {}}}]
            ask("PATCH", f"/images/{image}", data=json.dumps(patch), base=base, **kind)
        for path in (f"/images/{image}", f"/images/{image}/file", "/images", "/nothing"):
            ask("GET", path, base=base)
        ask("DELETE", f"/images/{image}", base=base)

    def registry():
        base = deployment.registry_url
        for path in ("/images", "/images/detail", "/nothing", "/transfers", f"/images/{uuid.uuid4()}"):
            for headers in (USER, ADMIN, {"X-Auth-Token": TOKEN}):
                ask("GET", path, headers, base=base)
        for image in (
            5,
            {"status": "x"},
            {"location_data": [{"url": dead, "status": "x"}]},
            {"location": dead + "\x00"},
        ):
            ask("POST", "/images", USER, json.dumps({"image": image}), base=base)
        ask("POST", "/rpc", USER, json.dumps([{"command": "x", "kwargs": {"image_id": dead}}]), base=base)

    v1()
    v2()
    registry()
    with Conversation(deployment.api_port) as conversation:  # a request that is none
        conversation.send(b"GET /v1/images HTTP/9\r\nX-Auth-Token: " + TOKEN.encode() + b"\r\n\r\n")
        conversation.closed()
    deployment.registry.stop()
    try:
        for path in ("/images", "/images/detail"):
            assert ask("GET", path, USER | {"X-Auth-Token": TOKEN}).status_code == 503
    finally:
        deployment.registry.start()
    assert ask("GET", "/images").status_code == 200
    missing = deployment.manage("db", "version", check=False)
    search.add("glance-manage", missing.stdout + missing.stderr)
    for daemon in (deployment.api, deployment.registry):
        search.add(f"{daemon.module} log", daemon.log.read_text())
    return search


def test_how_much_was_searched(search):
    print(f"{search.lines} lines of {len(search.answers)} answers and {sorted(search.texts)}")
    assert search.lines > MINIMUM_LINES
    assert len(search.answers) > 60
    for where, text in search.texts.items():
        assert where == "glance-manage" or len(text.splitlines()) > MINIMUM_LINES // 2, where
        assert where == "glance-manage" or " DEBUG " in text, where


def test_what_is_searched_is_there(search):
    """The options are written down, masked; notifications are sent; the places were asked for."""
    api = search.texts["glance.cmd.api log"]
    for option in ("admin_password", "metadata_encryption_key", "s3_store_secret_key", "database.connection"):
        (line,) = [line for line in api.splitlines() if re.search(rf"\b{re.escape(option)} += ", line)][:1]
        assert "***" in line, line
    assert "image.create" in api and "oslo.messaging.notification" in api


def test_the_search_finds(search):
    """It would find each form of each secret."""
    for name, secret in SECRETS.items():
        for form in forms(secret):
            probe = Search()
            probe.add("log", f"line\nbefore {form} after\nline")
            assert [hit[0] for hit in probe.found([name])] == [name], form


@pytest.mark.parametrize("name", SECRETS)
def test_nowhere(search, name):
    assert search.found([name]) == []
