"""Old names of [keystone_authtoken] (spec daemons-and-config.md §3.3)."""

import pytest

from glance.common.config.auth import authtoken_settings
from glance.common.exception import ConfigurationError

PASSWORD = {
    "auth_type": "password",
    "auth_url": "http://keystone:5000",
    "username": "glance",
    "password": "secret",
    "project_name": "service",
    "user_domain_id": "default",
    "project_domain_id": "default",
}
USER = "admin_user = glance\nadmin_password = secret\nadmin_tenant_name = service\n"


def settings(load, group="", local=None, default="", program="glance-api"):
    return authtoken_settings(load(f"[DEFAULT]\n{default}\n[keystone_authtoken]\n{group}", program), local or {})


def test_nothing(load):
    assert settings(load) == {}


@pytest.mark.parametrize(
    "url",
    [
        "identity_uri = http://keystone:5000/\n",
        "auth_protocol = http\nauth_host = keystone\nauth_port = 5000\n",
        "auth_host = ignored\nidentity_uri = http://keystone:5000\n",
    ],
)
def test_password(load, url):
    assert settings(load, USER + url, program="glance-registry") == PASSWORD


def test_defaults_and_prefix(load):
    found = settings(load, "admin_user = x\nauth_admin_prefix = identity\n")
    assert found["auth_url"] == "https://127.0.0.1:35357/identity"
    assert found["project_name"] == "admin"


def test_settings_of_the_paste_file_win(load):
    local = {
        "admin_user": "glance",
        "admin_password": "secret",
        "admin_tenant_name": "service",
        "auth_host": "keystone",
    }
    local |= {"auth_port": "5000", "auth_protocol": "http", "service_host": "keystone", "auth_uri": ""}
    found = settings(load, "admin_user = other\nadmin_password = other\n", local)
    assert found == PASSWORD | {"www_authenticate_uri": "http://keystone:5000"}


def test_a_file_of_today_is_left_alone(load):
    today = {"auth_type": "password", "auth_url": "http://k", "username": "x", "www_authenticate_uri": "http://k"}
    assert settings(load, USER, today) == {}
    assert settings(load, USER, {"auth_plugin": "password"}) == {}


def test_auth_uri(load):
    assert settings(load, "auth_uri = http://k:5000\n") == {"www_authenticate_uri": "http://k:5000"}


def test_memcached_servers_of_default(load):
    default = "memcached_servers = a:1,b:2"
    assert settings(load, default=default) == {"memcached_servers": "a:1,b:2"}
    assert settings(load, local={"memcache_servers": "c:3"}, default=default) == {}


def test_useless_settings_are_named_once(load, caplog):
    found = settings(load, USER + "identity_uri = http://keystone:5000\nadmin_token = t\nsigning_dir = /x\n")
    assert found == PASSWORD
    assert caplog.messages == [
        "Today's Keystone has no use for these settings of [keystone_authtoken]: admin_token, signing_dir"
    ]


def test_admin_token_alone(load):
    with pytest.raises(ConfigurationError, match="set admin_user and admin_password") as caught:
        settings(load, "admin_token = hidden\n")
    assert "hidden" not in str(caught.value)


def test_keystonemiddleware_takes_the_settings(load):
    from keystonemiddleware import auth_token

    local = settings(load, USER + "identity_uri = http://127.0.0.1:9\n")
    middleware = auth_token.AuthProtocol(None, local | {"delay_auth_decision": "true"})
    assert middleware._auth.auth_url == "http://127.0.0.1:9"
