"""The s3 store on two real servers: Swift's s3api and Ceph's radosgw."""

import base64
import datetime
import hashlib
import logging
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.store import s3, s3_upload
from glance.store.s3 import Location, S3Driver, endpoint_of
from glance.store.transfer import store_data
from tests.unit.store import conftest
from tests.unit.store.contract import MIB, WritableContract, new_id, read, write

make_conf = conftest.make_conf


class Server(NamedTuple):
    """An S3 server with an account of its own."""

    url: str
    access_key: str
    secret_key: str
    backend: Any


@pytest.fixture(params=["swift", "ceph"])
def server(request):
    found = request.getfixturevalue(request.param)
    if request.param == "swift":
        return Server(found.s3_url, found.s3_access_key, found.s3_secret_key, found)
    gateway = found.gateway()
    return Server(gateway.url, gateway.access_key, gateway.secret_key, found)


@pytest.fixture
def make_driver(server, make_conf):
    """Builds a driver with a bucket of its own, which is created."""
    drivers = []

    def build(bucket=True, **options):
        options = {
            "s3_store_host": server.url,
            "s3_store_access_key": server.access_key,
            "s3_store_secret_key": server.secret_key,
            "s3_store_bucket": f"images-{uuid.uuid4()}",
            "s3_store_create_bucket_on_put": True,
        } | options
        driver = S3Driver(make_conf(glance_store=options))
        driver.configure()
        drivers.append(driver)
        if bucket:
            driver.writer(new_id(), 1).cancel()
            disconnect(driver)
        return driver

    yield build
    for driver in drivers:
        disconnect(driver)


@pytest.fixture
def parts(make_driver, proxy):
    """A driver that uploads parts of 5 MiB from 10 MiB up, through a proxy."""
    return make_driver(s3_store_host=proxy.url, s3_store_large_object_chunk_size=5, s3_store_large_object_size=10)


@pytest.fixture
def stream(make_driver, proxy):
    """A driver that passes images of 5 to 100 MiB on as they arrive, through a proxy."""
    return make_driver(s3_store_host=proxy.url, s3_store_large_object_chunk_size=5)


@pytest.fixture
def proxy(server):
    relay = Proxy(urlsplit(server.url).port)
    yield relay
    relay.close()


@pytest.fixture
def quick(monkeypatch):
    """Do not wait between attempts to resume."""
    monkeypatch.setattr(s3.time, "sleep", lambda seconds: None)


class Proxy:
    """A TCP relay that can break.

    :ivar cuts: for each connection to come, in order, how many bytes it lets through before it
        breaks, towards the server (``up``) or from it (``down``)
    :ivar broken: every connection is refused
    """

    def __init__(self, port, tls=None):
        self._target = port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = []
        self.made = 0
        self.broken = False
        self._open = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.broken:
                client.close()
            else:
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        if self._tls is not None:
            try:
                client = self._tls.wrap_socket(client, server_side=True)
            except OSError:
                client.close()
                return
        upstream = socket.create_connection(("127.0.0.1", self._target))
        pair = {client, upstream}
        with self._lock:
            self._open |= pair
            self.made += 1
        up = down = 0
        mine = None  # taken by the first connection that transfers as much
        try:
            while True:
                for source in select.select([client, upstream], [], [])[0]:
                    data = source.recv(65536)
                    while data and source is client and self._tls is not None and client.pending():
                        data += client.recv(65536)
                    if not data:
                        return
                    (upstream if source is client else client).sendall(data)
                    up, down = (up + len(data), down) if source is client else (up, down + len(data))
                    with self._lock:
                        mine = mine or next(
                            (cut for cut in self.cuts if (up if cut[0] == "up" else down) >= cut[1]), None
                        )
                        if mine is not None:
                            self.cuts.remove(mine)
                            return
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= pair
            for end in pair:
                end.close()

    def stop(self):
        """Break every connection and refuse new ones."""
        self.broken = True
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def start(self):
        self.broken = False

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.stop()


def disconnect(driver):
    """Close idle connections."""
    for client in driver._clients.values():
        client.close()


def head(driver, uri):
    target = driver._locate(uri)
    return target.client.head_object(**target.address)


def upload(driver, data, size, image_id=None):
    """Through the pipeline, as the service does."""
    blocks = (data[start : start + MIB] for start in range(0, len(data), MIB))
    written = store_data(driver, image_id or new_id(), blocks, size)
    assert written.checksum == hashlib.md5(data).hexdigest()
    return written.uri


class TestContract(WritableContract):
    @pytest.fixture
    def driver(self, make_driver):
        return make_driver()

    def settle(self, driver):
        disconnect(driver)

    @pytest.fixture
    def absent(self, driver):
        return str(driver._home(new_id()))


class TestUpload:
    @pytest.mark.parametrize(
        ("size", "known", "count"),
        [
            (17 * MIB + 1, True, 4),
            (17 * MIB + 1, False, 4),
            (10 * MIB, True, 2),
            (10 * MIB, False, 2),
            (5 * MIB + 1, False, 2),
            (5 * MIB, False, None),
            (5 * MIB + 1, True, None),
            (10 * MIB - 1, True, None),
            (5 * MIB, True, None),
            (3, False, None),
            (0, True, None),
            (0, False, None),
        ],
    )
    def test_in_as_many_parts(self, parts, size, known, count):
        data = os.urandom(size)
        uri = upload(parts, data, size if known else None)
        etag = head(parts, uri)["ETag"].strip('"')
        assert etag.endswith(f"-{count}") if count else "-" not in etag
        assert read(parts, uri) == data
        assert [(found.size, found.partial) for found in parts.objects()] == [(size, False)]

    def test_larger_than_announced(self, parts):
        data = os.urandom(7 * MIB)
        uri = write(parts, data[:0], new_id())
        parts.delete(uri)
        writer = parts.writer(new_id(), 1)
        writer.write(memoryview(data))
        assert read(parts, writer.commit()[0]) == data

    @pytest.mark.parametrize("form", ["stream", "file", "integrity", "checksums"])
    def test_one_request(self, form, make_driver, tmp_path):
        options = {
            "stream": {},
            "file": {"s3_store_object_buffer_dir": tmp_path},
            "integrity": {"s3_store_enable_data_integrity_protection": True},
            "checksums": {
                "s3_store_enable_data_integrity_protection": True,
                "s3_store_request_checksum_calculation": "when_supported",
                "s3_store_response_checksum_validation": "when_supported",
            },
        }
        driver = make_driver(s3_store_large_object_chunk_size=5, **options[form])
        data, image_id = os.urandom(7 * MIB + 5), new_id()
        writer = driver.writer(image_id, len(data))
        for start in range(0, len(data), MIB):
            writer.write(memoryview(data)[start : start + MIB])
        assert list(driver.objects()) == []
        assert os.listdir(tmp_path) == []
        uri, _ = writer.commit()
        assert read(driver, uri) == data
        assert head(driver, uri)["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'

    @pytest.mark.parametrize("off", [-1, 1, -3 * MIB])
    def test_one_request_of_another_size(self, stream, off):
        data = bytes(7 * MIB)
        writer = stream.writer(new_id(), len(data) - off)
        with pytest.raises(exception.Invalid):
            for start in range(0, len(data), MIB):
                writer.write(memoryview(data)[start : start + MIB])
            writer.commit()
        writer.cancel()
        assert list(stream.objects()) == []

    @pytest.mark.parametrize("size", [7 * MIB, 20 * MIB, None])
    def test_source_that_breaks_leaves_nothing(self, parts, size):
        def blocks():
            for _ in range(6 if size == 7 * MIB else 18):
                yield bytes(MIB)
            raise ConnectionResetError("the client is gone")

        with pytest.raises(ConnectionResetError):
            store_data(parts, new_id(), blocks(), size)
        assert list(parts.objects()) == []

    @pytest.mark.parametrize("size", [20 * MIB, None])
    def test_part_is_sent_again(self, parts, proxy, size):
        data = os.urandom(20 * MIB)
        proxy.cuts = [("up", 2 * MIB), ("up", 3 * MIB)]
        uri = upload(parts, data, size)
        assert proxy.cuts == []
        assert read(parts, uri) == data

    def test_small_image_is_sent_again(self, parts, proxy):
        data = os.urandom(4 * MIB)
        proxy.cuts = [("up", 2 * MIB)]
        assert read(parts, upload(parts, data, len(data))) == data
        assert proxy.cuts == []

    def test_file_is_sent_again(self, make_driver, proxy, tmp_path):
        driver = make_driver(
            s3_store_host=proxy.url, s3_store_object_buffer_dir=tmp_path, s3_store_large_object_chunk_size=5
        )
        data = os.urandom(8 * MIB)
        proxy.cuts = [("up", 2 * MIB)]
        assert read(driver, upload(driver, data, len(data))) == data
        assert proxy.cuts == []

    def test_stream_that_breaks(self, stream, proxy):
        proxy.cuts = [("up", 2 * MIB)]
        with pytest.raises(exception.StoreUnavailable):
            upload(stream, bytes(20 * MIB), 20 * MIB)
        assert list(stream.objects()) == []

    @pytest.mark.parametrize("size", [7 * MIB, 20 * MIB, None])
    def test_server_stops_during_an_upload(self, parts, proxy, size):
        image_id = new_id()

        def blocks():
            for number in range(20 if size is None else size // MIB):
                if number == 5 or (size != 7 * MIB and number == 16):
                    proxy.stop()
                yield bytes(MIB)

        with pytest.raises(exception.StoreUnavailable) as caught:
            store_data(parts, image_id, blocks(), size)
        assert str(caught.value) == exception.StoreUnavailable.message
        proxy.start()
        parts.discard(image_id)
        assert list(parts.objects()) == []

    def test_interrupted_upload_is_found(self, parts, proxy):
        image_id = new_id()
        writer = parts.writer(image_id, None)
        writer.write(memoryview(bytes(11 * MIB)))
        while writer._way._in_flight:
            writer._way._collect()
        (found,) = parts.objects()
        assert (found.image_id, found.partial) == (image_id, True)
        proxy.stop()
        writer.cancel()  # in vain
        proxy.start()
        assert list(parts.objects()) == [found]
        parts.remove(found)
        parts.remove(found)
        assert list(parts.objects()) == []

    def test_discard_removes_parts_of_one_image(self, parts):
        dead, alive = new_id(), new_id()
        writers = [parts.writer(dead, None), parts.writer(alive, None)]
        for writer in writers:
            writer.write(memoryview(bytes(6 * MIB)))
            while writer._way._in_flight:
                writer._way._collect()
        parts.discard(dead)
        assert [found.image_id for found in parts.objects()] == [alive]
        for writer in writers:
            writer.cancel()
        assert list(parts.objects()) == []

    def test_parts_removed_by_somebody_else(self, parts, caplog):
        image_id = new_id()
        writer = parts.writer(image_id, None)
        writer.write(memoryview(bytes(6 * MIB)))
        while writer._way._in_flight:
            writer._way._collect()
        parts.discard(image_id)
        with pytest.raises(exception.StoreUnavailable):
            writer.commit()
        assert "NoSuchUpload" in caplog.text
        writer.cancel()
        assert list(parts.objects()) == []

    def test_answer_to_completion_lost(self, parts, monkeypatch):
        """The first attempt succeeded, and the second is told that the upload does not exist."""
        writer = parts.writer(new_id(), None)
        client = writer._target.client
        writer.write(memoryview(b"x" * (6 * MIB)))
        complete = client.complete_multipart_upload

        def twice(**arguments):
            complete(**arguments)
            other = client.create_multipart_upload(**writer._target.address)["UploadId"]
            client.abort_multipart_upload(**writer._target.address, UploadId=other)
            return complete(**arguments | {"UploadId": other})

        monkeypatch.setattr(client, "complete_multipart_upload", twice)
        uri, _ = writer.commit()
        assert parts.size(uri) == 6 * MIB

    def test_no_more_memory_than_said(self, parts, monkeypatch):
        sizes = []
        monkeypatch.setattr(s3_upload, "WINDOW", 15 * MIB)
        take = s3_upload._Parts._take

        def counted(way):
            buffer = take(way)
            sizes.append((way._in_flight + len(way._spare) + 1) * len(buffer))
            return buffer

        monkeypatch.setattr(s3_upload._Parts, "_take", counted)
        upload(parts, bytes(60 * MIB), None)
        assert len(sizes) == 12
        assert max(sizes) <= 15 * MIB

    def test_green(self, server, make_driver):
        """In an eventlet process: an upload and a download, beside which other green threads run."""
        driver = make_driver()
        options = {name: driver._options[name] for name in ("s3_store_host", "s3_store_bucket")}
        options |= {"s3_store_access_key": server.access_key, "s3_store_secret_key": server.secret_key}
        options |= {"s3_store_large_object_chunk_size": 5, "s3_store_large_object_size": 10}
        result = subprocess.run(
            [sys.executable, "-c", _GREEN, repr(options)], capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
        checksums, turns = result.stdout.split("\n")[:2]
        assert len(set(checksums.split())) == 1
        assert int(turns) > 20


_GREEN = """
from glance.wsgi.eventlet_patch import patch
patch()
import hashlib, sys, eventlet
from oslo_config import cfg
from glance.common.config import fetch, store
from glance.store.s3 import S3Driver
from glance.store.transfer import store_data
conf = cfg.ConfigOpts()
for section in (*fetch.OPTIONS, *store.OPTIONS):
    conf.register_opts(section.options, group=section.group)
conf([], default_config_files=[], default_config_dirs=[])
for name, value in eval(sys.argv[1]).items():
    conf.set_override(name, value, group="glance_store")
driver = S3Driver(conf)
driver.configure()
turns = 0
def turn():
    global turns
    while True:
        eventlet.sleep(0.001)
        turns += 1
eventlet.spawn(turn)
data = bytes(1024 * 1024)
for size in (4, 8, 23):
    name = f"green-{size}"
    written = store_data(driver, name, (data for _ in range(size)), size * len(data))
    print(written.checksum, end=" ") if size == 23 else None
    digest = hashlib.md5()
    for block in driver.open(written.uri).body:
        digest.update(block)
    assert digest.hexdigest() == written.checksum
    print(digest.hexdigest(), end=" ") if size == 23 else None
    driver.delete(written.uri)
print()
print(turns)
"""


class TestConnection:
    @pytest.fixture
    def tls(self, server, tmp_path):
        """A relay with a certificate for 127.0.0.1 that is its own authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        pem = serialization.Encoding.PEM
        (tmp_path / "authority.pem").write_bytes(certificate.public_bytes(pem))
        (tmp_path / "server.pem").write_bytes(
            certificate.public_bytes(pem)
            + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        relay = Proxy(urlsplit(server.url).port, context)
        relay.url = relay.url.replace("http:", "https:")
        yield relay
        relay.close()

    def test_tls(self, make_driver, tls, tmp_path):
        driver = make_driver(
            s3_store_host=tls.url, s3_store_cacert=tmp_path / "authority.pem", s3_store_large_object_chunk_size=5
        )
        for size in (3 * MIB, 7 * MIB, None):
            data = os.urandom(size or 11 * MIB)
            uri = upload(driver, data, size)
            assert uri.startswith("s3+https://")
            assert read(driver, uri) == data
            driver.delete(uri)

    def test_unknown_authority(self, make_driver, tls, caplog):
        driver = make_driver(bucket=False, s3_store_host=tls.url)
        with pytest.raises(exception.StoreUnavailable):
            driver.writer(new_id(), 1)
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text

    def test_bucket_in_the_host_name(self, ceph, make_conf, monkeypatch):
        resolve, asked = socket.getaddrinfo, set()

        def local(host, *arguments, **options):
            asked.add(host)
            return resolve("127.0.0.1" if host.endswith("localhost") else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", local)
        gateway = ceph.gateway()
        options = {
            "s3_store_host": gateway.url.replace("127.0.0.1", "localhost"),
            "s3_store_access_key": gateway.access_key,
            "s3_store_secret_key": gateway.secret_key,
            "s3_store_bucket": "in-the-host",
            "s3_store_bucket_url_format": "subdomain",
            "s3_store_region_name": "default",  # Ceph's name for the only one, where the bucket is created
            "s3_store_create_bucket_on_put": True,
        }
        driver = S3Driver(make_conf(glance_store=options))
        driver.configure()
        uri = write(driver, b"x", new_id())
        assert read(driver, uri) == b"x"
        assert asked == {"in-the-host.localhost"}
        driver.delete(uri)
        disconnect(driver)

    def test_region_that_does_not_exist(self, ceph, make_conf, caplog):
        gateway = ceph.gateway()
        options = {
            "s3_store_host": gateway.url,
            "s3_store_access_key": gateway.access_key,
            "s3_store_secret_key": gateway.secret_key,
            "s3_store_bucket": "elsewhere",
            "s3_store_region_name": "nowhere",
            "s3_store_create_bucket_on_put": True,
        }
        driver = S3Driver(make_conf(glance_store=options))
        driver.configure()
        with pytest.raises(exception.StoreUnavailable):
            driver.writer(new_id(), 1)
        assert "InvalidLocationConstraint: check s3_store_host and s3_store_region_name" in caplog.text
        disconnect(driver)


class TestBucket:
    def test_is_created_for_the_first_image(self, make_driver):
        driver = make_driver(bucket=False)
        assert list(driver.objects()) == []
        driver.discard(new_id())
        uri = write(driver, b"x", new_id())
        assert read(driver, uri) == b"x"
        again = make_driver(bucket=False, s3_store_bucket=driver._options.s3_store_bucket)
        assert read(again, write(again, b"y", new_id())) == b"y"

    def test_is_missing(self, make_driver, caplog):
        driver = make_driver(bucket=False, s3_store_create_bucket_on_put=False)
        for _ in range(2):
            with pytest.raises(exception.StoreUnavailable):
                driver.writer(new_id(), 1)
        assert "set s3_store_create_bucket_on_put" in caplog.text
        assert list(driver.objects()) == []
        with pytest.raises(exception.ImageDataNotFound):
            driver.size(str(driver._home("x")))

    def test_is_removed_while_in_use(self, make_driver, caplog):
        driver = make_driver()
        target = driver._target("x")
        target.client.delete_bucket(Bucket=target.bucket)
        with pytest.raises(exception.StoreUnavailable):
            write(driver, b"x", new_id())
        assert "NoSuchBucket: create the bucket" in caplog.text


class TestRead:
    def test_is_taken_up_again(self, parts, proxy, quick):
        data = os.urandom(12 * MIB)
        uri = upload(parts, data, len(data))
        disconnect(parts)
        made = proxy.made
        breaks = s3.RESUMES + 1  # as often as this only because each time something arrives
        proxy.cuts = [("down", 2 * MIB)] * breaks
        assert read(parts, uri) == data
        assert proxy.cuts == []
        assert proxy.made == made + breaks + 1

    def test_of_a_range_is_taken_up_again(self, parts, proxy, quick):
        data = os.urandom(9 * MIB)
        uri = upload(parts, data, len(data))
        disconnect(parts)
        proxy.cuts = [("down", 2 * MIB), ("down", 1 * MIB)]
        assert read(parts, uri, MIB + 7, 6 * MIB) == data[MIB + 7 : 7 * MIB + 7]
        assert proxy.cuts == []

    def test_is_given_up(self, parts, proxy, quick):
        uri = upload(parts, bytes(12 * MIB), 12 * MIB)
        body = iter(parts.open(uri).body)
        next(body)
        proxy.stop()
        with pytest.raises(exception.StoreUnavailable):
            list(body)

    def test_object_replaced_while_it_is_read(self, parts, proxy, quick):
        uri = upload(parts, os.urandom(12 * MIB), None)
        body = iter(parts.open(uri).body)
        next(body)
        target = parts._locate(uri)
        target.client.put_object(**target.address, Body=bytes(13 * MIB))
        proxy.stop()
        proxy.start()
        with pytest.raises(exception.GlanceException):
            list(body)

    def test_server_is_away(self, parts, proxy):
        uri = upload(parts, b"x", 1)
        proxy.stop()
        for call in (parts.size, parts.open, parts.delete, parts.discard):
            with pytest.raises(exception.StoreUnavailable):
                call(uri)
        with pytest.raises(exception.StoreUnavailable):
            list(parts.objects())
        proxy.start()
        assert read(parts, uri) == b"x"

    def test_with_the_credentials_of_the_location(self, parts, make_driver, server):
        uri = upload(parts, b"x", 1)
        other = make_driver(bucket=False, s3_store_host=parts._endpoint, s3_store_secret_key="changed")
        assert read(other, uri) == b"x"

    @pytest.mark.parametrize("access", [None, "unknown"])
    def test_wrong_credentials(self, parts, server, access, caplog):
        uri = upload(parts, b"x", 1)
        location = Location.parse(uri)
        wrong = str(
            Location(location.endpoint, access or server.access_key, "wrong-secret", location.bucket, location.key)
        )
        for call in (parts.size, parts.open, parts.delete):
            with pytest.raises(exception.StoreUnavailable):
                call(wrong)
        assert "403" in caplog.text
        assert read(parts, uri) == b"x"

    def test_more_objects_than_one_page_lists(self, make_driver, monkeypatch):
        driver = make_driver()
        ids = {new_id() for _ in range(5)}
        for image_id in ids:
            write(driver, b"", image_id)
        write(driver, b"", "no-image-id")
        client = driver._target("").client
        paginator = client.get_paginator

        def small(operation):
            pages = paginator(operation)
            paginate = pages.paginate
            pages.paginate = lambda **options: paginate(**options, PaginationConfig={"PageSize": 2})
            return pages

        monkeypatch.setattr(client, "get_paginator", small)
        assert {found.image_id for found in driver.objects()} == ids | {None}


class TestSecrets:
    def test_are_never_logged(self, make_driver, server, proxy, caplog):
        caplog.set_level(logging.DEBUG)
        for name in ("botocore", "urllib3", "boto3"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        secret = "wrong/secret+of=ours"
        driver = make_driver(s3_store_host=proxy.url, s3_store_large_object_chunk_size=5)
        uri = upload(driver, bytes(12 * MIB), None)
        read(driver, uri)
        wrong = make_driver(bucket=False, s3_store_host=proxy.url, s3_store_secret_key=secret)
        errors = []
        for call in (
            lambda: write(wrong, b"x", new_id()),
            lambda: wrong.size(str(wrong._home("x"))),
            lambda: driver.size("s3://user:" + secret + "@elsewhere/b/k"),
            lambda: driver.size("s3://user:" + secret + "/broken"),
        ):
            with pytest.raises(exception.GlanceException) as caught:
                call()
            errors.append(repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__))
        proxy.stop()
        with pytest.raises(exception.StoreUnavailable) as caught:
            driver.size(uri)
        errors.append(repr(caught.value))
        seen = caplog.text + "".join(errors) + repr(driver) + repr(wrong._home("x")) + repr(driver._locate(uri))
        assert "S3: " in caplog.text
        assert "AWS4-HMAC-SHA256" not in caplog.text  # a signed request
        for value in (secret, server.secret_key):
            forms = {value, quote(value), quote(value, safe=""), base64.b64encode(value.encode()).decode()}
            if value == "testing":  # also the name of an account, in sentences; as a password it has a mark beside it
                forms = {":testing", "testing@", base64.b64encode(b"testing").decode()}
            for form in forms:
                assert form not in seen


def test_swift_stops_during_an_upload(swift, make_conf):
    options = {
        "s3_store_host": swift.s3_url,
        "s3_store_access_key": swift.s3_access_key,
        "s3_store_secret_key": swift.s3_secret_key,
        "s3_store_bucket": "stopping",
        "s3_store_create_bucket_on_put": True,
        "s3_store_large_object_chunk_size": 5,
    }
    driver = S3Driver(make_conf(glance_store=options))
    driver.configure()
    image_id = new_id()

    def blocks():
        for number in range(30):
            if number == 13:
                swift.stop()
            yield bytes(MIB)

    try:
        with pytest.raises(exception.StoreUnavailable):
            store_data(driver, image_id, blocks(), None)
    finally:
        swift.start()
    driver.discard(image_id)
    assert list(driver.objects()) == []
    disconnect(driver)


# --- without a server ------------------------------------------------------------


SECRETS = st.text(st.characters(min_codepoint=1, codec="utf-8"), min_size=1)


class TestLocations:
    @given(
        access=SECRETS,
        secret=SECRETS,
        host=st.sampled_from(["s3.amazonaws.com", "127.0.0.1:8080", "[::1]:1", "h/services/s3"]),
        secure=st.booleans(),
        bucket=st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True),
    )
    def test_round_trip(self, access, secret, host, secure, bucket):
        location = Location(f"{'https' if secure else 'http'}://{host}", access, secret, bucket, new_id())
        assert Location.parse(str(location)) == location

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("s3://A:a/b+c=@h/b/k", ("http://h", "A", "a/b+c=", "b", "k")),
            ("s3+http://A:S@h:80/b/k", ("http://h:80", "A", "S", "b", "k")),
            ("S3+HTTPS://A:S@H.example/b/k", ("https://h.example", "A", "S", "b", "k")),
            ("s3://A:a@b@h/b/k", ("http://h", "A", "a@b", "b", "k")),
            ("s3://A:a/b@h/b/k@x", ("http://h", "A", "a/b", "b", "k@x")),
            ("s3://A:S@h/a/path/b/k", ("http://h/a/path", "A", "S", "b", "k")),
            ("s3://test%3Atester:S@h/b/k", ("http://h", "test:tester", "S", "b", "k")),
        ],
    )
    def test_parse(self, uri, expected):
        location = Location.parse(uri)
        assert location == Location(*expected)
        assert f"'{expected[2]}'" not in repr(location)

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://h/b/k",
            "s3://A@h/b/k",
            "s3://A:@h/b/k",
            "s3://:S@h/b/k",
            "s3://A:S@/b/k",
            "s3://A:S@h/k",
            "s3://A:S@h/b/",
            "s3://A:S@h//k",
            "s3://A:S@h:0/b/k",
            "s3://A:S@h:99999/b/k",
            "s3://A:S@h/b/..",
            "s3://A:S@h/b k/k",
            "s3://A:S@h/b/k\n",
            "s3://A:S@h/b/k\\",
            "s3://A:S://@h/b/k",
            "s3://s3://A:S@h/b/k",
            "s3://A:S@h/arn:aws:s3:x/k",
            "s3+ftp://A:S@h/b/k",
            "http://A:S@h/b/k",
            "s3://A:%ff@h/b/k",
        ],
    )
    def test_malformed(self, uri):
        with pytest.raises(exception.BadStoreUri) as caught:
            Location.parse(uri)
        assert str(caught.value) == exception.BadStoreUri.message

    @pytest.mark.parametrize(
        ("host", "admitted"),
        [
            ("s3.example", True),
            ("s3.example:8080", True),
            ("s3.example:80", True),
            ("s3.example:22", False),
            ("s3.amazonaws.com", True),
            ("s3.eu-west-1.amazonaws.com", True),
            ("s3-eu-west-1.amazonaws.com", True),
            ("s3.dualstack.us-gov-west-1.amazonaws.com", True),
            ("s3.cn-north-1.amazonaws.com.cn", True),
            ("s3.amazonaws.com:22", False),
            ("ec2-1-2-3-4.compute-1.amazonaws.com", False),
            ("s3.evil.amazonaws.com", False),
            ("s3xamazonaws.com", False),
            ("s3.example.evil", False),
            ("127.0.0.1", False),
            ("169.254.169.254", False),
            ("named.example:1234", True),
        ],
    )
    def test_hosts_that_the_operator_named(self, make_conf, host, admitted):
        driver = S3Driver(
            make_conf(
                glance_store={"s3_store_host": "https://s3.example:8080"} | ACCOUNT,
                import_filtering_opts={"allowed_hosts": "named.example"},
            )
        )
        driver.configure()
        if admitted:
            driver.check_location(f"s3://A:S@{host}/b/k")
        else:
            for call in (driver.check_location, driver.size, driver.open, driver.delete):
                with pytest.raises(exception.BadStoreUri):
                    call(f"s3://A:S@{host}/b/k")


ACCOUNT = {"s3_store_access_key": "A", "s3_store_secret_key": "S", "s3_store_bucket": "b"}


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"s3_store_access_key": ""}, "Set s3_store_access_key."),
            ({"s3_store_secret_key": ""}, "Set s3_store_secret_key."),
            ({"s3_store_bucket": ""}, "Set s3_store_bucket."),
            ({"s3_store_bucket": "a/b"}, "s3_store_bucket"),
            ({"s3_store_host": "ftp://x"}, "s3_store_host"),
            ({"s3_store_host": "a b"}, "s3_store_host"),
            ({"s3_store_host": ""}, "s3_store_host"),
            ({"s3_store_host": "h:0"}, "s3_store_host"),
            ({"s3_store_region_name": "not a region"}, "not a region"),
            ({"s3_store_large_object_chunk_size": 4}, "s3_store_large_object_chunk_size"),
            ({"s3_store_thread_pools": 0}, "s3_store_thread_pools"),
            ({"s3_store_thread_pools": -1}, "s3_store_thread_pools"),
            ({"s3_store_cacert": "/nowhere"}, "s3_store_cacert"),
            ({"s3_store_object_buffer_dir": "/nowhere"}, "s3_store_object_buffer_dir"),
            ({"s3_store_enable_proxy": True}, "s3_store_proxy_host"),
        ],
    )
    def test_writing_is_off(self, make_conf, options, text):
        driver = S3Driver(make_conf(glance_store=ACCOUNT | options))
        with pytest.raises(exception.ConfigurationError, match=text):
            driver.configure()
        with pytest.raises(exception.StoreAddDisabled):
            driver.writer(new_id(), 1)
        assert list(driver.objects()) == []
        driver.discard(new_id())

    def test_without_the_library(self, make_conf, monkeypatch):
        monkeypatch.setitem(sys.modules, "botocore.session", None)
        driver = S3Driver(make_conf(glance_store=ACCOUNT))
        with pytest.raises(exception.ConfigurationError, match=r"pip install 'glance-classic\[s3\]'"):
            driver.configure()
        with pytest.raises(exception.StoreUnavailable):
            driver.size("s3://A:S@s3.amazonaws.com/b/k")

    def test_is_imported_only_by_a_store(self):
        code = "import sys, glance.store.s3; print('boto3' in sys.modules, 'botocore' in sys.modules)"
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False False\n"

    @pytest.mark.parametrize(
        ("options", "endpoint", "region", "style"),
        [
            ({}, "http://s3.amazonaws.com", "us-east-1", "virtual"),
            ({"s3_store_host": "https://s3.eu-west-1.amazonaws.com/"}, "https://s3.eu-west-1.amazonaws.com",
             "eu-west-1", "virtual"),
            ({"s3_store_host": "s3-ap-south-1.amazonaws.com"}, "http://s3-ap-south-1.amazonaws.com", "ap-south-1",
             "virtual"),
            ({"s3_store_host": "HTTPS://Ceph.example:8443"}, "https://ceph.example:8443", "us-east-1", "path"),
            ({"s3_store_host": "h", "s3_store_region_name": "r1"}, "http://h", "r1", "path"),
            ({"s3_store_host": "h", "s3_store_bucket_url_format": "subdomain"}, "http://h", "us-east-1", "virtual"),
            ({"s3_store_host": "h", "s3_store_bucket_url_format": "virtual"}, "http://h", "us-east-1", "virtual"),
            ({"s3_store_bucket_url_format": "path"}, "http://s3.amazonaws.com", "us-east-1", "path"),
        ],
    )  # fmt: skip
    def test_service(self, make_conf, monkeypatch, options, endpoint, region, style):
        """What the environment says does not matter."""
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "HTTP_PROXY"):
            monkeypatch.setenv(name, "nonsense")
        driver = S3Driver(make_conf(glance_store=ACCOUNT | options))
        driver.configure()
        client = driver._client(driver._home("k"))
        assert client.meta.endpoint_url == endpoint
        assert client.meta.region_name == region
        assert client.meta.config.s3["addressing_style"] == style
        assert client.meta.config.proxies == {}
        url = client.generate_presigned_url("get_object", {"Bucket": "b12", "Key": "k"})
        scheme, _, host = endpoint.partition("://")
        assert url.startswith(f"{scheme}://b12.{host}/k?" if style == "virtual" else f"{endpoint}/b12/k?")

    def test_proxy(self, make_conf, caplog):
        """A proxy that is not there; its password is not logged."""
        caplog.set_level(logging.DEBUG)
        options = {
            "s3_store_enable_proxy": True,
            "s3_store_proxy_host": "127.0.0.1",
            "s3_store_proxy_port": 9,
            "s3_store_proxy_user": "me",
            "s3_store_proxy_password": "proxy@password",
        }
        driver = S3Driver(make_conf(glance_store=ACCOUNT | options))
        driver.configure()
        with pytest.raises(exception.StoreUnavailable):
            driver.writer(new_id(), 1)
        assert "127.0.0.1:9" in caplog.text
        for form in (
            "proxy@password",
            quote("proxy@password", safe=""),
            base64.b64encode(b"me:proxy@password").decode(),
        ):
            assert form not in caplog.text

    @pytest.mark.parametrize(
        ("number", "size", "expected"),
        [
            (1, 0, 10 * MIB),
            (1, 10000 * 10 * MIB, 10 * MIB),
            (1, 10000 * 10 * MIB + 1, 10 * MIB + 1),
            (1, None, 10 * MIB),
            (1000, None, 10 * MIB),
            (1001, None, 20 * MIB),
            (10000, None, 512 * 10 * MIB),
        ],
    )
    def test_part_size(self, number, size, expected):
        assert s3_upload.part_size(number, size, 10 * MIB) == expected

    def test_parts_suffice(self):
        assert sum(s3_upload.part_size(number, None, 5 * MIB) for number in range(1, 10001)) > 4 * 1024**4

    def test_endpoint_of_ipv6(self):
        assert endpoint_of("[::1]:8080") == "http://[::1]:8080"
