"""Kill workers and parents during uploads, and see what becomes of the images.

``python -m tests.probe.kill [--rounds 20] [--size-mib 256]``: each round starts four
uploads, kills an API worker or the API's parent at a random moment, and looks 60 seconds
later.  Prints a table; exits 1 if an active image has wrong bytes, an acknowledged one is
not active, one is still in saving, or ``glance-manage store check --delete`` leaves
something behind.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.functional.conftest import Deployment

UPLOADS = 4
SETTLE_SECONDS = 60
BLOCK = 1024 * 1024


@dataclass
class Upload:
    """One upload: what was sent and what the server said."""

    image_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    checksum: str = ""
    acknowledged: bool = False

    def run(self, url: str, size_mib: int) -> None:
        block = os.urandom(BLOCK)
        digest = hashlib.md5(usedforsecurity=False)

        def data():
            for _ in range(size_mib):
                digest.update(block)
                yield block

        headers = {
            "x-image-meta-id": self.image_id,
            "x-image-meta-name": "probe",
            "x-image-meta-disk_format": "raw",
            "x-image-meta-container_format": "bare",
            "Content-Type": "application/octet-stream",
        }
        try:
            answer = requests.post(f"{url}/images", data=data(), headers=headers, timeout=120)
            self.acknowledged = answer.status_code == 201
        except requests.RequestException:
            pass
        self.checksum = digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size-mib", type=int, default=256)
    parser.add_argument("--seed", type=int, default=None, help="repeat the moments of an earlier run")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    moments = random.Random(seed)
    print(f"seed {seed}, {UPLOADS} uploads of {arguments.size_mib} MiB in each of {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(Path(directory), api={"workers": 2}).start()
        try:
            return _run(deployment, arguments, moments)
        finally:
            deployment.stop()


def _run(deployment: Deployment, arguments: argparse.Namespace, moments: random.Random) -> int:
    begun = time.monotonic()
    Upload().run(deployment.url, arguments.size_mib)
    usual = (time.monotonic() - begun) * UPLOADS
    print(f"{'round':>5} {'victim':8} {'after s':>8} {'acknowledged':>12} statuses after {SETTLE_SECONDS} s")
    faults = 0
    checks = []
    for number in range(1, arguments.rounds + 1):
        uploads = [Upload() for _ in range(UPLOADS)]
        threads = [threading.Thread(target=upload.run, args=(deployment.url, arguments.size_mib)) for upload in uploads]
        for thread in threads:
            thread.start()
        delay = moments.uniform(0, usual * 1.2)
        time.sleep(delay)
        victim = moments.choice(("worker", "worker", "parent"))
        if victim == "parent":
            deployment.api.process.kill()
            deployment.api.process.wait()
            deployment.api.start()
            time.sleep(2)  # an orphan may have answered for the new parent, which binds only when it has gone
        else:
            os.kill(moments.choice(deployment.api.children()), signal.SIGKILL)
        killed = time.monotonic()
        for thread in threads:
            thread.join()
        checks.append((number, victim, delay, killed, uploads))
        while checks and (len(checks) > 4 or number == arguments.rounds):
            faults += _check(deployment, *checks.pop(0))
    faults += _leftovers(deployment)
    print("no faults" if not faults else f"{faults} FAULTS")
    return 1 if faults else 0


def _check(deployment: Deployment, number: int, victim: str, delay: float, killed: float, uploads: list[Upload]) -> int:
    time.sleep(max(0.0, killed + SETTLE_SECONDS - time.monotonic()))
    faults, statuses = 0, []
    for upload in uploads:
        status = deployment.request("HEAD", f"/images/{upload.image_id}").headers.get("x-image-meta-status", "-")
        statuses.append(status)
        if status == "active":
            digest = hashlib.md5(usedforsecurity=False)
            with deployment.request("GET", f"/images/{upload.image_id}", stream=True) as answer:
                for block in answer.iter_content(BLOCK):
                    digest.update(block)
            faults += digest.hexdigest() != upload.checksum
        faults += status == "saving"
        faults += upload.acknowledged and status != "active"
        if status != "-":
            deployment.request("DELETE", f"/images/{upload.image_id}")
    acknowledged = sum(upload.acknowledged for upload in uploads)
    print(f"{number:5} {victim:8} {delay:8.2f} {acknowledged:12} {' '.join(sorted(statuses))}", flush=True)
    return faults


def _leftovers(deployment: Deployment) -> int:
    """What a crash left in the store must be listed, and removed, by the tool; nothing may remain."""
    config = str(deployment.api.config)
    for delete in ([], ["--delete"]):
        listed = deployment.manage("--config-file", config, "store", "check", "--older", "0", *delete, check=False)
        print(f"store check {' '.join(delete)}: exit {listed.returncode}, {len(listed.stdout.splitlines())} lines")
        print(listed.stdout, end="")
    live = {image["id"] for image in deployment.request("GET", "/images?is_public=none&limit=1000").json()["images"]}
    left = [path.name for path in deployment.images.iterdir() if path.name not in live]
    print(f"files without an image after that: {len(left)}")
    return len(left)


if __name__ == "__main__":
    sys.exit(main())
