"""Uploads of signed images through both APIs of real daemons (spec policy-quota-protection.md §6)."""

import base64
import json
import ssl
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.functional.conftest import identity
from tests.services import key_manager
from tests.services.ports import free_port

DATA = b"the data of an image" * 1000
LARGE = bytes(range(256)) * (20 * 4096)
OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}
USER = identity("signers") | {"X-Auth-Token": "token-of-the-user"}
PATIENCE = 30


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module", params=["glance.db.registry.api", "glance.db.sqlalchemy.api"])
def glance(request, deploy, certificates):
    return deploy(
        api={
            "key_manager": {"backend": key_manager.BACKEND, "directory": certificates},
            "import_filtering_opts": {"allowed_hosts": "127.0.0.1"},
        },
        flavor="trusted-auth",
        data_api=request.param,
    )


@pytest.fixture
def signed(certificates):
    """Makes the properties of an image."""
    return lambda *args, **more: key_manager.properties(certificates, *args, **more)


def v2(glance, properties, data):
    """Create an image and upload; return its id and the answer."""
    answer = requests.post(f"{glance.endpoint}/v2/images", json=FORMATS | properties, headers=USER, timeout=60)
    assert answer.status_code == 201, answer.text
    image_id = answer.json()["id"]
    return image_id, put(glance, image_id, data)


def put(glance, image_id, data):
    path = f"{glance.endpoint}/v2/images/{image_id}/file"
    return requests.put(path, data=data, headers=USER | OCTETS, timeout=60)


def v1_headers(image_id, properties):
    attributes = FORMATS | {"id": image_id} | {f"property-{name}": value for name, value in properties.items()}
    return USER | {f"x-image-meta-{name}": value for name, value in attributes.items()}


def v1_post(glance, properties, data):
    image_id = str(uuid.uuid4())
    # In chunks, so that no data are data as well.
    headers = v1_headers(image_id, properties) | OCTETS
    return image_id, glance.request("POST", "/images", headers=headers, data=iter([data]))


def v1_put(glance, properties, data):
    """Properties and data in one request."""
    image_id = str(uuid.uuid4())
    glance.create(headers=USER, id=image_id)
    headers = v1_headers(image_id, properties) | OCTETS
    return image_id, glance.request("PUT", f"/images/{image_id}", headers=headers, data=iter([data]))


def status_of(glance, image_id):
    return requests.get(f"{glance.endpoint}/v2/images/{image_id}", headers=USER, timeout=60).json()["status"]


WAYS = {"v2": (v2, "queued"), "v1 POST": (v1_post, "killed"), "v1 PUT": (v1_put, "killed")}
"""How to upload, and what a failure leaves."""


@pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["some", "large", "none"])
@pytest.mark.parametrize("way", WAYS)
def test_good(glance, signed, way, data):
    image_id, answer = WAYS[way][0](glance, signed(data), data)
    assert answer.status_code in (200, 201, 204), answer.text
    assert status_of(glance, image_id) == "active"
    assert glance.files(image_id) == [image_id]


@pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["some", "large", "none"])
@pytest.mark.parametrize("way", WAYS)
def test_of_other_data(glance, signed, way, data):
    upload, status = WAYS[way]
    image_id, answer = upload(glance, signed(data + b"!"), data)
    assert (answer.status_code, "does not match" in answer.text) == (400, True)
    assert status_of(glance, image_id) == status
    assert glance.files(image_id) == []


@pytest.mark.parametrize("way", WAYS)
def test_cannot_be_checked(glance, signed, way):
    upload, status = WAYS[way]
    for wrong in (
        {"img_signature_hash_method": "MD5"},
        {"img_signature_key_type": "DSA"},
        {"img_signature_certificate_uuid": str(uuid.uuid4())},
        {"img_signature": "not base64"},
        signed(DATA, end=-1, begin=-2),
    ):
        image_id, answer = upload(glance, signed(DATA) | wrong, DATA)
        assert (answer.status_code, "cannot be checked" in answer.text) == (400, True)
        assert status_of(glance, image_id) == status
        assert glance.files(image_id) == []


@pytest.mark.parametrize("way", WAYS)
def test_three_of_four_are_not_checked(glance, signed, way):
    for missing in signed(b""):
        properties = signed(b"other data")
        del properties[missing]
        image_id, _ = WAYS[way][0](glance, properties, DATA)
        assert status_of(glance, image_id) == "active"


def test_old_names_are_not_checked(glance, signed):
    properties = {name.removeprefix("img_"): value for name, value in signed(b"other data").items()}
    image_id, _ = v2(glance, properties, DATA)
    assert status_of(glance, image_id) == "active"


def test_v2_uploads_again_after_a_failure(glance, signed):
    image_id, answer = v2(glance, signed(DATA), b"other data")
    assert answer.status_code == 400
    assert put(glance, image_id, DATA).status_code == 204
    assert status_of(glance, image_id) == "active"


def test_wrong_signature_corrected(glance, signed):
    image_id, _ = v2(glance, signed(b"other data"), DATA)
    patch = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in signed(DATA).items()]
    headers = USER | {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    url = f"{glance.endpoint}/v2/images/{image_id}"
    answer = requests.patch(url, data=json.dumps(patch), headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert put(glance, image_id, DATA).status_code == 204


PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max"]
SIGNERS = {
    "RSA-PSS": (["-newkey", "rsa:3072"], PSS),
    "ECC_SECP384R1": (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"], []),
    "ECC_SECP521R1": (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"], []),
    "DSA": (["-newkey", "dsa:signer.param"], []),
}


@pytest.mark.parametrize("key_type", SIGNERS)
def test_signed_with_openssl(glance, certificates, tmp_path, key_type):
    """The commands of doc/source/admin/signatures.rst."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    new_key, options = SIGNERS[key_type]
    (tmp_path / "image.raw").write_bytes(DATA)
    if key_type == "DSA":
        openssl("dsaparam", "-out", "signer.param", "2048")
    subject = ["-days", "365", "-subj", "/CN=signer"]
    openssl("req", "-x509", *new_key, "-nodes", "-keyout", "signer.key", "-out", "signer.pem", *subject)
    openssl("dgst", "-sha256", "-sign", "signer.key", *options, "-out", "image.sig", "image.raw")
    certificate_id = str(uuid.uuid4())
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "signer.pem").read_text())
    (certificates / f"{certificate_id}.der").write_bytes(der)
    properties = {
        "img_signature": base64.b64encode((tmp_path / "image.sig").read_bytes()).decode(),
        "img_signature_hash_method": "SHA-256",
        "img_signature_key_type": key_type,
        "img_signature_certificate_uuid": certificate_id,
    }
    assert v2(glance, properties, DATA)[1].status_code == 204
    assert v2(glance, properties, DATA + b"!")[1].status_code == 400


@pytest.mark.parametrize(("suffix", "status"), [(b"", "active"), (b"!", "killed")])
def test_v1_copy_from(glance, signed, site, suffix, status):
    image_id = str(uuid.uuid4())
    headers = v1_headers(image_id, signed(DATA + suffix)) | {"x-glance-api-copy-from": f"{site.url}/data"}
    answer = glance.request("POST", "/images", headers=headers)
    assert answer.status_code == 201, answer.text
    deadline = time.monotonic() + PATIENCE
    while (found := status_of(glance, image_id)) in ("queued", "saving") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == status
    assert glance.files(image_id) == ([image_id] if status == "active" else [])


# --- Barbican -----------------------------------------------------------------------------------


class _Site(ThreadingHTTPServer):
    """Serves ``DATA``, and as much of Keystone and Barbican as reading one certificate takes.

    :ivar certificate: in PEM, as Barbican keeps it
    :ivar tokens: what Keystone was asked with
    :ivar go_on: cleared, Barbican does not answer
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.certificate = b""
        self.tokens = []
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_HEAD(self):
        self._answer(DATA)

    def do_GET(self):
        if self.path == "/data":
            self._answer(DATA)
        elif self.path.rstrip("/") == "/identity/v3":
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self._url("/identity/v3")}]}
            self._json({"version": version})
        elif self.path == "/":
            links = [{"rel": "self", "href": self._url("/v1/")}]
            version = {"id": "v1", "status": "CURRENT", "min_version": "1.0", "max_version": "1.1", "links": links}
            self._json({"versions": [version]})
        elif self.headers.get("X-Auth-Token") != "scoped-token":
            self._answer(b"", 401)
        elif self.path.endswith("/payload"):
            self._answer(self.server.certificate)
        elif self.path.startswith("/v1/secrets/"):
            self.server.asked.set()
            self.server.go_on.wait(PATIENCE)
            self._json({"secret_ref": self._url(self.path), "secret_type": "certificate", "status": "ACTIVE",
                        "name": "signer", "content_types": {"default": "application/octet-stream"},
                        "created": "2026-01-01T00:00:00"})  # fmt: skip
        else:
            self._answer(b"", 404)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.append(request["auth"]["identity"]["token"]["id"])
        token = {"methods": ["token"], "expires_at": "2999-01-01T00:00:00.000000Z", "user": {"id": "u", "name": "u"},
                 "catalog": []}  # fmt: skip
        self._json({"token": token}, 201, {"X-Subject-Token": "scoped-token"})

    def _url(self, path):
        return self.server.url + path

    def _json(self, body, status=200, headers=None):
        self._answer(json.dumps(body).encode(), status, {"Content-Type": "application/json"} | (headers or {}))

    def _answer(self, body, status=200, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site():
    with _Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def with_barbican(deploy, site):
    barbican = {"barbican_endpoint": site.url, "auth_endpoint": f"{site.url}/identity/v3"}
    return deploy(api={"barbican": barbican, "debug": True}, flavor="trusted-auth")


@pytest.fixture
def in_barbican(site, certificates, signed):
    """Makes the properties of an image whose certificate Barbican has."""

    def make(data):
        properties = signed(data)
        der = (certificates / f"{properties['img_signature_certificate_uuid']}.der").read_bytes()
        site.certificate = ssl.DER_cert_to_PEM_cert(der).encode()
        return properties

    return make


def test_barbican_is_asked_with_the_token_of_the_caller(with_barbican, site, in_barbican):
    site.tokens.clear()
    _, answer = v2(with_barbican, in_barbican(DATA), DATA)
    assert answer.status_code == 204, answer.text
    assert set(site.tokens) == {"token-of-the-user"}
    _, answer = v2(with_barbican, in_barbican(DATA), b"other data")
    assert answer.status_code == 400
    log = with_barbican.api.log.read_text()
    assert "token-of-the-user" not in log
    assert "scoped-token" not in log


def test_others_are_served_while_barbican_is_slow(with_barbican, site, in_barbican):
    properties = in_barbican(DATA)
    site.asked.clear()
    site.go_on.clear()
    answers = []
    upload = threading.Thread(target=lambda: answers.append(v2(with_barbican, properties, DATA)[1].status_code))
    upload.start()
    try:
        assert site.asked.wait(PATIENCE)
        assert requests.get(f"{with_barbican.endpoint}/v2/images", headers=USER, timeout=10).status_code == 200
    finally:
        site.go_on.set()
        upload.join(PATIENCE)
    assert answers == [204]


def test_barbican_is_down(deploy, signed):
    nobody = f"http://127.0.0.1:{free_port()}"
    barbican = {"barbican_endpoint": nobody, "auth_endpoint": f"{nobody}/v3"}
    glance = deploy(api={"barbican": barbican}, flavor="trusted-auth")
    image_id, answer = v2(glance, signed(DATA), DATA)
    assert (answer.status_code, "cannot be read" in answer.text, "127.0.0.1" in answer.text) == (400, True, False)
    assert status_of(glance, image_id) == "queued"
