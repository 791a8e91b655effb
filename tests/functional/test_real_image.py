"""A bootable image of the real world, up and down with the 2011 command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment

ISO = Path("/usr/lib/ipxe/ipxe.iso")


@pytest.mark.skipif(not ISO.exists(), reason="the Debian package ipxe, which has a bootable ISO, is not installed")
def test_a_bootable_iso(noauth: Deployment):
    command = [sys.executable, str(ROOT / "bin" / "glance"), "--port", str(noauth.api_port)]
    fields = ["name=ipxe", "disk_format=iso", "container_format=bare", "is_public=true"]
    with ISO.open("rb") as iso:
        added = subprocess.run(
            [*command, "add", *fields], stdin=iso, capture_output=True, text=True, check=True, env=dict(os.environ)
        )
    image_id = re.fullmatch(r"Added new image with ID: (\S+)\n", added.stdout)[1]
    answer = requests.get(f"{noauth.url}/images/{image_id}", timeout=60)
    assert answer.content == ISO.read_bytes()
    assert answer.headers["x-image-meta-size"] == str(ISO.stat().st_size)
