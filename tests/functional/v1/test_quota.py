"""Quotas (spec policy-quota-protection.md §5); those of one upload are in test_upload_failures."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.conftest import ROOT, Deployment
from tests.functional.v1.conftest import PROPERTIES, QUOTA, RECORDS, SIZE_CAP, set_status

UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}
HALF = bytes(QUOTA // 2)


def properties(count, first=0):
    return {f"x-image-meta-property-p{number}": "x" for number in range(first, first + count)}


def upload(deployment, caller, data):
    return deployment.request("POST", "/images", headers=caller | UPLOAD, data=data).status_code


# --- properties -----------------------------------------------------------------------------


def test_properties_of_a_new_image(tuned, user):
    assert tuned.request("POST", "/images", headers=user | properties(PROPERTIES)).status_code == 201
    answer = tuned.request("POST", "/images", headers=user | properties(PROPERTIES + 1))
    assert answer.status_code == 413
    assert f"Attempted: {PROPERTIES + 1}, Maximum: {PROPERTIES}" in answer.text


def test_properties_of_a_changed_image(tuned, user):
    path = f"/images/{tuned.create(headers=user | properties(PROPERTIES - 1))['id']}"
    keep = user | {"x-glance-registry-purge-props": "false"}
    assert tuned.request("PUT", path, headers=keep | properties(1, 100)).status_code == 200
    assert tuned.request("PUT", path, headers=keep | properties(1, 101)).status_code == 413
    assert tuned.request("PUT", path, headers=user | properties(PROPERTIES + 1)).status_code == 413
    assert tuned.request("PUT", path, headers=user | properties(PROPERTIES, 200)).status_code == 200


def test_more_properties_than_a_lowered_quota(tuned, user):
    image = tuned.create(headers=user | properties(1))
    for number in range(1, PROPERTIES + 2):
        tuned.sql(
            "INSERT INTO image_properties (image_id, name, value, deleted, created_at, updated_at)"
            " SELECT image_id, ?, value, deleted, created_at, updated_at FROM image_properties"
            " WHERE image_id = ? AND name = 'p0'",
            f"p{number}", image["id"],
        )  # fmt: skip
    path = f"/images/{image['id']}"
    keep = user | {"x-glance-registry-purge-props": "false"}
    answer = tuned.request("HEAD", path, headers=user)
    assert answer.headers[f"x-image-meta-property-p{PROPERTIES + 1}"] == "x"
    assert tuned.request("PUT", path, headers=keep | {"x-image-meta-name": "n"}).status_code == 200
    assert tuned.request("PUT", path, headers=keep | {"x-image-meta-property-p0": "y"}).status_code == 200
    assert tuned.request("PUT", path, headers=keep | properties(1, 100)).status_code == 413
    assert tuned.request("PUT", path, headers=user | properties(PROPERTIES + 1)).status_code == 200


# --- records ----------------------------------------------------------------------------------


def test_number_of_records(tuned, user, other):
    images = [tuned.create(headers=user) for _ in range(RECORDS)]
    assert tuned.request("POST", "/images", headers=user).status_code == 413
    assert tuned.create(headers=other)
    assert tuned.request("DELETE", f"/images/{images[0]['id']}", headers=user).status_code == 200
    assert tuned.request("POST", "/images", headers=user).status_code == 201


def test_number_of_records_is_exact_under_concurrency(tuned, user):
    start = threading.Barrier(RECORDS + 4)

    def create(_):
        start.wait()
        return tuned.request("POST", "/images", headers=user).status_code

    with ThreadPoolExecutor(RECORDS + 4) as pool:
        statuses = sorted(pool.map(create, range(RECORDS + 4)))
    assert statuses == [201] * RECORDS + [413] * 4


# --- bytes ------------------------------------------------------------------------------------


def test_size_cap_is_the_largest_size(tuned, user):
    assert upload(tuned, user, bytes(SIZE_CAP)) == 201
    assert upload(tuned, user, bytes(SIZE_CAP + 1)) == 400


def test_quota_is_the_owners(tuned, user, other):
    assert [upload(tuned, user, HALF) for _ in range(3)] == [201, 201, 413]
    assert upload(tuned, other, HALF) == 201


@pytest.mark.parametrize("status", ["killed", "deleted"])
def test_what_does_not_count(tuned, user, status):
    first = tuned.create(HALF, headers=user)
    assert [upload(tuned, user, HALF), upload(tuned, user, b"x")] == [201, 413]
    if status == "deleted":
        tuned.request("DELETE", f"/images/{first['id']}", headers=user)
    else:
        set_status(tuned, first["id"], status)
    assert [upload(tuned, user, HALF), upload(tuned, user, b"x")] == [201, 413]


def test_deactivated_images_count(tuned, user):
    set_status(tuned, tuned.create(HALF, headers=user)["id"], "deactivated")
    assert [upload(tuned, user, HALF), upload(tuned, user, b"x")] == [201, 413]


def test_records_without_data_do_not_count(tuned, user):
    tuned.create(headers=user, size=SIZE_CAP)
    assert [upload(tuned, user, HALF), upload(tuned, user, HALF), upload(tuned, user, b"x")] == [201, 201, 413]


def test_uploads_at_the_same_time_stay_within_the_quota(tuned, user):
    start = threading.Barrier(RECORDS)

    def run(_):
        start.wait()
        return upload(tuned, user, HALF)

    with ThreadPoolExecutor(RECORDS) as pool:
        statuses = sorted(pool.map(run, range(RECORDS)))
    assert statuses == [201] * 2 + [413] * (RECORDS - 2)


@pytest.mark.parametrize("value", ["8 KB", "8kb", "-1"])
def test_malformed_quota_ends_the_start(tmp_path, value):
    deployment = Deployment(tmp_path, api={"user_storage_quota": value})
    done = subprocess.run(
        [sys.executable, "-m", "glance.cmd.api", "--config-file", str(deployment.api.config)],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode not in (0, -15)
    assert "user_storage_quota" in done.stderr
    assert "Traceback" not in done.stderr
