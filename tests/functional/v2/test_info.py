"""What the service says of itself (spec v2-images.md §11); with several stores: test_several_stores.py."""

import pytest

from tests.functional.v2.conftest import Anonymous, Caller

PATHS = ("/info/import", "/info/usage", "/info/stores", "/info/stores/detail")


@pytest.fixture(scope="module")
def several(deploy, tmp_path_factory):
    """Two stores, of which one is described in no word."""
    root = tmp_path_factory.mktemp("stores")
    sections = {name: {"filesystem_store_datadir": str(root / name)} for name in ("plain", "second")}
    sections["second"] |= {"filesystem_store_chunk_size": 4096, "filesystem_thin_provisioning": True}
    return deploy(
        api={
            "enabled_backends": "plain:file, second:file",
            "glance_store": {"default_backend": "second"},
            "allow_anonymous_access": True,
            **sections,
        },
        registry={"allow_anonymous_access": True},
    )


def ask(caller, path):
    answer = caller.send("GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    return answer.json()


def test_import_methods(user, other, admin):
    """An empty list, as long as there is no import."""
    for caller in (user, other, admin):
        found = ask(caller, "/info/import")
        assert found.keys() == {"import-methods"}
        methods = found["import-methods"]
        assert methods.keys() == {"description", "type", "value"}
        assert isinstance(methods["description"], str)
        assert (methods["type"], methods["value"]) == ("array", [])


def test_no_header_without_import(user):
    assert "OpenStack-image-import-methods" not in user.post({}).headers


def test_usage_without_limits(user, admin):
    user.active()
    for caller in (user, admin):
        assert ask(caller, "/info/usage") == {"usage": {}}


@pytest.mark.parametrize("path", ["/info/stores", "/info/stores/detail"])
def test_stores_without_names(user, admin, path):
    for caller in (user, admin):
        assert caller.send("GET", path).status_code == 404


def test_create_without_names_of_stores(user):
    assert "OpenStack-image-store-ids" not in user.post({}).headers


@pytest.mark.parametrize("path", ["/info/import", "/info/stores", "/info/stores/detail"])
def test_bodies(several, path):
    admin = Caller(several, roles="admin")
    assert admin.send("GET", path, data=b"{}").status_code == 400
    assert admin.send("GET", path).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_methods(several, path, method):
    answer = Caller(several, roles="admin").send(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/info", "/info/", "/info/frob", "/info/stores/", "/info/stores/plain"])
def test_unknown(several, path):
    assert Caller(several, roles="admin").send("GET", path).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_without_identity(usual, path):
    assert Anonymous(usual).send("GET", path).status_code == 401


def test_anonymous(several):
    nobody = Anonymous(several)
    assert nobody.send("GET", "/info/import").status_code == 200
    assert nobody.send("GET", "/info/stores").status_code == 200
    assert nobody.send("GET", "/info/stores/detail").status_code == 403


def test_stores_without_description(several):
    """What is not so is not said."""
    stores = [{"id": "plain"}, {"id": "second", "default": "true"}]
    assert ask(Caller(several), "/info/stores") == {"stores": stores}


def test_stores_in_detail(several):
    assert Caller(several).send("GET", "/info/stores/detail").status_code == 403
    plain, second = ask(Caller(several, roles="admin"), "/info/stores/detail")["stores"]
    assert plain["id"] == "plain"
    assert plain["properties"]["thin_provisioning"] is False
    assert plain["properties"]["data_dir"].endswith("/plain")
    assert second == {
        "id": "second", "default": "true", "type": "file", "weight": 0,
        "properties": {"data_dir": second["properties"]["data_dir"], "chunk_size": 4096, "thin_provisioning": True},
    }  # fmt: skip


def test_import_and_usage_with_several_stores(several):
    user = Caller(several)
    assert ask(user, "/info/import")["import-methods"]["value"] == []
    assert ask(user, "/info/usage") == {"usage": {}}
