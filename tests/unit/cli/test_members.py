"""The commands about members and the cache."""

import json

import pytest

NOT_AUTHORIZED = "Not authorized to make this request. Check your credentials (OS_AUTH_USER, OS_AUTH_KEY, ...).\n"


@pytest.fixture
def image_id(glance, peer):
    glance("add", "name=x")
    return next(iter(peer.images))


def test_members(glance, peer, image_id):
    def succeeds(*words):
        done = glance(*words)
        assert done.code == 0
        return done.out

    assert succeeds("image-members", image_id) == ""
    assert succeeds("member-images", "tenant1") == ""
    assert succeeds("member-add", image_id, "tenant1") == ""
    assert succeeds("image-members", image_id) == "tenant1\n"
    assert succeeds("member-add", image_id, "tenant2", "--can-share") == ""
    assert succeeds("image-members", image_id) == "tenant1\ntenant2 *\n\n(*: Can share image)\n"
    assert succeeds("member-images", "tenant2") == f"{image_id} *\n\n(*: Can share image)\n"
    assert succeeds("member-add", image_id, "tenant2") == ""
    assert peer.members[image_id] == {"tenant1": False, "tenant2": False}
    assert succeeds("member-delete", image_id, "tenant2") == ""
    assert succeeds("member-delete", image_id, "tenant2") == ""
    assert succeeds("members-replace", image_id, "tenant3", "--can-share") == ""
    assert peer.members[image_id] == {"tenant3": True}


@pytest.mark.parametrize(
    "words, line",
    [
        (["member-add", "1", "t", "--can-share"], 'Add "t" to membership of image 1'),
        (["member-delete", "1", "t"], 'Remove "t" from the member list of image "1"'),
        (["members-replace", "1", "t", "--can-share"], 'Replace members of image 1 with "t"'),
    ],
)
def test_dry_run(glance, peer, words, line):
    lines = glance("--dry-run", *words).out.splitlines()
    assert lines[:2] == ["Dry run. We would have done the following:", line]
    assert lines[2:] == ["New member would have been able to further share image."] * ("--can-share" in words)
    assert len(glance("--dry-run", *words[:3]).out.splitlines()) == 2
    assert peer.seen == []


@pytest.mark.parametrize(
    "words, line",
    [
        (["image-members"], "Please specify the image ID"),
        (["member-images"], "Please specify the member name"),
        (["member-add", "1"], "Please specify the image ID and the member name"),
        (["member-delete"], "Please specify the image ID and the member name"),
        (["members-replace", "1"], "Please specify the image ID and the member name"),
    ],
)
def test_missing_arguments(glance, words, line):
    done = glance(*words)
    assert (done.code, done.out) == (1, line + "\n")


@pytest.mark.parametrize(
    "words, method, path, action",
    [
        (["image-members", "1"], "GET", "/v1/images/1/members", "show image members"),
        (["member-images", "t"], "GET", "/v1/shared-images/t", "show member images"),
        (["member-add", "1", "t"], "PUT", "/v1/images/1/members/t", "add image member"),
        (["member-delete", "1", "t"], "DELETE", "/v1/images/1/members/t", "delete image member"),
        (["members-replace", "1", "t"], "PUT", "/v1/images/1/members", "update image members"),
    ],
)
def test_errors(glance, peer, words, method, path, action):
    peer.on(method, path, 403)
    assert (glance(*words).code, glance(*words).out) == (1, NOT_AUTHORIZED)
    peer.on(method, path, 400, "because")
    done = glance(*words)
    assert done.code == 1
    assert done.out.startswith(f"Failed to {action}. Got error:\n")
    assert done.out.endswith("Details: because\n")


def test_member_images_of_nobody(glance, peer):
    peer.on("GET", "/v1/shared-images/t", 404)
    done = glance("member-images", "t")
    assert (done.code, done.out) == (0, "No images shared with member t\n")


def test_cache_commands(glance, peer):
    entry = {"image_id": "i" * 36, "hits": 1, "last_accessed": 1.5, "last_modified": 1.5, "size": 3}
    peer.on("GET", "/v1/cached_images", 200, json.dumps({"cached_images": [entry]}))
    peer.on("GET", "/v1/queued_images", 200, '{"queued_images": ["a", "b"]}')
    peer.on("DELETE", "/v1/cached_images", 200, '{"num_deleted": 3}')
    for method, path in (
        ("DELETE", "/v1/cached_images/i"),
        ("PUT", "/v1/queued_images/i"),
        ("PUT", "/v1/queued_images/j"),
    ):
        peer.on(method, path, 200, "null")
    assert glance("cache-index").out.splitlines()[2] == f"{'i' * 36} {'1':>8} {'3':>14}"
    assert glance("cache-prefetching").out == "a\nb\n"
    assert glance("cache-prefetch", "i", "j").code == 0
    assert glance("cache-purge", "i").out == "Not removing image i\n"
    assert glance("cache-purge", "i", "-f").code == 0
    assert glance("cache-clear").out == "Not removing any images\n"
    assert glance("cache-clear", "-f", "-v").out.startswith("Removed 3 images from the cache\n")
    seen = [(seen.method, seen.path.removeprefix("/v1/")) for seen in peer.seen if seen.method != "GET"]
    assert seen == [
        ("PUT", "queued_images/i"),
        ("PUT", "queued_images/j"),
        ("DELETE", "cached_images/i"),
        ("DELETE", "cached_images"),
    ]
    assert glance("cache-prefetch").code == glance("cache-purge").code == 1
    for words in (["cache-prefetch", "i"], ["cache-purge", "i"], ["cache-clear"]):
        count = len(peer.seen)
        assert glance(*words, "-f", "--dry-run").code == 0
        assert len(peer.seen) == count
