"""Several stores by enabled_backends, through both APIs (spec stores.md §2, v2-images.md §11)."""

import uuid

import pytest
import requests

from tests.functional.conftest import identity

DATA = {"Content-Type": "application/octet-stream"}
BODY = b"twelve bytes"


@pytest.fixture(scope="module")
def deployment(deploy, tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    sections = {
        name: {"filesystem_store_datadir": str(root / name), "store_description": f"the {name} one", "weight": weight}
        for name, weight in {"fast": 1, "cheap": 5}.items()
    }
    running = deploy(
        api={
            "enabled_backends": "fast:file,cheap:file,web:http",
            "glance_store": {"default_backend": "fast"},
            "show_multiple_locations": True,
            "show_image_direct_url": True,
            **sections,
        },
        flavor="trusted-auth",
    )
    running.root = root
    return running


class Caller:
    def __init__(self, deployment, roles="member"):
        self.endpoint = deployment.endpoint
        self.headers = identity(uuid.uuid4().hex, roles=roles)

    def send(self, method, path, headers=None, **more):
        return requests.request(
            method, self.endpoint + path, headers=self.headers | (headers or {}), timeout=60, **more
        )

    def create(self, store=None, body=BODY):
        answer = self.send("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"})
        image_id = answer.json()["id"]
        chosen = {"X-Image-Meta-Store": store} if store else {}
        assert self.send("PUT", f"/v2/images/{image_id}/file", DATA | chosen, data=body).status_code == 204
        return image_id

    def show(self, image_id):
        return self.send("GET", f"/v2/images/{image_id}").json()


@pytest.fixture
def user(deployment):
    return Caller(deployment)


@pytest.fixture
def admin(deployment):
    return Caller(deployment, "admin")


@pytest.mark.parametrize("store", ["fast", "cheap", None])
def test_images_go_where_they_are_asked_to(deployment, user, store):
    image_id = user.create(store)
    place = store or "fast"
    assert (deployment.root / place / image_id).read_bytes() == BODY
    image = user.show(image_id)
    assert image["stores"] == place
    assert image["locations"] == [{"url": f"file://{deployment.root}/{place}/{image_id}", "metadata": {"store": place}}]
    assert user.send("GET", f"/v2/images/{image_id}/file").content == BODY
    assert user.send("GET", f"/v1/images/{image_id}").content == BODY


def test_by_v1(deployment, user):
    headers = {
        "x-image-meta-disk_format": "raw",
        "x-image-meta-container_format": "bare",
        "x-image-meta-store": "cheap",
    }
    answer = user.send("POST", "/v1/images", headers | DATA, data=BODY)
    assert answer.status_code == 201
    image_id = answer.json()["image"]["id"]
    assert user.show(image_id)["stores"] == "cheap"
    assert user.send("DELETE", f"/v1/images/{image_id}").status_code == 200
    assert not (deployment.root / "cheap" / image_id).exists()


@pytest.mark.parametrize("store", ["nosuch", "file", "web", "os_glance_staging_store"])
def test_stores_that_take_nothing(user, store):
    image_id = user.send("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"]
    answer = user.send("PUT", f"/v2/images/{image_id}/file", DATA | {"X-Image-Meta-Store": store}, data=BODY)
    assert answer.status_code == 400
    assert user.show(image_id)["status"] == "queued"


def test_what_stores_there_are(user, admin):
    fast = {"id": "fast", "description": "the fast one", "default": "true"}
    cheap = {"id": "cheap", "description": "the cheap one"}
    web = {"id": "web", "read-only": "true"}
    assert user.send("GET", "/v2/info/stores").json() == {"stores": [fast, cheap, web]}
    assert user.send("GET", "/v2/info/stores/detail").status_code == 403
    detail = admin.send("GET", "/v2/info/stores/detail").json()["stores"]
    assert [(entry["id"], entry["type"], entry["weight"]) for entry in detail] == [
        ("fast", "file", 1), ("cheap", "file", 5), ("web", "http", 0),
    ]  # fmt: skip
    assert detail[0]["properties"].keys() == {"data_dir", "chunk_size", "thin_provisioning"}
    assert detail[2]["properties"] == {}


def test_versions(deployment):
    versions = requests.get(deployment.endpoint, timeout=60).json()["versions"]
    assert {"v2.15", "v2.13", "v2.10", "v2.8"} <= {version["id"] for version in versions}


def test_create_names_the_stores(user):
    assert user.send("POST", "/v2/images", json={}).headers["OpenStack-image-store-ids"] == "fast,cheap,web"


class TestTwoCopies:
    """An image whose data lies in two stores, as an import will leave it."""

    @pytest.fixture
    def copied(self, deployment, user):
        image_id = user.create("fast")
        (deployment.root / "cheap" / image_id).write_bytes(BODY.upper())
        deployment.sql(
            "INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)"
            " SELECT image_id, ?, '{\"store\": \"cheap\"}', 'active', created_at, updated_at, 0"
            " FROM image_locations WHERE image_id = ?",
            f"file://{deployment.root}/cheap/{image_id}",
            image_id,
        )
        return image_id

    def test_the_heaviest_store_is_read(self, user, copied):
        assert user.send("GET", f"/v2/images/{copied}/file").content == BODY.upper()
        assert user.show(copied)["stores"] == "cheap,fast"
        assert "/cheap/" in user.show(copied)["direct_url"]

    def test_what_the_caller_prefers(self, user, copied):
        assert user.send("GET", f"/v2/images/{copied}/file?prefer=fast").content == BODY
        assert user.send("GET", f"/v2/images/{copied}/file?prefer=web,fast").content == BODY
        assert user.send("GET", f"/v2/images/{copied}/file?prefer=nosuch").status_code == 400

    def test_another_place_when_one_is_gone(self, deployment, user, copied):
        (deployment.root / "cheap" / copied).unlink()
        assert user.send("GET", f"/v2/images/{copied}/file").content == BODY

    def test_delete_one_copy(self, deployment, admin, user, copied):
        assert user.send("DELETE", f"/v2/stores/nosuch/{copied}").status_code == 409
        assert admin.send("DELETE", f"/v2/stores/web/{copied}").status_code == 404
        assert admin.send("DELETE", f"/v2/stores/fast/{uuid.uuid4()}").status_code == 404
        assert admin.send("DELETE", f"/v2/stores/fast/{copied}").status_code == 204
        assert not (deployment.root / "fast" / copied).exists()
        assert user.show(copied)["stores"] == "cheap"
        assert admin.send("DELETE", f"/v2/stores/cheap/{copied}").status_code == 403
        assert (deployment.root / "cheap" / copied).exists()

    def test_the_end(self, deployment, user, copied):
        assert user.send("DELETE", f"/v2/images/{copied}").status_code == 204
        assert not any((deployment.root / name / copied).exists() for name in ("fast", "cheap"))


def test_a_location_of_former_times_is_told_its_store(deployment, user):
    image_id = user.create("cheap")
    deployment.sql("UPDATE image_locations SET meta_data = '{}' WHERE image_id = ?", image_id)
    assert user.show(image_id)["stores"] == "cheap"
    assert user.send("GET", f"/v2/images/{image_id}/file").content == BODY
    ((saved,),) = deployment.sql("SELECT meta_data FROM image_locations WHERE image_id = ?", image_id)
    assert saved == '{"store": "cheap"}'


def test_without_them_the_calls_do_not_exist(noauth):
    for method, path in [
        ("GET", "/v2/info/stores"), ("GET", "/v2/info/stores/detail"), ("DELETE", f"/v2/stores/fast/{uuid.uuid4()}"),
    ]:  # fmt: skip
        assert requests.request(method, noauth.endpoint + path, timeout=60).status_code == 404
