"""The service on MariaDB and on PostgreSQL, each daemon with two workers (spec v1-api.md §5, §8, database.md §4).

What a database may get wrong differs from one to the next: how it compares text, how large a number it keeps, what it
does with a connection when it is stopped.  Tests of single functions are in ``tests/unit/db``.
"""

import contextlib
import hashlib
import os
import signal
import time
import uuid

import pytest
import requests
import sqlalchemy

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, listed, status_of, wait_for_status, wait_until
from tests.functional.v1.raw import Conversation
from tests.services.databases import DatabaseServer, _directory, _prepare, _program, _running
from tests.services.ports import free_port

DATA = b"data of the image\n" * 1000
BIG = os.urandom(1 << 20) * 16
"""More than all buffers between the service and its client hold."""
QUOTA = 3 * len(BIG)
KEEP = {"x-glance-registry-purge-props": "false"}
UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}
RECOVERY = 5
"""Seconds after which the service works again when its database does."""
AGAIN = 8
"""How often to ask what every worker must answer alike."""
TABLES = ("images", "image_properties", "image_locations", "image_members", "image_tags", "glance_transfers")


# --- servers ----------------------------------------------------------------------------------------


class Server:
    """A database server of this module alone: it may be stopped."""

    def __init__(self, command, directory, number, server, **owner):
        self._command, self._directory, self._number, self._owner = command, directory, number, owner
        self._server = server
        self._process = contextlib.ExitStack()
        self.database = server.database

    def start(self):
        process = self._process.enter_context(_running(self._command, self._directory, self._number, **self._owner))
        self._server.wait_until_ready(process, self._directory / "log")

    def stop(self):
        """Stop it and wait until it is gone."""
        self._process.close()

    def run(self, statement):
        self._server.run(statement)


@contextlib.contextmanager
def _mariadb():
    pytest.importorskip("pymysql")
    daemon, install = _program("mariadbd", "/usr/sbin"), _program("mariadb-install-db")
    port, as_root = free_port(), ["--user=root"] if os.geteuid() == 0 else []
    with _directory() as directory:
        common = ["--no-defaults", f"--datadir={directory}/data", *as_root]
        _prepare([install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"], directory)
        socket = f"{directory}/socket"
        command = [
            daemon, *common, f"--socket={socket}", f"--pid-file={directory}/pid", f"--port={port}",
            "--bind-address=127.0.0.1", f"--tmpdir={directory}", "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M",
        ]  # fmt: skip
        server = DatabaseServer(
            f"mysql+pymysql://root@localhost/?unix_socket={socket}",
            f"mysql+pymysql://glance:secret@127.0.0.1:{port}/{{}}?charset=utf8mb4",
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            "DROP DATABASE {}",
        )
        running = Server(command, directory, signal.SIGTERM, server)
        yield (
            running,
            ("CREATE USER glance@'127.0.0.1' IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO glance@'127.0.0.1'"),
        )


@contextlib.contextmanager
def _postgresql():
    pytest.importorskip("psycopg2")
    daemon = _program("postgres", "/usr/lib/postgresql/*/bin")
    port = free_port()
    owner = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with _directory(**owner) as directory:
        initdb = os.path.join(os.path.dirname(daemon), "initdb")
        options = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        _prepare([initdb, "-D", f"{directory}/data", *options], directory, **owner)
        command = [daemon, "-D", f"{directory}/data", "-p", str(port), "-k", str(directory)]
        command += ["--listen_addresses=127.0.0.1", "--fsync=off", "--full_page_writes=off"]
        server = DatabaseServer(
            f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres",
            f"postgresql+psycopg2://glance:secret@127.0.0.1:{port}/{{}}",
            "CREATE DATABASE {} OWNER glance",
            "DROP DATABASE {} WITH (FORCE)",
        )
        running = Server(command, directory, signal.SIGINT, server, **owner)
        yield running, ("CREATE ROLE glance LOGIN PASSWORD 'secret'",)


@pytest.fixture(scope="module", params=[_mariadb, _postgresql], ids=["mariadb", "postgresql"])
def server(request):
    with request.param() as (running, statements):
        running.start()
        try:
            for statement in statements:
                running.run(statement)
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def deployment(server, deploy):
    with server.database() as url:
        running = deploy(
            api={
                "workers": 2,
                "user_storage_quota": f"{QUOTA}B",
                "image_member_quota": 3,
                "notifier_strategy": "noop",
                "registry_client_timeout": 20,
            },
            registry={"workers": 2},
            flavor="trusted-auth",
            connection=url,
        )
        yield running
        running.stop()


@pytest.fixture
def user():
    """Headers of an ordinary user of a tenant of its own."""
    return identity(uuid.uuid4().hex)


def table(deployment, name, image_id=None):
    """Rows of a table as they are stored, in some fixed order."""
    engine = sqlalchemy.create_engine(deployment.connection, poolclass=sqlalchemy.pool.NullPool)
    key = "id" if name == "images" else "image_id"
    where = f" WHERE {key} = :id" if image_id else ""
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text(f"SELECT * FROM {name}{where}"), {"id": image_id} if where else {})
        return sorted((dict(row._mapping) for row in found), key=str)


def everything(deployment):
    """All that the database holds of images."""
    return {name: table(deployment, name) for name in TABLES}


def names(deployment, caller, **query):
    """Names of the caller's own images that a list shows, in its order; every worker shows the same."""
    found = [[image["name"] for image in listed(deployment, caller, **query)] for _ in range(AGAIN)]
    assert found == [found[0]] * AGAIN
    return found[0]


# --- an image's life ------------------------------------------------------------------------------------


def test_create_with_data_and_show(deployment, user):
    created = deployment.create(DATA, headers=user, name="n", min_disk=2**31 - 1, min_ram=7, property_a="1")
    expected = {
        "name": "n", "status": "active", "size": len(DATA), "checksum": hashlib.md5(DATA).hexdigest(),
        "disk_format": "raw", "container_format": "bare", "min_disk": 2**31 - 1, "min_ram": 7, "is_public": False,
        "protected": False, "deleted": False, "deleted_at": None, "owner": user["X-Tenant-Id"],
        "properties": {"a": "1"},
    }  # fmt: skip
    assert {name: created[name] for name in expected} == expected
    path = f"/images/{created['id']}"
    for _ in range(AGAIN):
        assert listed(deployment, user) == [created]
        head = deployment.request("HEAD", path, headers=user)
        assert (head.headers["x-image-meta-size"], head.headers["x-image-meta-min_disk"]) == (
            str(len(DATA)), str(2**31 - 1),
        )  # fmt: skip
        answer = deployment.request("GET", path, headers=user)
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["x-image-meta-property-a"] == "1"
    assert deployment.files(created["id"]) == [created["id"]]
    (row,) = table(deployment, "images", created["id"])
    assert (row["visibility"], row["os_hash_algo"]) == ("shared", "sha512")
    assert row["os_hash_value"] == hashlib.sha512(DATA).hexdigest()


def test_data_that_comes_later(deployment, user):
    image_id = deployment.create(headers=user, name="empty")["id"]
    path = f"/images/{image_id}"
    assert status_of(deployment, image_id) == "queued"
    assert (
        deployment.request("PUT", path, headers=user | UPLOAD, data=iter([DATA[:100], DATA[100:]])).status_code == 200
    )
    assert deployment.request("GET", path, headers=user).content == DATA
    assert deployment.request("PUT", path, headers=user | UPLOAD, data=DATA).status_code == 409
    assert table(deployment, "glance_transfers", image_id) == []


def test_values_of_every_kind(deployment, user):
    text = "Zürich 图像 ' \" \\ % _ --"
    huge = 2**40 - 1
    headers = {"x-image-meta-name": text, "x-image-meta-property-text": text, "x-image-meta-property-empty": ""}
    headers = {name: value.encode() for name, value in headers.items()}
    image = deployment.create(headers=user | headers, size=huge, property_long="x" * 4000, property_Upper="A")
    assert (image["name"], image["size"]) == (text, huge)
    properties = image["properties"]
    assert (properties["text"], properties["long"], properties["upper"]) == (text, "x" * 4000, "A")
    assert listed(deployment, user) == [image]
    for headers in (
        {"x-image-meta-name": "n" * 256}, {"x-image-meta-name": "\U0001f600".encode()}, {"x-image-meta-id": "x"},
        {"x-image-meta-size": str(2**63)}, {"x-image-meta-min_ram": str(2**31)}, {"x-image-meta-owner": "o" * 256},
    ):  # fmt: skip
        assert deployment.request("POST", "/images", headers=ADMIN | headers).status_code == 400, headers
    taken = deployment.request("POST", "/images", headers=user | {"x-image-meta-id": image["id"]})
    assert taken.status_code == 409


def test_lists(deployment, user):
    for name, meta in (
        ("b", {"disk_format": "raw", "container_format": "bare", "min_ram": 1, "property_k": "v"}),
        ("A", {"disk_format": "qcow2", "container_format": "ovf", "min_disk": 2, "property_k": "V"}),
        ("a", {"disk_format": "raw", "container_format": "bare", "protected": "true", "property_other": "v"}),
        ("a:b", {"size": 10, "property_k": "v", "property_other": "v"}),
        ("c", {"size": 2**40}),
    ):
        deployment.create(headers=user, name=name, **meta)
    for query, expected in (
        ({}, ["c", "a:b", "a", "A", "b"]),
        ({"sort_key": "created_at", "sort_dir": "asc"}, ["b", "A", "a", "a:b", "c"]),
        ({"name": "a"}, ["a"]),
        ({"name": "A"}, ["A"]),
        ({"name": "a:b"}, ["a:b"]),
        ({"name": "a "}, []),
        ({"name": "%"}, []),
        ({"disk_format": "raw"}, ["a", "b"]),
        ({"container_format": "ovf"}, ["A"]),
        ({"status": "queued"}, ["c", "a:b", "a", "A", "b"]),
        ({"status": "nonsense"}, []),
        ({"min_ram": 1}, ["b"]),
        ({"min_disk": 2}, ["A"]),
        ({"protected": "true"}, ["a"]),
        ({"protected": "0"}, ["c", "a:b", "A", "b"]),
        ({"size_min": 11}, ["c"]),
        ({"size_max": 10, "size_min": 10}, ["a:b"]),
        ({"property-k": "v"}, ["a:b", "b"]),
        ({"property-k": "V"}, ["A"]),
        ({"property-k": "v", "property-other": "v"}, ["a:b"]),
        ({"property-k": "nothing"}, []),
        ({"changes-since": "2000-01-01T00:00:00Z"}, ["c", "a:b", "a", "A", "b"]),
        ({"changes-since": "2199-01-01T00:00:00Z"}, []),
    ):
        assert sorted(names(deployment, user, **query)) == sorted(expected), query
    for query in ({"size_min": "x"}, {"sort_key": "owner"}, {"marker": str(uuid.uuid4())}, {"changes-since": "x"}):
        assert deployment.request("GET", "/images", headers=user, params=query).status_code == 400, query


@pytest.mark.parametrize("key", ["name", "size", "created_at", "updated_at", "id", "status", "disk_format"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages(deployment, user, key, direction):
    """Page after page shows every image once, also where all of them are equal or have no value."""
    for number in range(7):
        meta = {"size": number % 3} if number % 2 else {}
        deployment.create(headers=user, **meta, **({"name": "same"} if number < 4 else {}))
    order = {"sort_key": key, "sort_dir": direction}
    whole = [image["id"] for image in listed(deployment, user, **order)]
    assert len(set(whole)) == 7
    found, marker = [], {}
    while page := listed(deployment, user, limit=2, **order, **marker):
        found += [image["id"] for image in page]
        marker = {"marker": found[-1]}
    assert found == whole


def test_update(deployment, user):
    image = deployment.create(DATA, headers=user, name="before", property_a="1", property_b="2")
    path = f"/images/{image['id']}"
    kept = deployment.request("PUT", path, headers=user | KEEP | {"x-image-meta-property-a": "3"}).json()["image"]
    assert (kept["name"], kept["properties"]) == ("before", {"a": "3", "b": "2"})
    changed = deployment.request(
        "PUT", path, headers=user | {"x-image-meta-name": "after", "x-image-meta-property-A": "4"}
    ).json()["image"]
    assert (changed["name"], changed["properties"]) == ("after", {"a": "4"})
    assert changed["updated_at"] >= image["updated_at"]
    assert (changed["created_at"], changed["checksum"]) == (image["created_at"], image["checksum"])
    revived = deployment.request("PUT", path, headers=user | KEEP | {"x-image-meta-property-b": "5"}).json()["image"]
    assert revived["properties"] == {"a": "4", "b": "5"}
    assert [listed(deployment, user) for _ in range(AGAIN)] == [[revived]] * AGAIN
    assert deployment.request("PUT", path, headers=user | {"x-image-meta-status": "killed"}).status_code == 403
    other = identity(uuid.uuid4().hex)
    assert deployment.request("PUT", path, headers=other | {"x-image-meta-name": "x"}).status_code == 404
    live = [row for row in table(deployment, "image_properties", image["id"]) if not row["deleted"]]
    assert sorted((row["name"], row["value"]) for row in live) == [("a", "4"), ("b", "5")]


def test_members(deployment, user):
    image_id = deployment.create(DATA, headers=user)["id"]
    path, friend = f"/images/{image_id}", uuid.uuid4().hex
    member = identity(friend)

    def ask(method, what="", caller=user, **more):
        return deployment.request(method, path + what, headers=caller, **more)

    assert ask("GET", caller=member).status_code == 404
    for _ in range(2):
        assert ask("PUT", f"/members/{friend}").status_code == 204
    assert ask("GET", caller=member).content == DATA
    assert ask("PUT", "/members/x", member).status_code == 404
    assert ask("PUT", f"/members/{friend}", json={"member": {"can_share": True}}).status_code == 204
    assert ask("PUT", "/members/x", member).status_code == 204
    assert ask("GET", caller=identity(friend.upper())).status_code == 404
    assert ask("PUT", f"/members/{friend.upper()}Z").status_code == 204
    assert ask("PUT", "/members/too-many").status_code == 413
    found = ask("GET", "/members").json()["members"]
    assert {(one["member_id"], one["can_share"]) for one in found} == {
        (friend, True), ("x", False), (f"{friend.upper()}Z", False),
    }  # fmt: skip
    shared = deployment.request("GET", f"/shared-images/{friend}", headers=member).json()
    assert shared == {"shared_images": [{"image_id": image_id, "can_share": True}]}
    assert ask("DELETE", "/members/x").status_code == 204
    assert ask("DELETE", "/members/x").status_code == 404
    assert ask("PUT", "/members", json={"memberships": [{"member_id": "y", "can_share": True}]}).status_code == 204
    assert ask("GET", "/members").json() == {"members": [{"member_id": "y", "can_share": True}]}
    assert ask("GET", caller=member).status_code == 404
    assert ask("PUT", f"/members/{friend}").status_code == 204  # what was taken away comes back, once
    assert len(table(deployment, "image_members", image_id)) == len(
        {row["member"] for row in table(deployment, "image_members", image_id)}
    )
    assert ask("GET", caller=member).status_code == 200


def test_delete(deployment, user):
    image = deployment.create(DATA, headers=user, property_a="1")
    path = f"/images/{image['id']}"
    assert deployment.request("PUT", f"{path}/members/m", headers=user).status_code == 204
    assert deployment.request("DELETE", path, headers=identity(uuid.uuid4().hex)).status_code == 404
    assert deployment.request("DELETE", path, headers=user).status_code == 200
    for _ in range(AGAIN):
        assert deployment.request("HEAD", path, headers=user).status_code == 404
    assert (status_of(deployment, image["id"]), deployment.files(image["id"])) == ("deleted", [])
    for name in ("images", "image_properties", "image_locations", "image_members"):
        (row,) = table(deployment, name, image["id"])
        assert bool(row["deleted"]), name
        assert row["deleted_at"] is not None, name
    assert listed(deployment, user) == []
    (gone,) = listed(deployment, user, **{"changes-since": "2000-01-01T00:00:00Z"})
    assert (gone["id"], gone["deleted"], gone["status"]) == (image["id"], True, "deleted")
    # The id stays taken.
    again = deployment.request("POST", "/images", headers=user | {"x-image-meta-id": image["id"]})
    assert again.status_code == 409


@pytest.mark.parametrize("declared", [True, False])
def test_quota(deployment, user, declared):
    def post(image_id):
        headers = user | UPLOAD | {"x-image-meta-id": image_id}
        data = BIG if declared else iter([BIG])
        return deployment.request("POST", "/images", headers=headers, data=data).status_code

    first, *_, refused, last = image_ids = [str(uuid.uuid4()) for _ in range(QUOTA // len(BIG) + 2)]
    assert [post(image_id) for image_id in image_ids[:-1]] == [201] * (QUOTA // len(BIG)) + [413]
    assert (status_of(deployment, refused), deployment.files(refused)) == ("killed", [])
    assert deployment.request("DELETE", f"/images/{first}", headers=user).status_code == 200
    assert post(last) == 201
    assert deployment.create(DATA, headers=identity(uuid.uuid4().hex))["status"] == "active"  # somebody else's room


# --- without a database -------------------------------------------------------------------------------------


def requests_on(image_id):
    """(method, path, headers, body) of every operation, on an image and on the collection."""
    image = f"/images/{image_id}"
    return [
        ("GET", "/images", {}, None), ("GET", "/images/detail", {}, None), ("POST", "/images", {}, None),
        ("POST", "/images", UPLOAD, DATA), ("HEAD", image, {}, None), ("GET", image, {}, None),
        ("PUT", image, {"x-image-meta-name": "x"}, None), ("DELETE", image, {}, None),
        ("GET", f"{image}/members", {}, None), ("PUT", f"{image}/members/m", {}, None),
        ("PUT", f"{image}/members", {}, b'{"memberships": []}'), ("DELETE", f"{image}/members/m", {}, None),
        ("GET", "/shared-images/m", {}, None),
    ]  # fmt: skip


@contextlib.contextmanager
def stopped(server):
    """Without the database server; it runs again, and accepts connections, afterwards."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def assert_recovers(deployment, user, image_id, data=DATA):
    """Soon after the start of its database every worker answers again, and goes on to."""
    deadline = time.monotonic() + RECOVERY
    while (answer := deployment.request("GET", f"/images/{image_id}", headers=user)).status_code != 200:
        assert answer.status_code == 503
        assert time.monotonic() < deadline, f"still {answer.status_code} after {RECOVERY} s"
        time.sleep(0.05)
    for _ in range(AGAIN):
        answer = deployment.request("GET", f"/images/{image_id}", headers=user)
        assert (answer.status_code, answer.content == data) == (200, True)


def assert_logs_are_clean(deployment):
    for daemon in (deployment.api, deployment.registry):
        log = daemon.log.read_text()
        assert "Traceback" not in log
        assert "secret" not in log


def test_database_stopped(deployment, server, user):
    image_id = deployment.create(DATA, headers=user, name="before", property_a="1")["id"]
    assert deployment.request("PUT", f"/images/{image_id}/members/m", headers=user).status_code == 204
    before = everything(deployment)
    files = sorted(path.name for path in deployment.images.iterdir())
    with stopped(server):
        for _ in range(2):
            for method, path, headers, body in requests_on(image_id):
                answer = deployment.request(method, path, headers=user | headers, data=body)
                assert answer.status_code == 503, (method, path)
                assert int(answer.headers["Retry-After"]) > 0, (method, path)
                for word in ("Traceback", "mysql", "postgresql", "psycopg", "glance.", "secret", "127.0.0.1"):
                    assert word not in answer.text, (method, path)
        for path in ("/images", "/images/detail", f"/images/{image_id}", "/shared-images/m"):
            answer = requests.get(deployment.registry_url + path, headers=ADMIN, timeout=60)
            assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True), path
        assert requests.get(deployment.endpoint + "/versions", timeout=60).status_code == 200
    assert_recovers(deployment, user, image_id)
    assert everything(deployment) == before
    assert sorted(path.name for path in deployment.images.iterdir()) == files
    assert deployment.request("DELETE", f"/images/{image_id}", headers=user).status_code == 200
    assert_logs_are_clean(deployment)


def test_database_restarted_between_two_requests(deployment, server, user):
    """Nobody notices, whatever the first request is: the pools hold dead connections only."""
    image_id = deployment.create(DATA, headers=user)["id"]
    path = f"/images/{image_id}"
    for method, headers in (("GET", {}), ("PUT", {"x-image-meta-name": "n"}), ("POST", {})):
        for _ in range(AGAIN):
            assert deployment.request("HEAD", path, headers=user).status_code == 200
        with stopped(server):
            pass
        for _ in range(AGAIN):
            where = "/images" if method == "POST" else path
            assert deployment.request(method, where, headers=user | headers).status_code in (200, 201)
    assert_recovers(deployment, user, image_id)
    assert_logs_are_clean(deployment)


def upload(conversation, deployment, user):
    """Begin an upload of unknown length and send some of it; return the image's id."""
    image_id = str(uuid.uuid4())
    headers = user | UPLOAD | {"x-image-meta-id": image_id, "Transfer-Encoding": "chunked"}
    conversation.head("POST", "/v1/images", headers)
    conversation.chunk(DATA)
    wait_for_status(deployment, image_id, "saving")
    return image_id


def test_database_stopped_at_the_end_of_an_upload(deployment, server, user):
    with Conversation(deployment.api_port) as conversation:
        image_id = upload(conversation, deployment, user)
        with stopped(server):
            conversation.end()
            answer = conversation.answer()
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    wait_for_status(deployment, image_id, "killed")
    wait_until(lambda: not deployment.files(image_id), "the data is removed")
    assert table(deployment, "image_locations", image_id) == []
    assert table(deployment, "glance_transfers", image_id) == []
    assert_logs_are_clean(deployment)


def test_database_restarted_during_an_upload(deployment, server, user):
    """The data needs no database while it comes in."""
    with Conversation(deployment.api_port) as conversation:
        image_id = upload(conversation, deployment, user)
        with stopped(server):
            conversation.chunk(DATA)
        conversation.end()
        assert conversation.answer().status == 201
    answer = deployment.request("GET", f"/images/{image_id}", headers=user)
    assert (answer.status_code, answer.content) == (200, DATA * 2)
    assert table(deployment, "glance_transfers", image_id) == []
    assert_logs_are_clean(deployment)


def test_database_stopped_during_a_download(deployment, server, user):
    """What began goes on to its end: the data comes from the store."""
    image_id = deployment.create(BIG, headers=user)["id"]
    url = f"{deployment.url}/images/{image_id}"
    with requests.get(url, headers=user, stream=True, timeout=60) as answer:
        first = answer.raw.read(100)
        with stopped(server):
            rest = answer.raw.read()
    assert first + rest == BIG
    assert_recovers(deployment, user, image_id, BIG)


def test_no_notifications(deployment):
    """They are off: nobody was looked for to take them."""
    assert "notif" not in deployment.api.log.read_text().lower()
