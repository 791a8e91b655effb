"""What Terraform's OpenStack provider and Packer's builder send, through gophercloud, request by request.

Neither can be installed by the tests (they are Go programs), so their requests are repeated here: paths,
bodies, headers, and what the Go structures can decode of the answers.
"""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.functional.conftest import Deployment, identity
from tests.functional.v1.source import Source

DATA = bytes(range(256)) * 1000
PATCH = "application/openstack-images-v2.1-json-patch"
AGENT = "HashiCorp Terraform/1.9.8 (+https://www.terraform.io) Terraform Plugin SDK/2.34.0 gophercloud/v2.2.0"
WAIT_SECONDS = 30

IMAGE_STRINGS = (
    "id", "name", "status", "container_format", "disk_format", "owner", "visibility", "checksum", "file", "schema",
)  # fmt: skip
IMAGE_KEYS = {
    *IMAGE_STRINGS, "tags", "min_disk", "min_ram", "protected", "os_hidden", "size", "virtual_size", "self",
    "created_at", "updated_at",
}  # fmt: skip
"""Keys of gophercloud's image; it takes all others for properties."""


def moment(text: Any) -> datetime:
    """A time as Go reads it by default (RFC 3339)."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text), text
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def decoded(image: dict[str, Any]) -> dict[str, Any]:
    """An image as gophercloud decodes it; fails where Go's JSON decoder would."""
    assert all(isinstance(image.get(key), str | None) for key in IMAGE_STRINGS), image
    assert all(type(image.get(key)) in (int, type(None)) for key in ("min_disk", "min_ram", "size", "virtual_size"))
    assert all(type(image[key]) is bool for key in ("protected", "os_hidden")), image
    assert all(isinstance(tag, str) for tag in image["tags"]), image
    known = {key: image.get(key) for key in IMAGE_KEYS}
    known |= {key: moment(image[key]) for key in ("created_at", "updated_at")}
    known["properties"] = {key: value for key, value in image.items() if key not in IMAGE_KEYS}
    return known


def own(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties that the provider compares with its plan; it leaves out the service's own."""
    return {key: value for key, value in properties.items() if not key.startswith("os_") and key != "direct_url"}


def op(verb: str, name: str, value: Any = None) -> dict[str, Any]:
    return {"op": verb, "path": f"/{name}"} | ({} if verb == "remove" else {"value": value})


class Gophercloud:
    """A service client of one project.

    The token comes with what the front, which checks it, would add.
    """

    def __init__(self, deployment: Deployment, roles: str = "member", project: str | None = None) -> None:
        self.endpoint = f"{deployment.endpoint}/"
        self.project = project or uuid.uuid4().hex
        self.session = requests.Session()
        self.session.headers.clear()
        self.session.headers.update(
            {"User-Agent": AGENT, "Accept": "application/json", "Accept-Encoding": "gzip", "X-Auth-Token": "token"}
        )
        self.session.headers.update(identity(self.project, f"u-{self.project}", roles))

    def send(self, method: str, url: str, codes: tuple[int, ...], **more: Any) -> requests.Response:
        """Send a request; any status but ``codes`` is an error, as it is to gophercloud."""
        url = url if url.startswith("http") else f"{self.endpoint}v2/{url}"
        answer = self.session.request(method, url, timeout=60, **more)
        assert answer.status_code in codes, (method, url, answer.status_code, answer.text)
        return answer

    # --- images ---------------------------------------------------------------

    def create(self, **options: Any) -> dict[str, Any]:
        answer = self.send("POST", "images", (201,), json=options)
        methods = answer.headers.get("OpenStack-image-import-methods", "")
        return decoded(answer.json()) | {"import_methods": [method for method in methods.strip().split(",") if method]}

    def upload(self, image_id: str, data: bytes) -> None:
        """Go does not know how long a file is, so it is sent in chunks."""
        pieces = (data[start : start + 32768] for start in range(0, len(data), 32768))
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.send("PUT", f"images/{image_id}/file", (204,), data=pieces, headers=headers)
        assert answer.content == b""

    def get(self, image_id: str) -> dict[str, Any]:
        return decoded(self.send("GET", f"images/{image_id}", (200,)).json())

    def update(self, image_id: str, *changes: dict[str, Any]) -> dict[str, Any]:
        return decoded(
            self.send(
                "PATCH", f"images/{image_id}", (200,), json=list(changes), headers={"Content-Type": PATCH}
            ).json()
        )  # fmt: skip

    def delete(self, image_id: str) -> None:
        self.send("DELETE", f"images/{image_id}", (202, 204))

    def all(self, query: list[tuple[str, Any]] | None = None) -> list[dict[str, Any]]:
        """All pages of a list: ``next`` is put behind the endpoint without its version."""
        url = requests.Request("GET", f"{self.endpoint}v2/images", params=query).prepare().url
        found: list[dict[str, Any]] = []
        while url:
            page = self.send("GET", str(url), (200,)).json()
            assert [key for key, value in page.items() if isinstance(value, list)] == ["images"]  # the page's only one
            if not page["images"]:  # an empty page is the last, whatever it names as next
                break
            found += page["images"]
            url = self.endpoint + page["next"].removeprefix("/") if page.get("next") else ""
        return [decoded(image) for image in found]

    def wait_active(self, image_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while (image := self.get(image_id))["status"] != "active":
            assert image["status"] in ("queued", "saving", "importing"), image
            assert time.monotonic() < deadline, image
            time.sleep(0.1)
        return image

    def active(self, data: bytes = b"data", **options: Any) -> str:
        image = self.create(**{"disk_format": "raw", "container_format": "bare", **options})
        self.upload(image["id"], data)
        return image["id"]

    # --- members --------------------------------------------------------------

    def member(self, method: str, image_id: str, whom: str = "", code: int = 200, **body: str) -> Any:
        path = f"images/{image_id}/members" + (f"/{whom}" if whom else "")
        answer = self.send(method, path, (code,), **({"json": body} if body else {}))
        if code != 200:
            return None
        for one in answer.json().get("members", [answer.json()]):
            assert all(isinstance(one[key], str) for key in ("member_id", "image_id", "status", "schema")), one
            assert moment(one["created_at"]) <= moment(one["updated_at"])
        return answer.json()


@pytest.fixture
def client(trusted: Deployment) -> Callable[..., Gophercloud]:
    return lambda **more: Gophercloud(trusted, **more)


@pytest.fixture
def terraform(client: Callable[..., Gophercloud]) -> Gophercloud:
    return client()


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source() as server:
        yield server


# --- openstack_images_image_v2 ---------------------------------------------------


def test_image(terraform):
    created = terraform.create(
        name="tf", container_format="bare", disk_format="raw", min_disk=3, min_ram=512, protected=False,
        visibility="private", tags=["b", "a"], hw_disk_bus="scsi", key="value",
    )  # fmt: skip
    image_id = created["id"]
    assert (created["status"], created["size"], created["checksum"]) == ("queued", None, None)
    assert own(created["properties"]) == {"hw_disk_bus": "scsi", "key": "value"}

    terraform.upload(image_id, DATA)
    image = terraform.wait_active(image_id)
    assert image["checksum"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert (image["size"], image["min_disk"], image["min_ram"]) == (len(DATA), 3, 512)
    assert (image["name"], image["visibility"], image["protected"]) == ("tf", "private", False)
    assert (image["owner"], sorted(image["tags"])) == (terraform.project, ["a", "b"])
    assert (image["file"], image["schema"]) == (f"/v2/images/{image_id}/file", "/v2/schemas/image")
    assert own(image["properties"]) == {"hw_disk_bus": "scsi", "key": "value"}

    terraform.update(
        image_id, op("replace", "visibility", "shared"), op("replace", "name", "tf two"), op("replace", "tags", ["c"]),
        op("add", "new", "1"), op("replace", "key", "other"), op("remove", "hw_disk_bus"),
    )  # fmt: skip
    image = terraform.get(image_id)
    assert (image["visibility"], image["name"], image["tags"]) == ("shared", "tf two", ["c"])
    assert own(image["properties"]) == {"new": "1", "key": "other"}

    terraform.delete(image_id)
    terraform.send("GET", f"images/{image_id}", (404,))
    terraform.send("DELETE", f"images/{image_id}", (404,))


def test_nothing_to_change(terraform):
    """A change of what only the provider knows (a cache path) sends an empty list of changes."""
    image_id = terraform.active(name="same")
    assert terraform.update(image_id) == terraform.get(image_id)
    terraform.delete(image_id)


def test_all_tags_removed(terraform):
    image_id = terraform.active(name="tags", tags=["a", "b"])
    assert terraform.update(image_id, op("replace", "tags", []))["tags"] == []
    terraform.delete(image_id)


def test_properties_left_out(terraform):
    """Without ``properties`` and tags, zeros are left out too."""
    image = terraform.create(
        name="small", container_format="bare", disk_format="qcow2", protected=False, visibility="private"
    )
    assert (image["min_disk"], image["min_ram"], image["tags"], own(image["properties"])) == (0, 0, [], {})
    terraform.delete(image["id"])


def test_hidden_and_protected(terraform):
    image_id = terraform.active(name="hidden", os_hidden=True, protected=True)
    assert terraform.get(image_id)["os_hidden"] is True
    terraform.send("DELETE", f"images/{image_id}", (403,))
    image = terraform.update(image_id, op("replace", "os_hidden", False), op("replace", "protected", False))
    assert (image["os_hidden"], image["protected"]) == (False, False)
    image = terraform.update(image_id, op("replace", "min_disk", 0), op("replace", "min_ram", 1024))
    assert (image["min_disk"], image["min_ram"]) == (0, 1024)
    terraform.delete(image_id)


def test_deleted_by_others_meanwhile(terraform):
    """A refresh that is answered 404 drops the image from the state; anything else would stop it."""
    image_id = terraform.active(name="gone")
    terraform.delete(image_id)
    answer = terraform.send("GET", f"images/{image_id}", (404,))
    assert answer.json()["code"] == "404 Not Found"
    terraform.send("PATCH", f"images/{image_id}", (404,), json=[], headers={"Content-Type": PATCH})


def test_upload_refused(terraform):
    """An image that has data already takes no more, and a wrong answer is told as an error."""
    image_id = terraform.active(name="twice")
    headers = {"Content-Type": "application/octet-stream"}
    terraform.send("PUT", f"images/{image_id}/file", (409,), data=iter([b"more"]), headers=headers)
    assert terraform.get(image_id)["size"] == 4
    answer = terraform.send("GET", f"images/{image_id}/file", (200,))
    assert answer.content == b"data"
    terraform.delete(image_id)


# --- data sources ----------------------------------------------------------------


@pytest.fixture
def shelf(terraform) -> Iterator[dict[str, str]]:
    """Images to look for: name → id, in the order in which they were made."""
    made = {
        name: terraform.active(b"x" * size, name=name, tags=tags, visibility=visibility, **properties)
        for name, size, tags, visibility, properties in [
            ("cirros", 10, ["lts", "small"], "private", {"arch": "x86"}),
            ("debian", 20, ["lts"], "private", {"arch": "x86", "release": "12"}),
            ("fedora", 30, ["small"], "community", {"arch": "arm"}),
            ("ubuntu", 40, [], "shared", {}),
        ]
    }
    made["hidden"] = terraform.active(b"x", name="hidden", os_hidden=True)
    made["queued"] = terraform.create(name="queued")["id"]
    yield made
    for image_id in made.values():
        terraform.delete(image_id)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], "cirros debian fedora ubuntu"),
        ([("name", "debian")], "debian"),
        ([("name", "in:debian,ubuntu")], "debian ubuntu"),
        ([("name", "Debian")], ""),
        ([("visibility", "private")], "cirros debian"),
        ([("visibility", "community")], "fedora"),
        ([("visibility", "shared")], "ubuntu"),
        ([("visibility", "public")], ""),
        ([("tag", "lts")], "cirros debian"),
        ([("tag", "lts"), ("tag", "small")], "cirros"),
        ([("size_min", 20)], "debian fedora ubuntu"),
        ([("size_max", 20)], "cirros debian"),
        ([("size_min", 15), ("size_max", 30)], "debian fedora"),
        ([("os_hidden", "true")], "hidden"),
        ([("container_format", "bare"), ("disk_format", "in:raw,iso")], "cirros debian fedora ubuntu"),
        ([("disk_format", "qcow2")], ""),
        ([("member_status", "accepted")], "cirros debian fedora ubuntu"),
        ([("member_status", "all")], "cirros debian fedora ubuntu"),
        ([("created_at", "gte:2001-02-03T04:05:06Z")], "cirros debian fedora ubuntu"),
        ([("created_at", "lt:2001-02-03T04:05:06+01:00")], ""),
        ([("updated_at", "gt:2001-02-03T04:05:06Z")], "cirros debian fedora ubuntu"),
    ],
)
def test_data_source(terraform, shelf, query, expected):
    """openstack_images_image_v2 as data source; the query's names are in order, as Go sends them."""
    query = [*query, ("owner", terraform.project), ("status", "active"), ("sort", "name:asc")]
    assert [image["name"] for image in terraform.all(sorted(query, key=lambda pair: pair[0]))] == expected.split()


def test_data_source_in_the_older_order(terraform, shelf):
    query = [("owner", terraform.project), ("sort_dir", "desc"), ("sort_key", "name"), ("status", "active")]
    assert [image["name"] for image in terraform.all(query)] == ["ubuntu", "fedora", "debian", "cirros"]


def test_data_source_by_properties(terraform, shelf):
    """Properties are compared by the provider, with what the list says of them."""
    query = [("owner", terraform.project), ("sort", "name:asc"), ("status", "active")]
    wanted = {"arch": "x86", "release": "12"}
    found = [image for image in terraform.all(query) if wanted.items() <= image["properties"].items()]
    assert [image["id"] for image in found] == [shelf["debian"]]


def test_most_recent(terraform):
    """Of several of one name the one that was created last; ids: ``openstack_images_image_ids_v2``."""
    ids = [terraform.active(name="release") for _ in range(2)]
    time.sleep(1.1)  # the provider, too, compares seconds
    ids.append(terraform.active(name="release"))
    query = [("name", "release"), ("owner", terraform.project), ("sort", "name:asc,created_at:desc")]
    found = terraform.all(query)
    assert max(found, key=lambda image: image["created_at"])["id"] == ids[2]
    assert found[0]["id"] == ids[2]
    assert sorted(image["id"] for image in found) == sorted(ids)
    for image_id in ids:
        terraform.delete(image_id)


@pytest.fixture(scope="module")
def crowd(trusted: Deployment) -> Iterator[tuple[Gophercloud, list[str]]]:
    """A project with more images than fit on a page (25), and their ids."""
    client = Gophercloud(trusted)
    ids = [client.create(name="one of many", tags=["t"])["id"] for _ in range(30)]
    yield client, ids
    for image_id in ids:
        client.delete(image_id)


@pytest.mark.parametrize("limit", [[], [("limit", 7)], [("limit", 30)], [("limit", 10)]])
def test_pages(crowd, limit):
    client, ids = crowd
    query = [*limit, ("name", "in:one of many"), ("owner", client.project), ("sort", "name:asc,created_at:asc")]
    assert sorted(image["id"] for image in client.all(query)) == sorted(ids)


# --- openstack_images_image_access_v2, ..._access_accept_v2 ----------------------


def test_access(client):
    owner, guest = client(), client()
    image_id = owner.active(name="for the guest", visibility="shared")
    member = owner.member("POST", image_id, member=guest.project)
    assert (member["status"], member["member_id"], member["image_id"]) == ("pending", guest.project, image_id)
    assert owner.member("GET", image_id, guest.project) == member

    # The guest names no member: the provider takes the only one that it is shown.
    assert [one["member_id"] for one in guest.member("GET", image_id)["members"]] == [guest.project]
    assert guest.member("PUT", image_id, guest.project, status="accepted")["status"] == "accepted"
    assert guest.member("GET", image_id, guest.project)["status"] == "accepted"
    shared = [("status", "active"), ("visibility", "shared")]
    assert [image["id"] for image in guest.all([("member_status", "accepted"), *shared])] == [image_id]
    assert guest.get(image_id)["name"] == "for the guest"

    # Destroying the acceptance rejects, destroying the access takes the member away.
    assert guest.member("PUT", image_id, guest.project, status="rejected")["status"] == "rejected"
    assert guest.all([("member_status", "accepted"), *shared]) == []
    owner.member("DELETE", image_id, guest.project, code=204)
    owner.member("GET", image_id, guest.project, code=404)
    owner.member("DELETE", image_id, guest.project, code=404)
    guest.member("PUT", image_id, guest.project, code=404, status="rejected")
    assert owner.member("GET", image_id)["members"] == []
    owner.delete(image_id)


def test_access_with_a_status(client):
    """``status`` of the access itself is for administrators."""
    owner, admin, guest = client(), client(roles="admin"), client()
    image_id = owner.active(name="accepted at once", visibility="shared")
    owner.member("POST", image_id, member=guest.project)
    owner.member("PUT", image_id, guest.project, code=403, status="accepted")
    assert admin.member("PUT", image_id, guest.project, status="accepted")["status"] == "accepted"
    assert owner.member("GET", image_id, guest.project)["status"] == "accepted"
    owner.member("POST", image_id, code=409, member=guest.project)
    owner.delete(image_id)


def test_access_to_a_private_image(client):
    owner = client()
    image_id = owner.active(name="private", visibility="private")
    owner.member("POST", image_id, code=403, member="someone")
    owner.delete(image_id)


# --- other callers ---------------------------------------------------------------


def test_packer(client):
    """Find the source by filters, then minimum disk, visibility, tags and members of what was made of it."""
    packer, guest = client(roles="admin"), client()
    source_id = packer.active(name="packer source", os_distro="debian")
    found = packer.all([("name", "packer source"), ("owner", packer.project), ("sort", "created_at:desc")])
    assert [image["id"] for image in found if image["properties"].get("os_distro") == "debian"] == [source_id]

    image_id = packer.active(name="packer result")
    assert packer.update(image_id, op("replace", "min_disk", 8))["min_disk"] == 8
    assert packer.update(image_id, op("replace", "tags", ["built", "by packer"]))["tags"]
    assert packer.update(image_id, op("replace", "visibility", "shared"))["visibility"] == "shared"
    packer.member("POST", image_id, member=guest.project)
    assert packer.member("PUT", image_id, guest.project, status="accepted")["status"] == "accepted"
    assert image_id in [image["id"] for image in guest.all()]
    assert packer.update(image_id, op("replace", "visibility", "public"))["visibility"] == "public"
    for made in (image_id, source_id):
        packer.delete(made)


def test_glanceclient_pages(crowd):
    """It asks for pages of 200 and, near the caller's limit, shrinks ``limit`` inside the server's ``next``."""
    client, ids = crowd
    query = f"owner={client.project}&sort_key=name&sort_dir=asc"
    page = client.send("GET", f"images?limit=20&{query}", (200,)).json()
    following = re.sub(r"(?<=[?&])limit=20", "limit=3", page["next"])
    assert following != page["next"]
    rest = client.send("GET", client.endpoint.rstrip("/") + following, (200,)).json()
    assert (len(page["images"]), len(rest["images"])) == (20, 3)
    assert not {image["id"] for image in page["images"]} & {image["id"] for image in rest["images"]}
    whole = client.send("GET", f"images?limit=200&{query}", (200,)).json()
    assert len(whole["images"]) == len(ids)
    assert "next" not in whole


def test_openstacksdk_upload(client):
    """Without ``Accept``, with the size in a header of its own, and properties about who made the image."""
    sdk = client()
    image = sdk.create(
        name="sdk", disk_format="raw", container_format="bare",
        **{f"owner_specified.openstack.{name}": "x" for name in ("md5", "sha256", "object")},
    )  # fmt: skip
    headers = {"Content-Type": "application/octet-stream", "Accept": "", "X-OpenStack-Image-Size": str(len(DATA))}
    sdk.send("PUT", f"images/{image['id']}/file", (204,), data=iter([DATA]), headers=headers)
    assert sdk.get(image["id"])["size"] == len(DATA)
    for action, status in [("deactivate", "deactivated"), ("reactivate", "active")]:
        sdk.send("POST", f"images/{image['id']}/actions/{action}", (204,))
        assert sdk.get(image["id"])["status"] == status
    sdk.delete(image["id"])
    sdk.send("DELETE", f"images/{image['id']}", (404,))


def test_ironic(client):
    """Its needs, not its source: the image, the hash, and the data, whole and in part; no locations by default."""
    owner, ironic = client(), client(roles="admin")
    image_id = owner.active(DATA, name="deploy", disk_format="raw")
    image = ironic.get(image_id)
    assert image["properties"]["os_hash_algo"] == "sha512"
    assert image["properties"]["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert not {"direct_url", "locations"} & image["properties"].keys()
    whole = ironic.send("GET", f"images/{image_id}/file", (200,))
    assert (whole.content, whole.headers["Content-Length"]) == (DATA, str(len(DATA)))
    part = ironic.send("GET", f"images/{image_id}/file", (206,), headers={"Range": "bytes=5-14"})
    assert part.content == DATA[5:15]
    owner.delete(image_id)


def test_cinder(client):
    """Its needs, not its source: a queued record with what the volume knows, one more property, the data."""
    cinder = client()
    image = cinder.create(
        name="of a volume", container_format="bare", disk_format="raw", visibility="private", protected=False,
        cinder_img_volume_type="lvm", volume_size="1", signature_verified="False",
    )  # fmt: skip
    assert (image["status"], image["size"]) == ("queued", None)
    properties = cinder.update(image["id"], op("add", "volume_format", "raw"))["properties"]
    assert properties["volume_format"] == "raw"
    cinder.upload(image["id"], DATA)
    image = cinder.wait_active(image["id"])
    assert (image["size"], own(image["properties"])["volume_size"]) == (len(DATA), "1")
    cinder.delete(image["id"])
