"""What checking tokens costs: requests per second with a cached Keystone token, and without authentication.

``python -m tests.bench.identity [--seconds 5] [--database mariadb]`` starts a private Keystone and two
deployments, with the flavor ``keystone`` on both daemons and with none, and repeats show and list
of both APIs on each of them in turns.  Prints requests per second and their ratio.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import metadata
from tests.bench.dialects import V1, V2, ImagesApi
from tests.bench.services import Service, Unavailable, mariadb
from tests.functional.conftest import Deployment
from tests.functional.identity.conftest import SERVICE, authtoken
from tests.services.keystone import Keystone, running_keystone

AIM = 0.8
TURNS = 3
WORKERS = 2


class TokenV1(V1):
    """API v1 with a token."""

    def __init__(self, token: str) -> None:
        self.headers = {"X-Auth-Token": token}  # type: ignore[misc]


class TokenV2(V2):
    """API v2 with a token."""

    def __init__(self, token: str) -> None:
        self.headers = {"X-Auth-Token": token}  # type: ignore[misc]


@contextlib.contextmanager
def _site(directory: Path, connection: str | None, server: Keystone | None) -> Iterator[Deployment]:
    directory.mkdir()
    settings: dict[str, Any] = {"workers": WORKERS}
    if server:
        # The registry checks the user's token as well: nothing is believed because the API says so.
        settings |= {"keystone_authtoken": authtoken(server), "send_identity_headers": False}
    deployment = Deployment(
        directory, api=settings, registry=dict(settings), connection=connection, flavor="keystone" if server else ""
    )
    try:
        yield deployment.start()
    finally:
        deployment.stop()


def _rate(site: Deployment, dialect: ImagesApi, operation: str, image_id: str, seconds: float) -> float:
    processes = {"api": [site.api.pid], "registry": [site.registry.pid]}
    service = Service(site.api_port, dialect, processes, site.images, site.registry_port)
    return metadata.through_api(service, operation, image_id, seconds).rate


def _fill(site: Deployment, dialect: ImagesApi) -> str:
    return metadata.fill(Service(site.api_port, dialect, {}, site.images))


def main() -> int:
    """Measure and print; return the exit code: 2 when a server is not installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.identity", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement (5)")
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glance-identity-")))
        try:
            connections: list[str | None] = [None, None]
            if options.database == "mariadb":
                database = stack.enter_context(mariadb())
                connections = [stack.enter_context(database.database()) for _ in connections]
            server = stack.enter_context(running_keystone())
        except Unavailable as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except pytest.skip.Exception as skipped:
            print(f"error: {skipped.msg}", file=sys.stderr)
            return 2
        user, password, project = SERVICE
        server.user(user, password, {project: ["service", "admin"]})
        token = server.token(user, password, project)
        behind = stack.enter_context(_site(directory / "keystone", connections[0], server))
        free = stack.enter_context(_site(directory / "noauth", connections[1], None))
        ids = {behind: _fill(behind, TokenV2(token)), free: _fill(free, V2())}
        dialects: dict[str, dict[Deployment, ImagesApi]] = {
            "v1": {behind: TokenV1(token), free: V1()},
            "v2": {behind: TokenV2(token), free: V2()},
        }
        print(f"requests/s, {metadata.CLIENTS} clients, {WORKERS}+{WORKERS} workers")
        print(f"{'':8} {'keystone':>9} {'none':>9}  ratio")
        missed = 0
        for version, by_site in dialects.items():
            for operation in ("show", "list"):
                turns = [
                    [_rate(site, by_site[site], operation, ids[site], options.seconds) for site in (behind, free)]
                    for _ in range(TURNS)
                ]
                checked, unchecked = (statistics.median(column) for column in zip(*turns, strict=True))
                ratio = checked / unchecked
                missed += ratio < AIM
                mark = " !" if ratio < AIM else ""
                print(f"{version} {operation:5} {checked:>9.0f} {unchecked:>9.0f} {ratio:>6.2f}{mark}")
        print(f"{missed} below {AIM}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
