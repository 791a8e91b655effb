"""The swift store on a real Swift: tempauth (version 1), Keystone (version 3) and multi-tenant.

Identity API 2 is gone from Keystone, so version 2 logs in at a small fake that hands out tokens of the real Swift.
"""

import contextlib
import functools
import gc
import http.server
import json
import logging
import os
import socket
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.context import RequestContext
from glance.store import swift_location
from glance.store.swift import SwiftDriver
from glance.store.transfer import store_data
from tests.unit.store.conftest import make_conf  # noqa: F401 - a fixture
from tests.unit.store.contract import MIB, WritableContract, new_id, read, write

swiftclient = pytest.importorskip("swiftclient")

TEMPAUTH = {
    "swift_store_container": "images",
    "swift_store_create_container_on_put": True,
    "swift_store_large_object_size": 1,
    "swift_store_large_object_chunk_size": 1,
}


@pytest.fixture
def make_driver(make_conf):  # noqa: F811
    def build(**options):
        driver = SwiftDriver(make_conf(glance_store=TEMPAUTH | options))
        driver.configure()
        return driver

    return build


@pytest.fixture
def tempauth(swift):
    return {
        "swift_store_auth_address": swift.auth_v1_url,
        "swift_store_user": swift.user,
        "swift_store_key": swift.key,
        "swift_store_auth_version": "1",
    }


class SwiftContract(WritableContract):
    def settle(self, driver):
        gc.collect()  # swiftclient leaves the socket of a login to it


class TestTempauth(SwiftContract):
    @pytest.fixture(params=[1, 5120])
    def driver(self, request, make_driver, tempauth):
        return make_driver(**tempauth, swift_store_large_object_size=request.param)

    @pytest.fixture
    def absent(self, driver, swift):
        return f"swift+{swift.auth_v1_url.replace('//', '//test%3Atester:testing@')}/images/{new_id()}"


PROJECT, USER, PASSWORD = "images", "glance", "p@ss/w:ord%"


@pytest.fixture(scope="session")
def keystone_user(keystone, swift_keystone):
    keystone.user(USER, PASSWORD, {PROJECT: ["swiftoperator"]})


@pytest.fixture
def version3(keystone, keystone_user):
    return {
        "swift_store_auth_address": keystone.url,
        "swift_store_user": f"{PROJECT}:{USER}",
        "swift_store_key": PASSWORD,
    }


class TestKeystone(SwiftContract):
    @pytest.fixture
    def driver(self, make_driver, version3):
        return make_driver(**version3)

    @pytest.fixture
    def absent(self, driver):
        return driver._place(new_id())[1].build()


@pytest.fixture(scope="session")
def caller(keystone, keystone_user):
    """Builds the context of a caller in a project."""

    @functools.cache
    def build(user=USER, password=PASSWORD, project=PROJECT):
        return RequestContext(
            user_id=user, project_id=keystone.project(project), auth_token=keystone.token(user, password, project),
            service_catalog=keystone.catalog(user, password, project), overwrite=False,
        )  # fmt: skip

    return build


class TestMultiTenant(SwiftContract):
    @pytest.fixture
    def driver(self, make_driver, caller):
        return make_driver(swift_store_multi_tenant=True).acting_for(caller())

    @pytest.fixture
    def absent(self, driver):
        return driver._place(new_id())[1].build()


# --- a single account ----------------------------------------------------------------


@pytest.fixture
def driver(make_driver, tempauth):
    driver = make_driver(**tempauth)
    yield driver
    driver.add_disabled = None
    for found in driver.objects():
        driver.remove(found)


@pytest.fixture
def client(swift):
    """What an operator would look at the account with."""
    connection = swiftclient.Connection(swift.auth_v1_url, swift.user, swift.key, retries=0)
    yield connection
    connection.close()


def names(client, container="images"):
    try:
        return [entry["name"] for entry in client.get_container(container, full_listing=True)[1]]
    except swiftclient.ClientException:
        return []


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + MIB // 2])
@pytest.mark.parametrize("known", [True, False])
def test_large_images_are_segmented(driver, client, size, known):
    data, image_id = os.urandom(size), new_id()
    written = store_data(driver, image_id, iter([data]), size if known else None)
    count = -(-size // MIB)
    segments = [f"{image_id}-{number:05d}" for number in range(1, count + 1)]
    assert names(client) == [image_id, *segments]
    assert client.head_object("images", image_id)["x-object-manifest"] == f"images/{image_id}-"
    assert client.head_object("images", segments[0])["content-length"] == str(MIB)
    assert client.get_object("images", image_id)[1] == data
    assert read(driver, written.uri, MIB - 5, 10) == data[MIB - 5 : MIB + 5]
    assert driver.size(written.uri) == size
    assert [found.size for found in driver.objects()] == [size]
    driver.delete(written.uri)
    assert names(client) == []


def test_an_image_of_known_size_is_one_object(make_driver, tempauth, client):
    driver = make_driver(**tempauth, swift_store_large_object_size=5)
    data, image_id = os.urandom(3 * MIB + 7), new_id()
    written = store_data(driver, image_id, iter([data]), len(data))
    assert names(client) == [image_id]
    assert "x-object-manifest" not in client.head_object("images", image_id)
    assert client.head_object("images", image_id)["etag"] == written.checksum
    driver.delete(written.uri)


@pytest.mark.parametrize("sent", [MIB, 3 * MIB])
def test_a_whole_object_has_no_name_before_commit(make_driver, tempauth, client, sent):
    driver = make_driver(**tempauth, swift_store_large_object_size=5)
    writer = driver.writer(new_id(), 3 * MIB)
    for _ in range(sent // MIB):
        writer.write(memoryview(bytes(MIB)))
    assert names(client) == []
    if sent < 3 * MIB:
        with pytest.raises(exception.Invalid):
            writer.commit() if sent > MIB else (writer.write(memoryview(b"x")), writer.commit())
    else:
        with pytest.raises(exception.Invalid):
            writer.write(memoryview(b"x"))
    writer.cancel()
    assert names(client) == []


@pytest.mark.parametrize("size", [None, 5 * MIB])
def test_segments_of_a_failed_upload_are_removed(driver, client, size):
    def source():
        yield os.urandom(3 * MIB + 1)
        assert len([name for name in names(client) if "-0000" in name]) >= 2
        raise OSError("the client went away")

    with pytest.raises(OSError, match="went away"):
        store_data(driver, new_id(), source(), size)
    assert names(client) == []


def test_what_a_dead_upload_left_is_no_part_of_the_next_one(driver, client):
    image_id = new_id()
    for number in (1, 9):
        client.put_object("images", f"{image_id}-{number:05d}", b"dead")
    assert [(found.partial, found.image_id) for found in driver.objects()] == [(True, image_id)] * 2
    data = os.urandom(2 * MIB + 1)
    assert read(driver, store_data(driver, image_id, iter([data]), None).uri) == data


def test_static_large_objects_are_deleted_with_their_segments(driver, client):
    image_id = new_id()
    etag = client.put_object("images", f"{image_id}-00001", b"segment")
    manifest = [{"path": f"/images/{image_id}-00001", "etag": etag, "size_bytes": 7}]
    client.put_object("images", image_id, json.dumps(manifest), query_string="multipart-manifest=put")
    uri = driver._place(image_id)[1].build()
    assert (driver.size(uri), read(driver, uri)) == (7, b"segment")
    driver.delete(uri)
    assert names(client) == []


def test_containers(make_driver, tempauth, client):
    name = f"new-{new_id()}"
    driver = make_driver(**tempauth | {"swift_store_container": name, "swift_store_create_container_on_put": False})
    with pytest.raises(exception.StoreUnavailable, match="swift_store_create_container_on_put"):
        driver.writer(new_id(), 1)
    driver = make_driver(**tempauth | {"swift_store_container": name})
    driver.delete(write(driver, b"x", new_id()))
    client.delete_container(name)


def test_containers_by_image_id(make_driver, tempauth, client):
    driver = make_driver(**tempauth, swift_store_container="many", swift_store_multiple_containers_seed=10)
    image_id = new_id()
    uri = write(driver, b"x", image_id)
    container = f"many_{image_id[:11]}"  # ten digits and a dash
    assert uri.split("/")[-2] == container
    assert names(client, container) == [image_id]
    (found,) = driver.objects()
    assert (found.image_id, found.name) == (image_id, f"{container}/{image_id}")
    driver.remove(found)
    client.delete_container(container)


@pytest.mark.parametrize("size", [None, 2 * MIB])
def test_quota(make_driver, tempauth, client, size):
    driver = make_driver(**tempauth, swift_store_container="small", swift_store_large_object_size=5)
    client.put_container("small", headers={"X-Container-Meta-Quota-Bytes": "1000000"})
    with pytest.raises(exception.StorageFull):
        store_data(driver, new_id(), iter([bytes(2 * MIB)]), size)
    assert names(client, "small") == []
    client.delete_container("small")


def test_expired_token(driver):
    image_id = new_id()
    uri = write(driver, b"data", image_id)
    account = driver._own_account()
    for call in (driver.size, driver.delete):
        account._token = "AUTH_tkexpired"
        with contextlib.closing(driver.open(uri).body) as body:
            assert b"".join(body) == b"data"
        account._token = "AUTH_tkexpired"
        call(uri)


def test_wrong_password(make_driver, tempauth):
    driver = make_driver(**tempauth | {"swift_store_key": "wrong"})
    with pytest.raises(exception.StoreUnavailable) as caught:
        driver.writer(new_id(), 1)
    assert "wrong" not in str(caught.value)


def test_size_of_what_does_not_answer_is_0(driver, swift):
    uri = write(driver, b"data", new_id())
    swift.stop()
    try:
        assert driver.size(uri) == 0
        with pytest.raises(exception.StoreUnavailable):
            driver.open(uri)
        with pytest.raises(exception.StoreUnavailable):
            driver.delete(uri)
        with pytest.raises(exception.StoreUnavailable):
            driver.writer(new_id(), 1)
    finally:
        swift.start()
    assert driver.size(uri) == 4


# --- faults --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 9 * MIB, 4 * MIB])
def test_swift_stops_during_an_upload(make_driver, tempauth, swift, client, size):
    driver = make_driver(**tempauth, swift_store_large_object_size=5)

    def source():
        yield bytes(3 * MIB)
        swift.stop()
        yield bytes(6 * MIB)

    try:
        with pytest.raises(exception.StoreUnavailable):
            store_data(driver, new_id(), source(), size)
    finally:
        swift.start()
    assert list(driver.objects()) == []
    assert names(client) == []


def test_swift_stops_during_a_download(driver, swift):
    uri = write(driver, bytes(40 * MIB), new_id())  # more than sockets hold
    body = driver.open(uri).body
    blocks = iter(body)
    next(blocks)
    swift.stop()
    try:
        with pytest.raises(exception.StoreUnavailable):
            list(blocks)
    finally:
        swift.start()
    body.close()


class Cutter:
    """A TCP proxy that breaks the first ``cuts`` connections after a number of bytes of the answer."""

    def __init__(self, port, cuts, after):
        self.target, self.cuts, self.after = port, cuts, after
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.requests = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, inner):
        with inner, socket.create_connection(("127.0.0.1", self.target)) as outer, contextlib.suppress(OSError):
            request = inner.recv(65536)
            outer.sendall(request)
            if not request.startswith(b"GET"):
                threading.Thread(target=self.pump, args=(inner, outer), daemon=True).start()
                self.pump(outer, inner)
                return
            self.requests.append(request)
            cut = len(self.requests) <= self.cuts
            left = self.after
            while data := outer.recv(65536):
                inner.sendall(data[:left] if cut else data)
                left -= len(data)
                if cut and left <= 0:
                    return

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def cut(swift, make_driver, tempauth):
    """Builds a driver whose first connections break while data comes."""
    cutters = []

    def build(cuts, retries):
        cutter = Cutter(int(swift.url.rpartition(":")[2]), cuts, after=MIB + 12345)
        cutters.append(cutter)
        endpoint = f"http://127.0.0.1:{cutter.port}/v1/AUTH_test"
        return make_driver(**tempauth, swift_store_endpoint=endpoint, swift_store_retry_get_count=retries), cutter

    yield build
    for cutter in cutters:
        cutter.listener.close()


@pytest.mark.parametrize(("offset", "length"), [(0, None), (1000, None), (5, 3 * MIB)])
def test_a_broken_download_is_resumed(driver, cut, offset, length):
    data = os.urandom(4 * MIB)
    uri = write(driver, data, new_id())
    reading, cutter = cut(cuts=2, retries=2)
    assert read(reading, uri, offset, length) == data[offset : None if length is None else offset + length]
    assert len(cutter.requests) == 3
    assert b"Range: bytes=" in cutter.requests[2]


def test_a_download_that_breaks_too_often(driver, cut):
    uri = write(driver, bytes(4 * MIB), new_id())
    reading, cutter = cut(cuts=9, retries=1)
    with pytest.raises(exception.StoreUnavailable):
        read(reading, uri)
    assert len(cutter.requests) == 2


# --- several accounts ----------------------------------------------------------------


@pytest.fixture
def member(keystone, keystone_user):
    keystone.user("friend", "secret", {"friends": ["member"]})
    return {"user": "friend", "password": "secret", "project": "friends"}


@pytest.fixture
def tenants(make_driver):
    return make_driver(
        swift_store_multi_tenant=True, swift_store_admin_tenants="service:glance,*:admin,auditors",
        swift_store_large_object_size=5,
    )  # fmt: skip


ADMINS = "service:glance,*:admin,auditors:*"


@pytest.mark.parametrize(
    ("public", "read_", "write_", "expected"),
    [
        (True, [], [], ("*:*", ADMINS)),
        (True, ["a"], ["b"], ("*:*", f"b:*,{ADMINS}")),
        (False, [], [], (ADMINS, ADMINS)),
        (False, ["a", "b"], ["b"], (f"a:*,b:*,{ADMINS}", f"b:*,{ADMINS}")),
        (False, ["a,*:*", ".r:*", "*", "x:y"], [".r:*"], (ADMINS, ADMINS)),
    ],
)
def test_acl_table(tenants, caller, public, read_, write_, expected):
    driver = tenants.acting_for(caller())
    image_id = new_id()
    uri = write(driver, b"x", image_id)
    container = f"images_{image_id}"
    assert uri.endswith(f"/{container}/{image_id}")
    assert "@" not in uri
    account = driver._callers_account()
    headers = account.head(container)
    assert (headers["x-container-read"], headers["x-container-write"]) == (ADMINS, ADMINS)
    driver.set_acls(uri, public, read_, write_)
    headers = account.head(container)
    assert (headers["x-container-read"], headers["x-container-write"]) == expected
    driver.delete(uri)
    assert account.head(container) is None


def test_without_admin_tenants_a_private_container_is_closed(make_driver, caller):
    driver = make_driver(swift_store_multi_tenant=True).acting_for(caller())
    uri = write(driver, b"x", new_id())
    driver.set_acls(uri, True, [], [])
    driver.set_acls(uri, False, [], [])
    headers = driver._callers_account().head(uri.split("/")[-2])
    assert not headers.get("x-container-read")
    assert not headers.get("x-container-write")
    driver.delete(uri)


def test_members_read_with_their_own_token(tenants, keystone, caller, member):
    owner, friend = tenants.acting_for(caller()), tenants.acting_for(caller(**member))
    uri = write(owner, b"shared", new_id())
    with pytest.raises(exception.StoreUnavailable):
        friend.open(uri)
    owner.set_acls(uri, False, [keystone.project("friends")], [])
    assert read(friend, uri) == b"shared"
    with pytest.raises(exception.Forbidden):
        friend.delete(uri)
    owner.delete(uri)


def test_a_token_goes_nowhere_but_to_the_catalogs_swift(tenants, caller):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        uri = f"swift+http://127.0.0.1:{listener.getsockname()[1]}/v1/AUTH_x/c/o"
        with pytest.raises(exception.BadStoreUri):
            tenants.acting_for(caller()).open(uri)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_nobodys_request(tenants):
    with pytest.raises(exception.StoreUnavailable):
        tenants.writer(new_id(), 1)
    assert list(tenants.objects()) == []
    tenants.discard(new_id())


# --- credentials and locations --------------------------------------------------------


@pytest.fixture
def references(tmp_path, swift):
    path = tmp_path / "swift.conf"
    path.write_text(
        f"[ref1]\nuser = {swift.user}\nkey = {swift.key}\nauth_address = {swift.auth_v1_url}\nauth_version = 1\n"
        f"[ref2]\nuser = {swift.other_user}\nkey = {swift.other_key}\nauth_address = {swift.auth_v1_url}\n"
        "auth_version = 1\n"
    )
    return path


def test_references(make_driver, references, tempauth, driver):
    old = write(driver, b"old", new_id())
    files = {"swift_store_config_file": references, "swift_store_auth_version": 1}
    first, second = make_driver(**files), make_driver(**files, default_swift_reference="ref2")
    image_id = new_id()
    uri = write(second, b"new", image_id)
    assert uri == f"swift+config://ref2/images/{image_id}"
    assert read(first, uri) == b"new"  # whatever the default is
    assert read(first, old) == b"old"
    first.delete(uri)
    with pytest.raises(exception.BadStoreUri):
        first.open(uri.replace("ref2", "ref3"))


def test_a_key_may_be_changed_in_the_file(make_driver, references, swift):
    uri = write(make_driver(swift_store_config_file=references), b"x", new_id())
    references.write_text(references.read_text().replace(f"key = {swift.key}\n", "key = changed\n"))
    with pytest.raises(exception.StoreUnavailable):
        make_driver(swift_store_config_file=references).open(uri)
    references.write_text(references.read_text().replace("key = changed\n", f"key = {swift.key}\n"))
    make_driver(swift_store_config_file=references).delete(uri)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "swift_store_auth_address"),
        ({"swift_store_auth_address": "http://127.0.0.1/", "swift_store_user": "u"}, "swift_store_key"),
        ({"swift_store_config_file": "FILE", "swift_store_multi_tenant": True}, "only one"),
        ({"swift_store_config_file": "FILE", "default_swift_reference": "none"}, "default_swift_reference"),
        ({"swift_store_config_file": "/nonexistent"}, "cannot be read"),
    ],
)
def test_bad_options(make_driver, references, options, text):
    options = {name: references if value == "FILE" else value for name, value in options.items()}
    with pytest.raises(exception.ConfigurationError, match=text):
        make_driver(**options)


@pytest.mark.parametrize(
    "content",
    ["s3cr3t", "[a]\nkey = s3cr3t\nkey = s3cr3t\n", "[ref1]\nuser = u\nkey = s3cr3t\n"],
    ids=["no section", "twice", "incomplete"],
)
def test_bad_files(make_driver, tmp_path, content):
    (tmp_path / "file").write_text(content)
    with pytest.raises(exception.ConfigurationError) as caught:
        make_driver(swift_store_config_file=tmp_path / "file")
    assert "s3cr3t" not in str(caught.value)


def test_without_swiftclient():
    script = (
        "import sys; sys.modules['swiftclient'] = None\n"
        "from glance.common import exception\nfrom glance.store.swift import SwiftDriver\n"
        "try:\n    SwiftDriver(None)\nexcept exception.ConfigurationError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'glance-classic[swift]'" in done.stdout, done.stderr


@pytest.fixture
def version2(swift, client):
    """The URL of a fake of the identity API 2, which has one user."""
    url, token = client.get_auth()

    class Identity(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]
            right = {"passwordCredentials": {"username": "glance", "password": "s:/@"}, "tenantName": "service"}
            endpoint = {"region": "R", "publicURL": url, "internalURL": url, "adminURL": url}
            expires = "2099-01-01T00:00:00Z"
            access = {
                "token": {"id": token, "expires": expires, "tenant": {"id": "t", "name": "service"}},
                "user": {"id": "u", "name": "glance", "roles": []},
                "serviceCatalog": [{"type": "object-store", "name": "swift", "endpoints": [endpoint]}],
            }
            good = self.path == "/v2.0/tokens" and asked == right
            body = json.dumps({"access": access} if good else {"error": {"code": 401, "message": "no"}}).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Identity)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v2.0"
    server.shutdown()
    server.server_close()


def test_version_2(make_driver, version2, driver):
    options = {"swift_store_auth_address": version2, "swift_store_user": "service:glance"}
    second = make_driver(**options, swift_store_key="s:/@", swift_store_region="R")
    uri = write(second, b"x", new_id())
    assert "//service%3Aglance:s%3A%2F%40@" in uri
    assert read(second, uri) == b"x"
    second.delete(uri)
    with pytest.raises(exception.StoreUnavailable):
        make_driver(**options, swift_store_key="wrong").writer(new_id(), 1)


def test_application_credentials(make_driver, keystone, swift_keystone, keystone_user):
    from keystoneclient.v3 import client

    user = client.Client(session=keystone.session(USER, PASSWORD, PROJECT))
    credential = user.application_credentials.create(f"glance-{new_id()}")
    driver = make_driver(
        swift_store_auth_address=keystone.url, swift_store_application_credential_id=credential.id,
        swift_store_application_credential_secret=credential.secret,
    )  # fmt: skip
    uri = write(driver, b"x", new_id())
    assert credential.secret not in uri
    assert read(driver, uri) == b"x"
    driver.delete(uri)


def test_locations_name_no_foreign_service(driver, make_conf):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for uri in (f"swift+http://u:k@127.0.0.1:{port}/v1/c/o", f"swift+http://127.0.0.1:{port}/v1/c/o"):
            driver.check_location(uri)
            for call in (driver.open, driver.size, driver.delete):
                with pytest.raises(exception.BadStoreUri):
                    call(uri)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_which_store_holds_an_old_location(make_driver, tempauth, references, swift):
    first, other = make_driver(**tempauth), make_driver(**tempauth | {"swift_store_container": "other"})
    named, tenants = make_driver(swift_store_config_file=references), make_driver(swift_store_multi_tenant=True)
    own = first._place(new_id())[1].build()
    elsewhere = "swift+https://u:k@auth.example/images/o"
    config, theirs = "swift+config://ref2/images/o", "swift+http://example.com/v1/AUTH_x/images_o/o"
    drivers = (first, other, named, tenants)
    held = {uri: [driver.holds(uri) for driver in drivers] for uri in (own, elsewhere, config, theirs, "swift://")}
    assert held == {
        own: [True, False, True, False],
        elsewhere: [False, False, False, False],
        config: [False, False, True, False],
        theirs: [False, False, False, True],
        "swift://": [False, False, False, False],
    }
    assert first.describe() == {"container": "images", "large_object_size": 1, "large_object_chunk_size": 1}


def test_other_credentials_at_the_same_service(driver, swift):
    other = swift.auth_v1_url.replace("//", "//test2%3Atester2:testing2@")
    with pytest.raises(exception.ImageDataNotFound):
        driver.open(f"swift+{other}/images/{new_id()}")


PARTS = st.text(st.characters(exclude_categories=["C"], exclude_characters="/"), min_size=1, max_size=20).filter(
    lambda text: text not in (".", "..") and "://" not in text
)
HOSTS = st.from_regex(r"[a-z0-9.-]{1,20}(:[0-9]{1,5})?", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z0-9_.-]{1,10}", fullmatch=True)


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=HOSTS,
    path=st.lists(WORDS, max_size=3),
    container=WORDS,
    name=WORDS,
    user=st.none() | PARTS,
    key=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
)
def test_locations_survive(scheme, host, path, container, name, user, key):
    place = swift_location.Location(
        scheme, host, "".join(f"/{word}" for word in path), container, name, user, None if user is None else key
    )
    if {container, name} & {".", ".."}:
        return
    assert swift_location.parse(place.build()) == place
    assert key not in repr(place) or key in f"{place.url}{container}{name}{user}Location(scheme='host=path=None"


@given(st.text(max_size=60))
def test_any_text_is_a_location_or_malformed(text):
    for scheme in swift_location.SCHEMES:
        with contextlib.suppress(exception.BadStoreUri):
            swift_location.parse(f"{scheme}://{text}")


@pytest.mark.parametrize(
    ("uri", "user", "key", "url"),
    [
        ("swift://acct:usr:pass@example.com/c/o", "acct:usr", "pass", "https://example.com"),
        ("swift+http://a%3Ab:p%2F%40@example.com:5000/v2.0/c/o", "a:b", "p/@", "http://example.com:5000/v2.0"),
        ("SWIFT+HTTPS://u:k@example.com/v1/c/o", "u", "k", "https://example.com/v1"),
        ("swift+https://example.com/v1/AUTH_x/c/o", None, None, "https://example.com/v1/AUTH_x"),
    ],
)
def test_locations_of_all_ages(uri, user, key, url):
    place = swift_location.parse(uri)
    assert (place.user, place.key, place.url, place.container, place.name) == (user, key, url, "c", "o")


@pytest.mark.parametrize(
    "uri",
    [
        "swift://u:k@h/c", "swift://u@h/c/o", "swift://u:@h/c/o", "swift://:k@h/c/o", "swift:///c/o", "swift://h:x/c/o",
        "swift+config://u:k@ref/c/o", "swift+config://ref/x/c/o", "swift+https://http://u:k@h/c/o", "swift://h/c/..",
    ],
)  # fmt: skip
def test_malformed_locations(uri):
    with pytest.raises(exception.BadStoreUri):
        swift_location.parse(uri)


def test_no_secret_is_logged(make_driver, tempauth, version3, swift, caplog):
    secrets = [swift.key, PASSWORD]
    with caplog.at_level(logging.DEBUG):
        for options in (tempauth, version3):
            driver = make_driver(**options)
            uri = write(driver, bytes(MIB + 5), new_id())
            read(driver, uri)
            driver.delete(uri)
            secrets.append(driver._own_account()._token)
            for key in ("wrong", ""):
                with contextlib.suppress(exception.GlanceException):
                    make_driver(**options | {"swift_store_key": key}).writer(new_id(), 1)
            for call in (driver.open, driver.delete):
                with contextlib.suppress(exception.GlanceException):
                    call(uri)
            swift.stop()
            with contextlib.suppress(exception.GlanceException):
                driver.open(uri)
            swift.start()
    text = caplog.text + "".join(str(record.exc_info) for record in caplog.records)
    assert "Swift" in text
    for secret in secrets:
        assert secret not in text
        assert secret[:12] not in text or len(secret) < 12


def test_an_image_id_of_digits_is_no_segment():
    image_id = "35637607-d099-416b-87cf-560215709668"
    assert swift_location.image_of_segment(image_id) is None
    assert swift_location.image_of_segment(swift_location.segment_name(image_id, 1)) == image_id
