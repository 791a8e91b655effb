"""Choosing strategies, messages, suppression (spec notifications.md §1–§3, §7)."""

import json
import logging
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from glance.common.exception import ConfigurationError, InvalidNotifierStrategy
from glance.notifier import STRATEGIES, Notifier
from glance.notifier.log import LoggingStrategy
from glance.notifier.noop import NoopStrategy

MESSAGE = {
    "message_id": "m", "publisher_id": "p", "event_type": "image.create", "priority": "INFO",
    "payload": {"id": "i"}, "timestamp": "t",
}  # fmt: skip


class Recording:
    """A strategy of an operator's own, as the dotted name below finds it."""

    sent: list[dict] = []

    def __init__(self, conf) -> None:
        self.conf = conf

    def send(self, message) -> None:
        self.sent.append(message)


class Failing:
    def __init__(self, conf) -> None:
        pass

    def send(self, message) -> None:
        raise OSError("the broker is gone")


@pytest.fixture
def own_strategy(monkeypatch):
    """Makes this module importable by a dotted name; returns the name."""
    import sys

    monkeypatch.setitem(sys.modules, "own_strategies", sys.modules[__name__])
    Recording.sent.clear()
    return "own_strategies.Recording"


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="oslo.messaging.notification")
    return lambda: [(record.name, record.levelname, record.message) for record in caplog.records]


# --- every strategy ---


@pytest.mark.parametrize("name", STRATEGIES)
def test_contract_of_a_strategy(make_conf, name):
    strategy = STRATEGIES[name](make_conf())
    for priority in ("INFO", "WARN", "ERROR"):
        for payload in ({"id": "i", "name": "ü\n"}, "a text"):
            assert strategy.send({**MESSAGE, "priority": priority, "payload": payload}) is None


@pytest.mark.parametrize(
    ("priority", "level"), [("INFO", "INFO"), ("WARN", "WARNING"), ("ERROR", "ERROR")]
)  # fmt: skip
def test_logging_strategy_writes_one_line_of_json(make_conf, lines, priority, level):
    message = {**MESSAGE, "priority": priority, "payload": {"name": "two\nlines %s"}}
    LoggingStrategy(make_conf()).send(message)
    ((name, levelname, text),) = lines()
    assert (name, levelname) == ("oslo.messaging.notification.image.create", level)
    assert json.loads(text) == message
    assert "\n" not in text


# --- choosing ---


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        ({}, []),
        ({"notifier_strategy": "noop"}, []),
        ({"notifier_strategy": "Noop"}, []),
        ({"notifier_strategy": "default"}, []),
        ({"notifier_strategy": "logging"}, [LoggingStrategy]),
        ({"notifier_strategy": "LOGGING"}, [LoggingStrategy]),
        ({"notifier_strategy": "glance.notifier.log.LoggingStrategy"}, [LoggingStrategy]),
        ({"notifier_strategy": "glance.notifier.noop.NoopStrategy"}, []),
        ({"oslo_messaging_notifications": {"driver": "log"}}, [LoggingStrategy]),
        ({"oslo_messaging_notifications": {"driver": "noop"}}, []),
        ({"oslo_messaging_notifications": {"driver": ["noop", "log", "Log"]}}, [LoggingStrategy]),
        ({"notification_driver": "log"}, [LoggingStrategy]),
        ({"notifier_strategy": "noop", "oslo_messaging_notifications": {"driver": "log"}}, []),
        ({"notifier_strategy": "logging", "oslo_messaging_notifications": {"driver": "messaging"}}, [LoggingStrategy]),
    ],
)
def test_choice(make_conf, options, classes):
    assert [type(strategy) for strategy in Notifier(make_conf(**options))._strategies] == classes


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"notifier_strategy": "carrier_pigeon"}, "no notifier strategy 'carrier_pigeon'"),
        ({"notifier_strategy": "no.such.module.Strategy"}, "'no.such.module.Strategy' cannot be loaded"),
        ({"notifier_strategy": "glance.notifier.log.Nothing"}, "cannot be loaded"),
        ({"notifier_strategy": ".Nothing"}, "cannot be loaded"),
        ({"oslo_messaging_notifications": {"driver": "pigeon"}}, "driver 'pigeon' is unknown"),
    ],
)
def test_unknown_strategy_stops_the_start_with_one_line(make_conf, options, complaint):
    with pytest.raises(InvalidNotifierStrategy, match=complaint) as caught:
        Notifier(make_conf(**options))
    assert isinstance(caught.value, ConfigurationError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"notifier_strategy": "rabbit"},
        {"notifier_strategy": "qpid"},
        {"oslo_messaging_notifications": {"driver": "messaging"}},
        {"oslo_messaging_notifications": {"driver": "messagingv2"}},
    ],
)
def test_strategies_that_this_build_lacks(make_conf, options):
    with pytest.raises(InvalidNotifierStrategy, match=r"This build has no notifier strategy '(rabbit|qpid)'"):
        Notifier(make_conf(**options))


# --- the message ---


def test_message(make_conf, own_strategy):
    notifier = Notifier(make_conf(notifier_strategy=own_strategy))
    before = datetime.now(UTC).replace(tzinfo=None)
    notifier.info("image.create", {"id": "i1"})
    notifier.error("image.upload", "It broke")
    info, error = Recording.sent
    assert list(info) == list(error) == list(MESSAGE)
    assert (info["event_type"], info["priority"], info["payload"]) == ("image.create", "INFO", {"id": "i1"})
    assert (error["event_type"], error["priority"], error["payload"]) == ("image.upload", "ERROR", "It broke")
    assert info["publisher_id"] == "image.localhost"
    assert uuid.UUID(info["message_id"]).version == 4
    assert info["message_id"] != error["message_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", info["timestamp"])
    sent = datetime.strptime(info["timestamp"], "%Y-%m-%d %H:%M:%S.%f")
    assert before <= sent < before + timedelta(minutes=5)


def test_publisher_id(make_conf, own_strategy):
    Notifier(make_conf(notifier_strategy=own_strategy, default_publisher_id="image.here")).info("image.create", {})
    assert Recording.sent[0]["publisher_id"] == "image.here"


def test_logged_through_the_notifier(make_conf, lines):
    Notifier(make_conf(notifier_strategy="logging")).info("image.update", {"name": "ü"})
    ((name, _, text),) = lines()
    assert name == "oslo.messaging.notification.image.update"
    assert json.loads(text)["payload"] == {"name": "ü"}


# --- suppression ---


@pytest.mark.parametrize(
    ("disabled", "left"),
    [
        ("", ["image.create", "image.member.create", "task.run", "image.upload"]),
        ("image.create", ["image.member.create", "task.run", "image.upload"]),
        ("image", ["task.run"]),
        ("image.member", ["image.create", "image.member.create", "task.run", "image.upload"]),
        ("task,image.upload", ["image.create", "image.member.create"]),
        ("imag", ["image.create", "image.member.create", "task.run", "image.upload"]),
    ],
)
def test_suppression(make_conf, own_strategy, disabled, left):
    notifier = Notifier(make_conf(notifier_strategy=own_strategy, disabled_notifications=disabled))
    for event in ("image.create", "image.member.create", "task.run"):
        notifier.info(event, {})
    notifier.error("image.upload", "at every priority")
    assert [message["event_type"] for message in Recording.sent] == left


# --- failures ---


def test_failing_strategy_does_not_fail_the_request_nor_the_other_strategies(make_conf, own_strategy, caplog):
    notifier = Notifier(make_conf(notifier_strategy="own_strategies.Failing"))
    notifier._strategies.append(Recording(None))
    notifier.info("image.create", {})
    assert "image.create could not be sent: OSError: the broker is gone" in caplog.text
    assert len(Recording.sent) == 1


def test_payload_that_is_no_json_does_not_fail_the_request(make_conf, caplog):
    Notifier(make_conf(notifier_strategy="logging")).info("image.create", {"id": object()})
    assert "could not be sent: TypeError" in caplog.text


def test_noop_sends_nothing(make_conf, caplog):
    caplog.set_level(logging.DEBUG)
    Notifier(make_conf()).info("image.create", {"id": object()})
    NoopStrategy(make_conf()).send(MESSAGE)
    assert not caplog.records
