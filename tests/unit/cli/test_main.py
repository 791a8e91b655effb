"""Options, environment, exit codes, prompts; the program as a process of its own."""

import os
import pty
import select
import socket
import subprocess
import sys
import time

import pytest

import glance as package
from glance.cli.main import COMMANDS
from glance.cli.pages import PAGES

MAIN = "import sys; from glance.cmd.glance import main; sys.exit(main())"


def test_no_argument_prints_the_whole_help(run):
    done = run()
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: glance <command> [options] [args]\n")
    for word in ("members-replace", "--can-share", "--sort_dir", "-H ADDRESS, --host=ADDRESS", "Default: 0.0.0.0"):
        assert word in done.out
    assert "cache-" not in done.out
    assert run("--help").out == done.out


def test_options_without_a_command(run):
    done = run("-v", "--host=h")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: glance ")
    assert "--can-share" not in done.out


def test_unknown_command(run):
    for words in (["frobnicate"], ["help", "frobnicate"]):
        done = run(*words)
        assert (done.code, done.err) == (1, "Unknown command: frobnicate\n")
        assert done.out.startswith("Usage: glance ")


@pytest.mark.parametrize(
    "words", [["index", "--frobnicate"], ["index", "-p", "x"], ["index", "--limit=x"], ["index", "--sort_dir=up"]]
)
def test_bad_options(run, words):
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: glance ")
    assert "glance: error: " in done.err


def test_version(run):
    assert run("--version").out == f"glance {package.__version__}\n"


def test_help(run):
    for words in (["help"], ["help", "add", "show"]):
        done = run(*words)
        assert (done.code, done.out) == (1, "Please specify a command\n")
    assert set(PAGES) == set(COMMANDS)
    for name in COMMANDS:
        first, second, third, *_ = run("help", name).out.splitlines()
        assert first.startswith(f"glance {name} [options]")
        assert second == ""
        assert third
    for word in ("disk_format", "container_format", "is_public", "removed"):
        assert word in run("help", "update").out


def test_options_may_stand_anywhere(run, peer):
    for words in (
        ["--host=127.0.0.1", "-p", peer.port, "add", "name=x"],
        ["add", "--host", "127.0.0.1", "name=x", f"--port={peer.port}"],
        ["add", "name=x", "-H", "127.0.0.1", f"-p{peer.port}"],
    ):
        assert run(*words).code == 0
    assert len(peer.images) == 3


def test_url_beats_host_and_port(run, peer):
    assert run("index", "-U", f"http://127.0.0.1:{peer.port}/v1.1", "-H", "192.0.2.1", "-p", "1", "--ssl").code == 0
    assert peer.seen[0].path == "/v1.1/images"


def test_token(glance, peer, monkeypatch):
    monkeypatch.setenv("OS_TOKEN", "environment")
    for words in ([], ["-A", "given"], ["--auth_token=given"], ["--os_auth_token", "given"]):
        glance("index", *words)
    assert [seen.headers["x-auth-token"] for seen in peer.seen] == ["environment", "given", "given", "given"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["-S", "keystone"], "OS_AUTH_URL"),
        (["-S", "kerberos"], "'kerberos'"),
        (["-N", "http://127.0.0.1:1/v2.0"], "username"),
        (["-N", "http://127.0.0.1:1/v2.0", "-I", "u", "-K", "p"], "tenant"),
        (["-U", "nonsense"], "'nonsense'"),
    ],
)
def test_configuration_errors(glance, words, message):
    for command in (["index"], ["add", "name=x"]):
        done = glance(*command, *words)
        assert done.code == 1
        assert done.out.startswith("Usage: glance ")
        assert done.err.startswith("ERROR: ")
        assert message in done.err
        assert done.err.count("\n") == 1


def test_a_missing_tls_file(glance, monkeypatch, tmp_path):
    monkeypatch.setenv("GLANCE_CLIENT_CA_FILE", str(tmp_path / "none"))
    done = glance("index", "--ssl")
    assert done.code == 1
    assert done.err == f"ERROR: The ca_file {tmp_path}/none does not exist: correct ca_file or GLANCE_CLIENT_CA_FILE.\n"


def test_keystone_is_not_there(glance):
    done = glance("index", "-N", "http://127.0.0.1:1/v2.0", "-I", "u", "-K", "secret", "-T", "t")
    assert done.code == 1
    assert "http://127.0.0.1:1: Connection refused" in done.out
    assert "secret" not in done.out


def test_verbose_tells_the_time_whatever_the_outcome(glance):
    for words in (["index"], ["show", "5"], ["show"], ["index", "-S", "keystone"]):
        assert glance("-v", *words).out.splitlines()[-1].startswith("Completed in ")


def test_unexpected_errors(glance, peer):
    peer.on("GET", "/v1/images", 200, "{}")
    done = glance("index")
    assert done.code == 1
    assert done.out.startswith("Unexpected error: KeyError: 'images'\n")
    with pytest.raises(KeyError):
        glance("index", "--debug")


def test_timeout(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = run("index", "-H", "127.0.0.1", "-p", listener.getsockname()[1], "-t", "0.1")
    assert done.code == 1
    assert "no answer in time" in done.out


# --- as a process ----------------------------------------------------------


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GLANCE_"))}
    return {**kept, "PYTHONPATH": os.getcwd(), **more}


def test_the_program(peer, tmp_path):
    source = tmp_path / "image"
    source.write_bytes(b"data")
    with source.open("rb") as data:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "add", "name=Größe", "-H", "127.0.0.1", "-p", str(peer.port)],
            stdin=data, capture_output=True, text=True, env=environment(LC_ALL="C"), timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (image,) = peer.images.values()
    assert image["name"] == "Größe"
    assert done.stdout == f"Added new image with ID: {image['id']}\n"


def test_a_reader_that_goes_away(glance, peer):
    for n in range(300):
        glance("add", f"name={n}" + "x" * 100)
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, "details", "-H", "127.0.0.1", "-p", str(peer.port), "--limit=100"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(60) == 1


class Session:
    """A program on a terminal."""

    def __init__(self, *words):
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.execve(words[0], words, environment(COLUMNS="80"))
        self.text = ""

    def expect(self, text):
        deadline = time.monotonic() + 30
        while text not in self.text:
            if not select.select([self._terminal], [], [], deadline - time.monotonic())[0]:
                raise AssertionError(f"{text!r} did not come: {self.text!r}")
            self.text += os.read(self._terminal, 65536).decode().replace("\r\n", "\n")
        return self

    def type(self, text):
        self.text = ""
        os.write(self._terminal, text.encode())
        return self

    def end(self):
        """Exit code; ``text`` then holds the rest of the output."""
        try:
            while block := os.read(self._terminal, 65536):
                self.text += block.decode().replace("\r\n", "\n")
        except OSError:
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def on_terminal(peer, *words):
    return Session(sys.executable, "-c", MAIN, *words, "--host=127.0.0.1", "-p", str(peer.port))


def test_questions_on_a_terminal(glance, peer):
    for n in range(5):
        glance("add", f"name=image {n}")
    first = next(iter(peer.images))
    session = on_terminal(peer, "delete", first).expect(f"Delete image {first}? [y/N] ").type("\n")
    assert (session.end(), session.text.strip()) == (1, f"Not deleting image {first}")
    session = on_terminal(peer, "delete", first).expect("[y/N] ").type("\x04")
    assert session.end() == 1
    assert first in peer.images
    session = on_terminal(peer, "delete", first).expect("[y/N] ").type("Y\n")
    assert (session.end(), session.text.strip().splitlines()[-1]) == (0, f"Deleted image {first}")

    session = on_terminal(peer, "index", "--limit=2").expect("Fetch next page? [Y/n] ").type("\n")
    session.expect("image 4").expect("Fetch next page? [Y/n] ").type("n\n")
    assert session.end() == 0
    session = on_terminal(peer, "index", "--limit=2", "--force")
    assert session.end() == 0
    assert "Fetch" not in session.text

    session = on_terminal(peer, "clear").expect("Delete all images? [y/N] ").type("yes\n")
    assert session.end() == 0
    assert peer.images == {}


def test_add_on_a_terminal_registers_without_data(peer):
    session = on_terminal(peer, "add", "name=x")
    assert session.end() == 0
    assert next(iter(peer.images.values()))["status"] == "queued"
    assert "content-type" not in peer.seen[0].headers


def test_interrupt(peer):
    session = on_terminal(peer, "clear").expect("[y/N] ").type("\x03")
    assert session.end() == 1
    assert "Traceback" not in session.text
    assert peer.seen == []


def test_progress_bar(peer, tmp_path):
    source = tmp_path / "image"
    source.write_bytes(bytes(100_000))
    for extra, shown in (("", True), ("--silent-upload", False)):
        words = f"add name=x -H 127.0.0.1 -p {peer.port} {extra}"
        session = Session("/bin/sh", "-c", f"{sys.executable} -c '{MAIN}' {words} < {source}")
        assert session.end() == 0
        assert ("Uploading image 'x'" in session.text) is shown
        assert (">[100%] " in session.text) is shown
        assert "Added new image with ID: " in session.text


def test_upload_program(peer, tmp_path):
    source = tmp_path / "image"
    source.write_bytes(b"data")
    program = "import sys; from glance.cmd.upload import main; sys.exit(main())"

    def upload(*words):
        return subprocess.run(
            [sys.executable, "-c", program, *map(str, words)],
            capture_output=True, text=True, env=environment(), timeout=60,
        )  # fmt: skip

    done = upload(source, "name", "--port", peer.port, "--type=machine", "--kernel=k", "--disk-format=ami",
                  "--container-format=ami")  # fmt: skip
    (image,) = peer.images.values()
    assert done.stdout == f"Stored image. Got identifier: {image['id']}\n"
    assert (image["name"], image["type"], image["disk_format"]) == ("name", "machine", "ami")
    assert image["properties"] == {"kernel_id": "k"}
    done = upload(tmp_path / "none", "name", "--port", peer.port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ERROR: ")
    assert upload(source, "name", "--port", "1").returncode == 1
