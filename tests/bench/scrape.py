"""How long ``GET /metrics`` takes with an empty database and with a large one.

``python -m tests.bench.scrape [--images 100000]`` starts both daemons with four workers each on a private
MariaDB, sends every worker requests of all kinds, and prints median and slowest milliseconds
of a scrape of each daemon before and after the database was filled.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

import requests

from glance.db.sqlalchemy.engine import Database
from tests.bench.pages import configuration, fill
from tests.bench.services import Unavailable, mariadb
from tests.functional.conftest import Deployment

WORKERS, SCRAPES, REQUESTS = 4, 50, 400


def main() -> int:
    """Measure and print; return the exit code: 2 when MariaDB is not installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scrape", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="images of the large database (100000)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glance-scrape-")))
        try:
            server = stack.enter_context(mariadb())
        except Unavailable as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        connection = stack.enter_context(server.database())
        settings = {"workers": WORKERS, "metrics": {"enabled": True}}
        deployment = Deployment(directory, api=settings, registry=dict(settings), connection=connection)
        stack.callback(deployment.stop)
        deployment.start()
        _load(deployment)
        print(f"{'images':>9} {'api: median':>12} {'slowest':>8} {'registry: median':>17} {'slowest':>8}   ms")
        _row(deployment, 0)
        fill(Database(configuration(connection), patient=True), options.images)
        _row(deployment, options.images)
    return 0


def _load(deployment: Deployment) -> None:
    image = deployment.create(b"data")["id"]
    for number in range(REQUESTS):  # a connection each, so that all workers have figures
        path = ("/images", "/images/detail", f"/images/{image}", "/images/none")[number % 4]
        deployment.request("GET", path)


def _row(deployment: Deployment, images: int) -> None:
    cells = []
    for url in (deployment.endpoint, deployment.registry_url):
        times = sorted(_milliseconds(f"{url}/metrics") for _ in range(SCRAPES))
        cells += [statistics.median(times), times[-1]]
    print("{:>9} {:>12.1f} {:>8.1f} {:>17.1f} {:>8.1f}".format(images, *cells))


def _milliseconds(url: str) -> float:
    began = time.perf_counter()
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 200
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
