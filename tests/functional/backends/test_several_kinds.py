"""One service with a store of each kind, by enabled_backends (spec stores.md §2, v2-images.md §11)."""

import pytest

from tests.functional.backends.conftest import MIB, VERSIONS, Image, content

KINDS = ("file", "swift", "s3", "rbd")


@pytest.fixture(scope="module")
def backends(swift_backend, s3_backend, rbd_backend):
    return {backend.name: backend for backend in (swift_backend, s3_backend, rbd_backend)}


@pytest.fixture(scope="module")
def deployment(deploy, backends, tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    sections = {f"my-{name}": backend.options for name, backend in backends.items()}
    running = deploy(
        api={
            "enabled_backends": ",".join(f"my-{kind}:{kind}" for kind in KINDS),
            "glance_store": {"default_backend": "my-file"},
            "my-file": {"filesystem_store_datadir": str(root)},
            **sections,
        }
    )
    running.root = root
    return running


@pytest.fixture
def names(deployment, backends):
    """Where data of an image is: kind of store → names of objects."""

    def look(image):
        found = {name: backend.names(image.id) for name, backend in backends.items()}
        found["file"] = [path.name for path in deployment.root.iterdir() if image.id in path.name]
        return {name: objects for name, objects in found.items() if objects}

    return look


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_upload_read_and_delete(deployment, names, kind, version):
    data = content(12 * MIB + 1)
    image = Image(deployment, version).store(data, f"my-{kind}")
    assert names(image).keys() == {kind}
    assert Image.send(_in_v2(image), "GET", f"/images/{image.id}").json()["stores"] == f"my-{kind}"
    assert image.download().content == data
    assert _in_v2(image).download({"Range": f"bytes={5 * MIB}-{9 * MIB}"}).content == data[5 * MIB : 9 * MIB + 1]
    assert image.delete().status_code < 300
    assert names(image) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_deleted_from_one_store(deployment, names, kind):
    """An image in two stores, as an import leaves it: the copy goes, the image stays."""
    image = Image(deployment, "v2").store(b"two copies", f"my-{kind}")
    other = "my-swift" if kind == "file" else "my-file"
    copy = Image(deployment, "v2").store(b"two copies", other)
    ((url, metadata),) = deployment.sql("SELECT value, meta_data FROM image_locations WHERE image_id = ?", copy.id)
    deployment.sql(
        "INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)"
        " SELECT image_id, ?, ?, 'active', created_at, updated_at, 0 FROM image_locations WHERE image_id = ?",
        url, metadata, image.id,
    )  # fmt: skip
    assert image.send("DELETE", f"/stores/my-{kind}/{image.id}").status_code == 204
    assert names(image) == {}
    assert image.send("GET", f"/images/{image.id}").json()["stores"] == other
    assert image.download().content == b"two copies"
    assert image.send("DELETE", f"/stores/{other}/{image.id}").status_code == 403
    assert image.delete().status_code == 204
    assert names(copy) == {}


def test_one_store_that_is_down_keeps_no_other_from_working(deployment, backends, names):
    image = Image(deployment, "v2")
    swift = backends["swift"].server
    swift.stop()
    try:
        assert image.upload(b"data", "my-swift").status_code == 503
        assert image.status() == "queued"
        headers = {"Content-Type": "application/octet-stream", "X-Image-Meta-Store": "my-rbd"}
        assert image.send("PUT", f"/images/{image.id}/file", headers, data=b"data").status_code == 204
        assert image.download().content == b"data"
    finally:
        swift.start()
    assert names(image).keys() == {"rbd"}
    image.delete()
    assert names(image) == {}


def _in_v2(image):
    other = Image(image.deployment, "v2")
    other.id = image.id
    return other
