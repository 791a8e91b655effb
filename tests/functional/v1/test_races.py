"""Requests at the same time, across several workers of both daemons (spec v1-api.md §5, security.md §5).

Tests of two or four callers are beside the operations they race; these are the crowds.
"""

import contextlib
import hashlib
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy

from tests.functional.v1.conftest import PATIENCE, status_of, wait_for_status, wait_until

CROWD = 20
UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}
KEEP = {"x-glance-registry-purge-props": "false"}
BLOCK = 64 * 1024
FITTING = 5
"""Images of one block that the storage quota has room for."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def deployment(request, deploy):
    """A deployment on each database: one has a single writer, the others lock rows."""
    with contextlib.ExitStack() as stack:
        connection = None
        if request.param != "sqlite":
            server = request.getfixturevalue(f"{request.param}_server")
            connection = stack.enter_context(server.database())
        running = _start(deploy, connection)
        yield running
        running.stop()


@pytest.fixture(params=["user", "admin"])
def caller(request):
    """Headers of an ordinary user, or of an administrator, who is shown deleted records too."""
    return request.getfixturevalue(request.param)


def _start(deploy, connection):
    api = {
        "workers": 2,
        "user_storage_quota": f"{FITTING * BLOCK}B",
        "user_image_count_quota": CROWD,
        "import_filtering_opts": {"allowed_hosts": "127.0.0.1"},
    }
    return deploy(api=api, registry={"workers": 2}, flavor="trusted-auth", connection=connection)


def _execute(deployment, statement, values):
    parts = statement.split("?")
    text = parts[0] + "".join(f":v{number}{part}" for number, part in enumerate(parts[1:]))
    engine = sqlalchemy.create_engine(deployment.connection, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        found = connection.execute(sqlalchemy.text(text), {f"v{number}": value for number, value in enumerate(values)})
        return [tuple(row) for row in found] if found.returns_rows else []


def rows(deployment, statement, *values):
    """What is in the database, whichever it is; ``?`` in the statement stands for a value."""
    return _execute(deployment, statement, values)


def change(deployment, statement, *values):
    """Change what is in the database, as ``rows`` reads it."""
    _execute(deployment, statement, values)


def at_once(count, act):
    """Run ``act(number)`` in ``count`` threads that start together; return what each returned, in order."""
    start = threading.Barrier(count, timeout=PATIENCE)

    def run(number):
        start.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# --- data ---------------------------------------------------------------------------------------


def test_uploads_into_one_image(deployment, caller):
    image_id = deployment.create(headers=caller)["id"]
    path = f"/images/{image_id}"

    def put(number):
        return deployment.request("PUT", path, headers=caller | UPLOAD, data=bytes([number]) * BLOCK).status_code

    statuses = at_once(50, put)
    assert Counter(statuses) == {200: 1, 409: 49}
    answer = deployment.request("GET", path, headers=caller)
    assert (answer.status_code, answer.content) == (200, bytes([statuses.index(200)]) * BLOCK)
    assert answer.headers["x-image-meta-checksum"] == hashlib.md5(answer.content).hexdigest()
    assert [file.name for file in deployment.images.rglob(f"*{image_id}*") if file.is_file()] == [image_id]
    assert len(rows(deployment, "SELECT id FROM image_locations WHERE image_id = ?", image_id)) == 1


@pytest.mark.parametrize("declared", [True, False])
def test_uploads_against_the_storage_quota(deployment, caller, declared):
    image_ids = [str(uuid.uuid4()) for _ in range(CROWD)]

    def post(number):
        data = bytes([number]) * BLOCK
        headers = caller | UPLOAD | {"x-image-meta-id": image_ids[number]}
        return deployment.request("POST", "/images", headers=headers, data=data if declared else iter([data]))

    answers = at_once(CROWD, post)
    assert Counter(answer.status_code for answer in answers) == {201: FITTING, 413: CROWD - FITTING}
    for number, (image_id, answer) in enumerate(zip(image_ids, answers, strict=True)):
        if answer.status_code == 201:
            assert (status_of(deployment, image_id), deployment.files(image_id)) == ("active", [image_id])
            data = deployment.request("GET", f"/images/{image_id}", headers=caller).content
            assert data == bytes([number]) * BLOCK
        else:
            assert (status_of(deployment, image_id), deployment.files(image_id)) == ("killed", [])


# --- records --------------------------------------------------------------------------------------


def test_creates_against_the_count_quota(deployment, caller):
    room = 7
    for _ in range(CROWD - room):
        deployment.create(headers=caller)
    statuses = at_once(CROWD, lambda _: deployment.request("POST", "/images", headers=caller).status_code)
    assert Counter(statuses) == {201: room, 413: CROWD - room}
    count = "SELECT count(*) FROM images WHERE owner = ? AND NOT deleted"
    assert rows(deployment, count, caller["X-Tenant-Id"]) == [(CROWD,)]


def test_creates_with_one_id(deployment, caller):
    headers = caller | UPLOAD | {"x-image-meta-id": str(uuid.uuid4())}

    def post(number):
        return deployment.request("POST", "/images", headers=headers, data=bytes([number]) * 100).status_code

    statuses = at_once(CROWD, post)
    assert Counter(statuses) == {201: 1, 409: CROWD - 1}
    answer = deployment.request("GET", f"/images/{headers['x-image-meta-id']}", headers=caller)
    assert answer.content == bytes([statuses.index(201)]) * 100


def test_different_properties(deployment, caller):
    path = f"/images/{deployment.create(headers=caller, property_first='f')['id']}"
    new = {f"p{number}": str(number) for number in range(CROWD)}

    def put(number):
        headers = caller | KEEP | {f"x-image-meta-property-p{number}": str(number)}
        return deployment.request("PUT", path, headers=headers).status_code

    assert at_once(CROWD, put) == [200] * CROWD
    image = deployment.request("PUT", path, headers=caller | KEEP).json()["image"]
    assert image["properties"] == {"first": "f"} | new


def test_one_property(deployment, caller):
    """Somebody's value is there, once."""
    image_id = deployment.create(headers=caller)["id"]
    path = f"/images/{image_id}"

    def put(number):
        headers = caller | KEEP | {"x-image-meta-property-p": str(number)}
        return deployment.request("PUT", path, headers=headers).status_code

    statuses = at_once(CROWD, put)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    live = rows(
        deployment, "SELECT value FROM image_properties WHERE image_id = ? AND name = 'p' AND NOT deleted", image_id
    )
    ((value,),) = live
    assert statuses[int(value)] == 200
    assert deployment.request("HEAD", path, headers=caller).headers["x-image-meta-property-p"] == value


def test_different_members(deployment, caller):
    path = f"/images/{deployment.create(headers=caller)['id']}/members"
    statuses = at_once(CROWD, lambda number: deployment.request("PUT", f"{path}/m{number}", headers=caller).status_code)
    assert statuses == [204] * CROWD
    members = deployment.request("GET", path, headers=caller).json()["members"]
    assert sorted(member["member_id"] for member in members) == sorted(f"m{number}" for number in range(CROWD))


# --- deletion ---------------------------------------------------------------------------------------


def test_deletes(deployment, caller):
    image_id = deployment.create(bytes(BLOCK), headers=caller)["id"]
    statuses = at_once(CROWD, lambda _: deployment.request("DELETE", f"/images/{image_id}", headers=caller).status_code)
    assert Counter(statuses) == {200: 1, 404: CROWD - 1}
    assert (status_of(deployment, image_id), deployment.files(image_id)) == ("deleted", [])


class HeldServer(ThreadingHTTPServer):
    """A web server that keeps back the second half of its one image until ``release`` is set.

    :ivar asked: set once the first half is on its way
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HeldHandler)
        self.asked, self.release = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/image"


class HeldHandler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(BLOCK))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(bytes(BLOCK // 2))
        self.wfile.flush()
        self.server.asked.set()
        self.server.release.wait(PATIENCE)
        self.wfile.write(bytes(BLOCK // 2))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def held():
    with HeldServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()


def test_delete_during_a_copy(deployment, caller, held):
    image_id = deployment.create(headers=caller | {"x-glance-api-copy-from": held.url})["id"]
    assert held.asked.wait(PATIENCE)
    wait_for_status(deployment, image_id, "saving")
    wait_until(lambda: deployment.files(image_id), "the copy began to write")
    assert deployment.request("DELETE", f"/images/{image_id}", headers=caller).status_code == 200
    assert status_of(deployment, image_id) == "deleted"
    held.release.set()
    wait_until(lambda: not deployment.files(image_id), "what was copied is removed")
    # The copy is over when its transfer is: it revives nothing.
    transfers = "SELECT image_id FROM glance_transfers WHERE image_id = ?"
    wait_until(lambda: not rows(deployment, transfers, image_id), "the transfer ends")
    assert (status_of(deployment, image_id), deployment.files(image_id)) == ("deleted", [])
    seen = 200 if "admin" in caller["X-Roles"] else 404  # an administrator is shown the record still
    assert deployment.request("HEAD", f"/images/{image_id}", headers=caller).status_code == seen


def test_delete_of_what_is_left_to_the_scrubber(deployment, admin):
    """That nobody is deleting it at this moment makes it no crowd: the answer of v1-api.md §5.7 stands."""
    image_id = deployment.create(headers=admin)["id"]
    change(deployment, "UPDATE images SET status = 'pending_delete', deleted = ? WHERE id = ?", True, image_id)
    assert deployment.request("DELETE", f"/images/{image_id}", headers=admin).status_code == 403
    assert status_of(deployment, image_id) == "pending_delete"


def test_no_deadlocks(deployment):
    """PostgreSQL takes a second to notice each; it counts them when the connection is used again, or closed."""
    if deployment.connection.startswith("postgresql"):  # the others do not count them for each database
        name = sqlalchemy.make_url(deployment.connection).database
        assert rows(deployment, "SELECT deadlocks FROM pg_stat_database WHERE datname = ?", name) == [(0,)]


def test_nothing_unexpected_was_logged(deployment):
    for daemon in (deployment.api, deployment.registry):
        assert "Traceback" not in daemon.log.read_text()
