"""TLS between the daemons, and between them and their clients (spec daemons-and-config.md §3.1, registry.md §5).

How the server itself speaks TLS is tested in ``server/test_tls.py``; here are the real daemons, the ``glance``
command and ``glance.client``.
"""

import datetime
import http.client
import os
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from glance.client import Client
from glance.common import exception
from tests.functional.conftest import ROOT, Daemon, Deployment
from tests.functional.server.conftest import _certificate, wait_until

CROWD = 100
DATA = b"An image on its way through TLS.\n" * 5000
TLS_VARIABLES = ("GLANCE_CLIENT_KEY_FILE", "GLANCE_CLIENT_CERT_FILE", "GLANCE_CLIENT_CA_FILE")
IMAGES = {"api": "/v1/images", "registry": "/images"}


# --- certificates -----------------------------------------------------------------------------------


class Authority:
    """Signs what it is asked to sign, also what has expired; ``file`` is its own certificate."""

    def __init__(self, directory, name):
        directory.mkdir()
        self._directory, self._name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = self._write("ca.pem", _certificate(name, name, self._key, self._key, True))

    def issue(self, name, *, expired=False):
        """Files of a new pair: ``cert``, ``key``, and ``both`` in one."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, self._name, key, self._key, False)
        if expired:
            certificate = self._expired(certificate)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = SimpleNamespace(cert=self._write(f"{name}.pem", certificate), key=str(self._directory / f"{name}.key"))
        files.both = str(self._directory / f"{name}-both.pem")
        with open(files.key, "wb") as alone, open(files.both, "wb") as both:
            alone.write(text)
            both.write(text + certificate.public_bytes(serialization.Encoding.PEM))
        return files

    def _expired(self, certificate):
        """The same, but that its time ended yesterday."""
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return x509.CertificateBuilder(
            certificate.issuer, certificate.subject, certificate.public_key(), certificate.serial_number,
            yesterday - datetime.timedelta(days=1), yesterday, list(certificate.extensions),
        ).sign(self._key, hashes.SHA256())  # fmt: skip

    def _write(self, name, certificate):
        path = self._directory / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Two authorities, one of which nobody should believe, and what they signed."""
    directory = tmp_path_factory.mktemp("authorities")
    good, bad = Authority(directory / "good", "good"), Authority(directory / "bad", "bad")
    return SimpleNamespace(
        ca=good.file,
        wrong_ca=bad.file,
        server=good.issue("server"),
        client=good.issue("client"),
        expired_server=good.issue("expired-server", expired=True),
        expired_client=good.issue("expired-client", expired=True),
        foreign_client=bad.issue("foreign-client"),
    )


def serving(pair, ca=None):
    """Settings of a daemon that serves TLS, and with ``ca`` asks its clients for a certificate."""
    return {"cert_file": pair.cert, "key_file": pair.key} | ({"ca_file": ca} if ca else {})


def asking(ca=None, pair=None, **more):
    """Settings of an API server that asks its registry over TLS."""
    settings = {"registry_client_protocol": "https", "registry_client_ca_file": ca}
    if pair:
        settings |= {"registry_client_cert_file": pair.cert, "registry_client_key_file": pair.key}
    return {name: value for name, value in (settings | more).items() if value is not None}


# --- daemons ----------------------------------------------------------------------------------------


class TlsDaemon(Daemon):
    """One that is ready when it accepts connections: who may say more is what the tests are about."""

    def start(self):
        environment = {name: value for name, value in os.environ.items() if name not in TLS_VARIABLES}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--config-file", str(self.config)],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                env=environment | {"PYTHONPATH": str(ROOT), "HOME": str(self.config.parent)} | self.variables,
            )  # fmt: skip
        wait_until(self._is_up, f"{self.module} starts")

    def _is_up(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return "Started child" in self.log.read_text()

    variables: dict[str, str] = {}
    """More of its environment."""


class TlsDeployment(Deployment):
    """One whose daemons serve TLS where their settings say so."""

    def __init__(self, directory, api, registry, variables=None):
        super().__init__(directory, api=api, registry=registry)
        self.api.variables = variables or {}
        self.ports = {"api": self.api_port, "registry": self.registry_port}

    def _daemon(self, name, module, url, settings):
        daemon = super()._daemon(name, module, url, settings)
        return TlsDaemon(daemon.module, daemon.config, daemon.log, daemon.url)

    def get(self, daemon, scheme="https", **how):
        """Status of a list of images from one of the daemons; ``how`` is ``verify`` and ``cert`` of requests."""
        url = f"{scheme}://127.0.0.1:{self.ports[daemon]}{IMAGES[daemon]}"
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=30, **how).status_code

    def assert_refused(self, daemon, why, **how):
        """A request is not answered, and the daemon says ``why`` in a line of its log, and no more."""
        log = getattr(self, daemon).log
        before = len(log.read_text())
        with pytest.raises(requests.ConnectionError):
            self.get(daemon, **how)
        wait_until(lambda: f"failed: {why}\n" in log.read_text()[before:], f"{why!r} in the log")
        assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start deployments that end with the module: ``start(api, registry)``."""
    running = []

    def start(api, registry, variables=None):
        running.append(TlsDeployment(tmp_path_factory.mktemp("tls"), api, registry, variables))
        return running[-1].start()

    yield start
    for deployment in running:
        deployment.stop()


@pytest.fixture(scope="module")
def plain(start):
    """Daemons without TLS."""
    return start({}, {})


@pytest.fixture(scope="module")
def one_sided(start, pki):
    """Daemons that prove who they are."""
    return start(serving(pki.server) | asking(pki.ca), serving(pki.server))


@pytest.fixture(scope="module")
def two_sided(start, pki):
    """Daemons that want to know who their clients are as well."""
    both = serving(pki.server, pki.ca)
    return start(both | asking(pki.ca, pki.client), both)


@pytest.fixture(scope="module")
def expired(start, pki):
    """Daemons whose certificate is too old; the API server believes the registry all the same."""
    too_old = serving(pki.expired_server)
    return start(too_old | asking(registry_client_insecure=True), too_old)


def pair_of(files):
    return files.cert, files.key


# --- clients of the daemons ---------------------------------------------------------------------------

both_daemons = pytest.mark.parametrize("daemon", ["api", "registry"])


@both_daemons
def test_a_server_that_proves_itself(one_sided, pki, daemon):
    assert one_sided.get(daemon, verify=pki.ca) == 200
    assert one_sided.get(daemon, verify=pki.ca, cert=pair_of(pki.client)) == 200  # nobody asked, nobody minds


@both_daemons
def test_a_client_that_proves_itself(two_sided, pki, daemon):
    assert two_sided.get(daemon, verify=pki.ca, cert=pair_of(pki.client)) == 200


@both_daemons
def test_a_client_that_believes_another_authority(one_sided, pki, daemon):
    one_sided.assert_refused(daemon, "TLSV1_ALERT_UNKNOWN_CA", verify=pki.wrong_ca)


@both_daemons
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_server_whose_certificate_has_expired(expired, pki, daemon):
    with pytest.raises(requests.exceptions.SSLError, match="certificate has expired"):
        expired.get(daemon, verify=pki.ca)
    assert expired.get(daemon, verify=False) == 200


@both_daemons
@pytest.mark.parametrize("deployment", ["one_sided", "two_sided"])
def test_plain_http(request, daemon, deployment):
    request.getfixturevalue(deployment).assert_refused(daemon, "HTTP_REQUEST", scheme="http")


@both_daemons
@pytest.mark.parametrize(
    ("client", "why"),
    [
        (None, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        ("expired_client", "CERTIFICATE_VERIFY_FAILED"),
        ("foreign_client", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_clients_that_are_turned_away(two_sided, pki, daemon, client, why):
    cert = pair_of(getattr(pki, client)) if client else None
    two_sided.assert_refused(daemon, why, verify=pki.ca, cert=cert)
    assert two_sided.get(daemon, verify=pki.ca, cert=pair_of(pki.client)) == 200


def test_a_hundred_handshakes_at_once(two_sided, pki):
    """One worker of each daemon; every answer of the API is one of the registry's as well."""
    context = ssl.create_default_context(cafile=pki.ca)
    context.load_cert_chain(*pair_of(pki.client))
    begin = threading.Barrier(CROWD, timeout=60)

    def get(_):
        connection = http.client.HTTPSConnection("127.0.0.1", two_sided.api_port, timeout=60, context=context)
        begin.wait()
        connection.request("GET", "/v1/images")
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(CROWD) as pool:
        assert list(pool.map(get, range(CROWD))) == [200] * CROWD


# --- from the API server to the registry ----------------------------------------------------------------


class Relay:
    """An API server of its own before somebody else's registry."""

    def __init__(self, directory, registry, settings, variables=None):
        settings = settings | {"registry_port": registry.registry_port}
        self.deployment = TlsDeployment(directory, settings, {}, variables)
        self.url = self.deployment.url

    def __enter__(self):
        self.deployment.api.start()
        return self

    def __exit__(self, *error):
        self.deployment.api.stop()

    def request(self, method, path, **more):
        return requests.request(method, self.url + path, timeout=30, **more)

    @property
    def log(self):
        return self.deployment.api.log.read_text()


def _environment(pki):
    return dict(zip(TLS_VARIABLES, (pki.client.key, pki.client.cert, pki.ca), strict=True))


RIGHT = {
    "believed": ("one_sided", lambda pki: asking(pki.ca)),
    "insecure": ("one_sided", lambda pki: asking(registry_client_insecure=True)),
    "insecure, with another authority": ("one_sided", lambda pki: asking(pki.wrong_ca, registry_client_insecure=True)),
    "insecure, expired": ("expired", lambda pki: asking(registry_client_insecure=True)),
    "certificate": ("two_sided", lambda pki: asking(pki.ca, pki.client)),
    "certificate, insecure": ("two_sided", lambda pki: asking(None, pki.client, registry_client_insecure=True)),
    "certificate in the key file": ("two_sided", lambda pki: asking(pki.ca, registry_client_key_file=pki.client.both)),
    "upper case": ("one_sided", lambda pki: asking(pki.ca, registry_client_protocol="HTTPS")),
}
WRONG = {
    "another authority": ("one_sided", lambda pki: asking(pki.wrong_ca), "unable to get local issuer certificate"),
    "the system's authorities": ("one_sided", lambda pki: asking(), "unable to get local issuer certificate"),
    "expired": ("expired", lambda pki: asking(pki.ca), "certificate has expired"),
    "no client certificate": ("two_sided", lambda pki: asking(pki.ca), ""),
    "expired client certificate": ("two_sided", lambda pki: asking(pki.ca, pki.expired_client), ""),
    "foreign client certificate": ("two_sided", lambda pki: asking(pki.ca, pki.foreign_client), ""),
    "insecure, no client certificate": ("two_sided", lambda pki: asking(registry_client_insecure=True), ""),
    "http to a registry with TLS": ("one_sided", lambda pki: {}, ""),
    "https to a registry without": ("plain", lambda pki: asking(pki.ca), ""),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_registry_that_answers(request, tmp_path, pki, case):
    name, settings = RIGHT[case]
    with Relay(tmp_path, request.getfixturevalue(name), settings(pki)) as relay:
        image = relay.request("POST", "/images", headers={"x-image-meta-name": case}).json()["image"]
        assert relay.request("HEAD", f"/images/{image['id']}").headers["x-image-meta-name"] == case
        assert relay.request("DELETE", f"/images/{image['id']}").status_code == 200


def test_the_environment_names_the_files(two_sided, tmp_path, pki):
    with Relay(tmp_path, two_sided, asking(), _environment(pki)) as relay:
        assert relay.request("GET", "/images").status_code == 200


def test_options_beat_the_environment(one_sided, tmp_path, pki):
    wrong = {"GLANCE_CLIENT_CA_FILE": pki.wrong_ca}
    with Relay(tmp_path, one_sided, asking(pki.ca), wrong) as relay:
        assert relay.request("GET", "/images").status_code == 200


@pytest.mark.parametrize("case", WRONG)
def test_a_registry_that_is_not_there_for_us(request, tmp_path, pki, case):
    name, settings, reason = WRONG[case]
    with Relay(tmp_path, request.getfixturevalue(name), settings(pki)) as relay:
        for method, path in (
            ("GET", "/images"), ("GET", "/images/detail"), ("POST", "/images"), ("HEAD", "/images/x"),
            ("PUT", "/images/x"), ("DELETE", "/images/x"), ("GET", "/images/x/members"),
        ):  # fmt: skip
            answer = relay.request(method, path)
            assert answer.status_code == 503, (method, path)
            assert int(answer.headers["Retry-After"]) > 0
            for word in ("Traceback", "certificate", "SSL", ".pem", str(tmp_path)):
                assert word not in answer.text
        assert requests.get(relay.deployment.endpoint + "/versions").status_code == 200
        assert reason in relay.log
        assert "Traceback" not in relay.log


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("registry_client_ca_file", "ca_file"),
        ("registry_client_key_file", "key_file"),
        ("registry_client_cert_file", "cert_file"),
    ],
)
def test_a_file_that_is_not_there(plain, tmp_path, pki, option, names):
    settings = asking(pki.ca) | {option: str(tmp_path / "absent.pem")}
    deployment = TlsDeployment(tmp_path, settings | {"registry_port": plain.registry_port}, {})
    done = subprocess.run(
        [sys.executable, "-m", "glance.cmd.api", "--config-file", str(deployment.api.config)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert names in line
    assert "absent.pem" in line
    assert "Traceback" not in done.stderr


# --- the glance command -----------------------------------------------------------------------------------


def glance(port, *arguments, data=None, host="127.0.0.1", **files):
    """Run the command with GLANCE_CLIENT_* for ``files``; return (exit code, what it said)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GLANCE_"))}
    environment |= {f"GLANCE_CLIENT_{name.upper()}_FILE": path for name, path in files.items()}
    address = [f"--host={host}", f"--port={port}"] if port else []
    done = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "glance"), *address, *arguments],
        env=environment, input=data or b"", capture_output=True, timeout=60,
    )  # fmt: skip
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said
    return done.returncode, said


def test_the_command(one_sided, pki):
    """An image's whole life."""
    port = one_sided.api_port
    code, said = glance(port, "--ssl", "add", "name=through TLS", "is_public=true", data=DATA, ca=pki.ca)
    assert (code, said.startswith("Added new image with ID: ")) == (0, True)
    image_id = said.split()[-1]
    code, said = glance(port, "--ssl", "show", image_id, ca=pki.ca)
    assert (code, said.splitlines()[0]) == (0, f"URI: https://127.0.0.1:{port}/v1/images/{image_id}")
    assert f"Size: {len(DATA)}" in said
    code, said = glance(port, "--ssl", "index", ca=pki.ca)
    assert (code, image_id in said) == (0, True)
    assert glance(port, "--ssl", "-f", "delete", image_id, ca=pki.ca) == (0, f"Deleted image {image_id}\n")


def test_the_command_with_a_url(one_sided, pki):
    for path in ("", "/", "/v1"):
        url = f"https://127.0.0.1:{one_sided.api_port}{path}"
        assert glance(None, f"--url={url}", "index", ca=pki.ca)[0] == 0
        assert glance(None, "-U", url, "-k", "index")[0] == 0
    # The URL says which protocol, whatever the options say.
    assert glance(one_sided.api_port, "--ssl", f"--url=http://127.0.0.1:{one_sided.api_port}/v1", "index")[0] == 1


def test_the_command_believes_anybody(one_sided, expired):
    for deployment in (one_sided, expired):
        for option in ("-k", "--insecure"):
            assert glance(deployment.api_port, "--ssl", option, "index")[0] == 0
        # The address need not be one that the certificate names.
        assert glance(deployment.api_port, "--ssl", "-k", "index", host="localhost")[0] == 0


def test_the_command_shows_its_certificate(two_sided, pki):
    port, client = two_sided.api_port, pki.client
    assert glance(port, "--ssl", "index", ca=pki.ca, cert=client.cert, key=client.key)[0] == 0
    assert glance(port, "--ssl", "index", ca=pki.ca, key=client.both)[0] == 0
    assert glance(port, "--ssl", "-k", "index", cert=client.cert, key=client.key)[0] == 0


@pytest.mark.parametrize(
    ("deployment", "arguments", "files", "said"),
    [
        ("one_sided", ["--ssl"], {}, "local issuer certificate"),
        ("one_sided", ["--ssl"], {"ca": "wrong_ca"}, "local issuer certificate"),
        ("expired", ["--ssl"], {"ca": "ca"}, "certificate has expired"),
        ("one_sided", [], {"ca": "ca"}, "Failed to show index"),
        ("plain", ["--ssl"], {"ca": "ca"}, "Failed to show index"),
        ("two_sided", ["--ssl"], {"ca": "ca"}, "Failed to show index"),
        ("two_sided", ["--ssl", "-k"], {}, "Failed to show index"),
    ],
)
def test_the_command_is_refused(request, pki, deployment, arguments, files, said):
    port = request.getfixturevalue(deployment).api_port
    code, text = glance(port, *arguments, "index", **{name: getattr(pki, value) for name, value in files.items()})
    assert (code, said in text) == (1, True), text


def test_the_command_with_another_name(one_sided, pki):
    """A certificate is one for the addresses that it names."""
    code, said = glance(one_sided.api_port, "--ssl", "index", host="localhost", ca=pki.ca)
    assert (code, "localhost" in said) == (1, True)


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_the_command_misses_a_file(one_sided, tmp_path, name):
    code, said = glance(one_sided.api_port, "--ssl", "index", **{name: str(tmp_path / "absent.pem")})
    assert (code, f"ERROR: The {name}_file {tmp_path}/absent.pem" in said) == (1, True), said
    assert glance(one_sided.api_port, "--ssl", "-k", "index", **{name: str(tmp_path / "absent.pem")})[0] == 1


# --- glance.client ------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Nothing of what the tests inherit has a say."""
    for name in TLS_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def client_of(deployment, **options):
    return Client("127.0.0.1", deployment.api_port, use_ssl=True, timeout=30, **options)


def life_of_an_image(client):
    """Everything that moves data, over one connection and another."""
    meta = {"name": "n", "disk_format": "raw", "container_format": "bare", "is_public": True}
    image_id = client.add_image(meta, DATA)["id"]
    meta, blocks = client.get_image(image_id)
    assert (meta["status"], b"".join(blocks)) == ("active", DATA)
    assert client.update_image(image_id, {"name": "m"})["name"] == "m"
    (listed,) = [image for image in client.get_images() if image["id"] == image_id]
    assert listed["uri"] == f"https://127.0.0.1:{client.origin.port}/v1/images/{image_id}"
    assert client.delete_image(image_id) is True


def test_the_client(one_sided, pki):
    life_of_an_image(client_of(one_sided, ca_file=pki.ca))
    life_of_an_image(client_of(one_sided, insecure=True))


def test_the_client_shows_its_certificate(two_sided, pki, monkeypatch):
    files = {"key_file": pki.client.key, "cert_file": pki.client.cert}
    life_of_an_image(client_of(two_sided, ca_file=pki.ca, **files))
    life_of_an_image(client_of(two_sided, insecure=True, **files))
    for name, value in _environment(pki).items():
        monkeypatch.setenv(name, value)
    life_of_an_image(client_of(two_sided))


def test_the_client_is_sent_to_a_url(one_sided, pki):
    client = Client("192.0.2.1", ca_file=pki.ca, timeout=30)
    client.configure_from_url(f"https://127.0.0.1:{one_sided.api_port}")
    assert client.get_images() == client_of(one_sided, ca_file=pki.ca).get_images()


@pytest.mark.parametrize(
    ("deployment", "options"),
    [
        ("one_sided", {}),
        ("one_sided", {"ca_file": "wrong_ca"}),
        ("expired", {"ca_file": "ca"}),
        ("plain", {"ca_file": "ca"}),
        ("two_sided", {"ca_file": "ca"}),
    ],
)
def test_the_client_is_refused(request, pki, deployment, options):
    running = request.getfixturevalue(deployment)
    client = client_of(running, **{name: getattr(pki, value) for name, value in options.items()})
    with pytest.raises(exception.ClientConnectionError):
        client.get_images()
    with pytest.raises(exception.ClientConnectionError):
        client.add_image({"name": "n", "disk_format": "raw", "container_format": "bare"}, DATA)


def test_the_client_without_tls(one_sided):
    with pytest.raises(exception.ClientConnectionError):
        Client("127.0.0.1", one_sided.api_port, timeout=30).get_images()


def test_the_clients_files(one_sided, pki, tmp_path):
    absent = str(tmp_path / "absent.pem")
    for options in (
        {"ca_file": absent}, {"key_file": absent, "cert_file": pki.client.cert}, {"cert_file": pki.client.cert},
        {"key_file": pki.client.key, "cert_file": absent}, {"key_file": pki.client.key},
        {"key_file": pki.server.key, "cert_file": pki.client.cert}, {"ca_file": pki.client.key},
    ):  # fmt: skip
        with pytest.raises(exception.ClientConnectionError):
            client_of(one_sided, **options)
