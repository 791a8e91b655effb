"""What is wrong in a file is said in one line with option, value and file (spec daemons-and-config.md §2)."""

import pytest

from glance.common import config
from glance.common.exception import ConfigurationError

REFERENCE = "its $ refers to no option, or to itself (write $$ for a dollar sign)"
SIZE = "expected digits and optionally B, KB, MB, GB or TB in capitals, without a blank"


def error(load, *arguments):
    with pytest.raises(ConfigurationError) as caught:
        load(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("section", "line", "reason"),
    [
        ("DEFAULT", "bind_port = 65536", "Should be less than or equal to 65535"),
        ("DEFAULT", "workers = -1", "Should be greater than or equal to 0"),
        ("DEFAULT", "workers = many", "invalid literal for int() with base 10: 'many'"),
        ("DEFAULT", "backlog = 0", "Should be greater than or equal to 1"),
        ("DEFAULT", "debug = maybe", "Unexpected boolean value 'maybe'"),
        ("DEFAULT", "verbose = 2", "Unexpected boolean value '2'"),
        ("DEFAULT", "image_size_cap = 9223372036854775809", "Should be less than or equal to 9.22337e+18"),
        ("DEFAULT", "api_limit_max = 0", "Should be greater than or equal to 1"),
        ("DEFAULT", "user_storage_quota = 1 GB", SIZE),
        ("DEFAULT", "user_storage_quota = 1gb", SIZE),
        ("DEFAULT", "user_storage_quota = -1", SIZE),
        (
            "DEFAULT",
            "data_api = glance.db.simple.api",
            "choose glance.db.sqlalchemy.api or glance.db.registry.api",
        ),
        (
            "DEFAULT",
            "hashing_algorithm = shake_128",
            "this Python has no such hash function; sha512 and sha256 are always there",
        ),
        (
            "DEFAULT",
            "location_strategy = nearest",
            "Valid values are [location_order, store_type], but found 'nearest'",
        ),
        ("DEFAULT", "property_protection_rule_format = x", "Valid values are [roles, policies], but found 'x'"),
        ("DEFAULT", "registry_client_timeout = -1", "Should be greater than or equal to 0"),
        ("DEFAULT", "sql_idle_timeout = long", "invalid literal for int() with base 10: 'long'"),
        ("DATABASE", "sql_max_retries = x", "invalid literal for int() with base 10: 'x'"),
        ("taskflow_executor", "engine_mode = x", "Valid values are [parallel, serial], but found 'x'"),
        ("glance_store", "swift_store_multiple_containers_seed = 33", "Should be less than or equal to 32"),
        ("oslo_policy", "enforce_new_defaults = x", "Unexpected boolean value 'x'"),
        ("cors", "max_age = x", "invalid literal for int() with base 10: 'x'"),
        ("profiler", "enabled = x", "Unexpected boolean value 'x'"),
        ("oslo_middleware", "enable_proxy_headers_parsing = x", "Unexpected boolean value 'x'"),
        ("DEFAULT", "bind_host = $bind_host", REFERENCE),
        ("DEFAULT", "bind_host = $no_such", REFERENCE),
        ("DEFAULT", "bind_host = $no.such", REFERENCE),
        ("DEFAULT", "bind_host = $cors", REFERENCE),
    ],
)
def test_bad_value(load, section, line, reason):
    text = error(load, f"[{section}]\n{line}\n")
    assert text == f"{load.path}: [{section}] {line} is not valid: {reason}"


def test_secret_values_are_not_shown(load):
    key = "metadata_encryption_key"
    text = error(load, f"[DEFAULT]\n{key} = hidden\n")
    assert text == (
        f"{load.path}: [DEFAULT] {key} = *** is not valid: the key must be 16, 24 or 32 bytes long, this one has 6"
    )
    assert "hidden" not in error(load, "[DEFAULT]\nrabbit_password = hidden$hidden\n")


@pytest.mark.parametrize("length", [0, 16, 24, 32])
def test_encryption_keys(load, length):
    assert load(f"[DEFAULT]\nmetadata_encryption_key = {'k' * length}\n").metadata_encryption_key == "k" * length


def test_the_file_that_is_wrong_is_named(load, tmp_path):
    bad, good = tmp_path / "bad.conf", tmp_path / "good.conf"
    bad.write_text("[DEFAULT]\nworkers = x\n")
    good.write_text("[DEFAULT]\nbacklog = 1\n")
    assert str(bad) in error(load, "", "glance-api", "--config-file", str(bad), "--config-file", str(good))


def test_of_two_wrong_files_the_one_that_counts_is_named(load, tmp_path):
    other = tmp_path / "other.conf"
    other.write_text("[DEFAULT]\nworkers = y\n")
    text = error(load, "[DEFAULT]\nworkers = x\n", "glance-api", "--config-file", str(other))
    assert text.startswith(f"{other}: [DEFAULT] workers = y ")


def test_an_overridden_bad_value_does_no_harm(load, tmp_path):
    good = tmp_path / "good.conf"
    good.write_text("[DEFAULT]\nworkers = 1\n")
    assert load("[DEFAULT]\nworkers = x\n", "glance-api", "--config-file", str(good)).workers == 1


def test_options_of_other_programs_are_not_checked(load):
    assert load("[DEFAULT]\nbind_port = x\nwakeup_time = x\n", "glance-manage")


def test_environment_variable_is_named(load, monkeypatch):
    monkeypatch.setenv("OS_DEFAULT__BIND_PORT", "x")
    assert error(load, "").startswith(
        "environment variable OS_DEFAULT__BIND_PORT: [DEFAULT] bind_port = x is not valid"
    )


def test_registry_of_the_registry(load):
    text = "[DEFAULT]\ndata_api = glance.db.registry.api\n"
    assert load(text).data_api == "glance.db.registry.api"
    assert "the registry itself needs glance.db.sqlalchemy.api" in error(load, text, "glance-registry")


def test_fatal_deprecations(load):
    text = error(load, "[DEFAULT]\nfatal_deprecations = true\nsql_connection = mysql://a:hidden@b\n")
    assert "[DEFAULT] sql_connection = ***" in text and "fatal_deprecations is set" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"bind_port = 1\n", "line 1 is not valid: Section must be started before assignment"),
        (b"[DEFAULT]\n\nrabbit_password hidden\n", "line 3 is not valid: No ':' or '=' found in assignment"),
        (b"[DEFAULT\n", "line 1 is not valid: Invalid section (must end with ])"),
        (b"[DEFAULT]\nx = \xff\n", "not a text file in UTF-8"),
    ],
)
def test_unreadable_file(load, tmp_path, content, reason):
    path = tmp_path / "x.conf"
    path.write_bytes(content)
    text = error(load, "", "glance-api", "--config-file", str(path))
    assert text == f"{path}: {reason}"
    assert "hidden" not in text


def test_forbidden_file(tmp_path, search_dirs, monkeypatch):
    path = tmp_path / "x.conf"
    path.write_text("")

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may read everything
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        config.load("glance-api", ["--config-file", str(path)])
