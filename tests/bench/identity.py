"""What checking tokens costs: requests per second with a cached Keystone token, and without authentication.

``python -m tests.bench.identity [--seconds 5] [--database mariadb]`` starts a private Keystone and three
deployments, with the flavor ``keystone`` on both daemons, with none, and with ``trusted-auth``, where the
same person is believed without a token; then it repeats show and list of both APIs on each
of them in turns.  Prints requests per second and their ratios: the first has in it what a query costs
that looks for the images of a project, which without authentication nobody has.
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
from tests.functional.conftest import Deployment, identity
from tests.functional.identity.conftest import SERVICE, authtoken
from tests.services.keystone import Keystone, running_keystone

AIM = 0.8
TURNS = 3
WORKERS = 2


class SomebodysV1(V1):
    """API v1, asked with these headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers  # type: ignore[misc]


class SomebodysV2(V2):
    """API v2, asked with these headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers  # type: ignore[misc]


@contextlib.contextmanager
def _site(directory: Path, connection: str | None, flavor: str, server: Keystone) -> Iterator[Deployment]:
    directory.mkdir()
    settings: dict[str, Any] = {"workers": WORKERS}
    if flavor == "keystone":
        # The registry checks the user's token as well: nothing is believed because the API says so.
        settings |= {"keystone_authtoken": authtoken(server), "send_identity_headers": False}
    deployment = Deployment(directory, api=settings, registry=dict(settings), connection=connection, flavor=flavor)
    try:
        yield deployment.start()
    finally:
        deployment.stop()


def _cost(site: Deployment, dialect: ImagesApi, operation: str, image_id: str, seconds: float) -> metadata.Cost:
    processes = {"api": [site.api.pid], "registry": [site.registry.pid]}
    service = Service(site.api_port, dialect, processes, site.images, site.registry_port)
    return metadata.through_api(service, operation, image_id, seconds)


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
            connections: list[str | None] = [None, None, None]
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
        by_token = {"X-Auth-Token": token}
        believed = identity(server.project(project), user, "service,admin")
        free, trusted, behind = (
            stack.enter_context(_site(directory / (flavor or "none"), connection, flavor, server))
            for flavor, connection in zip(("", "trusted-auth", "keystone"), connections, strict=True)
        )
        dialects: dict[str, dict[Deployment, ImagesApi]] = {
            "v1": {behind: SomebodysV1(by_token), free: V1(), trusted: SomebodysV1(believed)},
            "v2": {behind: SomebodysV2(by_token), free: V2(), trusted: SomebodysV2(believed)},
        }
        ids = {site: _fill(site, dialect) for site, dialect in dialects["v2"].items()}
        print(f"{metadata.CLIENTS} clients, {WORKERS} + {WORKERS} workers; CPU of API and registry in ms per request")
        print(f"{'requests/s':10} {'keystone':>9} {'none':>7}  ratio   {'believed':>9}  ratio   CPU")
        missed = 0
        for version, by_site in dialects.items():
            for operation in ("show", "list"):
                turns = [
                    [_cost(site, by_site[site], operation, ids[site], options.seconds) for site in by_site]
                    for _ in range(TURNS)
                ]
                columns = list(zip(*turns, strict=True))
                checked, unchecked, same = (statistics.median(cost.rate for cost in column) for column in columns)
                cpu = "  ".join(f"{statistics.median(cost.total_cpu for cost in column):.2f}" for column in columns)
                missed += checked / unchecked < AIM
                mark = "!" if checked / unchecked < AIM else " "
                print(
                    f"{version} {operation:7} {checked:>9.0f} {unchecked:>7.0f} {checked / unchecked:>6.2f} {mark} "
                    f"{same:>9.0f} {checked / same:>6.2f}   {cpu}"
                )
        print(f"{missed} below {AIM}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
