"""The healthcheck filter (spec policy-quota-protection.md §8)."""

import pytest
import webob
from oslo_config import cfg
from paste.deploy import loadwsgi


@pytest.fixture
def health(tmp_path):
    """Loads the filter from a paste file with these options; returns a function that asks it."""
    disable = tmp_path / "disable"

    def build(**options):
        lines = [f"{name} = {value}" for name, value in options.items()]
        (tmp_path / "paste.ini").write_text(
            "[filter:healthcheck]\n"
            "paste.filter_factory = glance.api.middleware.healthcheck:HealthcheckFilter.factory\n"
            f"backends = disable_by_file\ndisable_by_file_path = {disable}\n" + "\n".join(lines)
        )
        load = loadwsgi.loadfilter(f"config:{tmp_path / 'paste.ini'}", name="healthcheck")
        application = load(webob.Response(body=b"the application"))

        def ask(path="/healthcheck", method="GET", **kwargs) -> tuple[int, bytes]:
            response = webob.Request.blank(path, method=method, **kwargs).get_response(application)
            return response.status_int, response.body

        return ask

    yield build, disable
    for name in ("backends", "disable_by_file_path", "allowed_source_ranges"):
        cfg.CONF.clear_override(name, group="healthcheck")


def test_healthy(health):
    build, _ = health
    ask = build()
    assert ask() == (200, b"OK")
    status, body = ask(method="HEAD")
    assert status in (200, 204)
    assert body == b""


def test_disabled_while_the_file_exists(health):
    build, disable = health
    ask = build()
    disable.touch()
    assert ask() == (503, b"DISABLED BY FILE")
    assert ask(method="HEAD") == (503, b"")
    disable.unlink()
    assert ask() == (200, b"OK")


@pytest.mark.parametrize(
    ("path", "method"), [("/", "GET"), ("/healthcheck/", "GET"), ("/v1/healthcheck", "GET"), ("/healthcheck", "POST")]
)
def test_everything_else_passes(health, path, method):
    build, disable = health
    disable.touch()
    assert build()(path, method) == (200, b"the application")


def test_other_path(health):
    build, _ = health
    ask = build(path="/health")
    assert ask("/health") == (200, b"OK")
    assert ask("/healthcheck") == (200, b"the application")


def test_sources_that_are_not_allowed_reach_the_application(health):
    build, _ = health
    ask = build(allowed_source_ranges="10.0.0.0/8")
    assert ask(environ={"REMOTE_ADDR": "10.1.2.3"}) == (200, b"OK")
    assert ask(environ={"REMOTE_ADDR": "127.0.0.1"}) == (200, b"the application")
