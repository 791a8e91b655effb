"""``python -m glance.common.config.sample [DIR]`` writes the annotated files that are shipped as ``etc/*.conf``.

Every option is there with its meaning, type and default, commented out.  The few that
the shipped files set are in ``_FILES``.
"""

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from oslo_config import cfg

from glance.common.config import aliases, programs
from glance.common.config.types import Section

_WIDTH = 88
# Ceph pools of today are called images, and an own user can be restricted to one.
_RBD = {
    ("glance_store", "rbd_store_pool"): "images",
    ("glance_store", "rbd_store_chunk_size"): "8",
    ("glance_store", "rbd_store_user"): "glance",
}


class _File(NamedTuple):
    letter: str
    purpose: str
    settings: Mapping[tuple[str, str], str] = {}


_FILES = {
    "glance-api.conf": _File(
        "A",
        "glance-api",
        {
            ("DEFAULT", "user_image_count_quota"): "10000",
            # API hosts then hold no credentials of the database.
            ("DEFAULT", "data_api"): "glance.db.registry.api",
            **_RBD,
        },
    ),
    "glance-registry.conf": _File("R", "glance-registry"),
    "glance-cache.conf": _File(
        "C", "glance-cache-pruner, glance-cache-cleaner and glance-cache-prefetcher, which cron runs", _RBD
    ),
    "glance-scrubber.conf": _File("S", "glance-scrubber", _RBD),
    "glance-manage.conf": _File(
        "M", "glance-manage, read after glance-registry.conf and glance-api.conf and overriding them"
    ),
}


def render(name: str) -> str:
    """Return the text of the sample file ``name`` (a key of ``etc/``)."""
    file = _FILES[name]
    text = [
        _comment(f"{name}: configuration of {file.purpose}."),
        _comment(
            "A line that begins with # is a comment. Options are shown with their defaults: remove the # to change "
            "one. Lists are separated by commas; $name stands for the value of another option, $$ for a dollar sign."
        ),
    ]
    groups: dict[str, dict[str, list[cfg.Opt]]] = {"DEFAULT": {}}
    for title, sections in [
        *programs.subjects(file.letter).items(),
        ("What the library has today", _keystone(file.letter)),
    ]:
        for section in sections:
            group = groups.setdefault(section.group, {})
            known = {option.dest for options in group.values() for option in options}
            known |= set(aliases.MOVED) if section.group == "DEFAULT" else set()
            group.setdefault(title, []).extend(option for option in section.options if option.dest not in known)
    for name_of_group, group in groups.items():
        text.append(f"[{name_of_group}]")
        for title, options in group.items():
            if options and len(group) > 1:
                text.append(f"#\n{_comment(title)}\n#")
            text += [_option(file, name_of_group, option) for option in options]
    return "\n\n".join(text) + "\n"


def _option(file: _File, group: str, option: cfg.Opt) -> str:
    default = str(programs.PORTS[file.letter]) if option.dest == "bind_port" else _default(option)
    lines = [_comment(paragraph) for paragraph in _paragraphs(option, default)]
    lines.append(_comment(" ".join(_facts(group, option))))
    setting = file.settings.get((group, option.dest))
    lines.append(f"#{option.dest} = {default}".rstrip() if setting is None else f"{option.dest} = {setting}")
    return "\n".join(lines)


def _paragraphs(option: cfg.Opt, default: str) -> Iterator[str]:
    # Helps of oslo.log are written for argparse.
    text = (option.help or "").replace("%(default)s", default).replace("%%", "%")
    for paragraph in text.strip().split("\n\n"):
        yield " ".join(paragraph.split())


def _facts(group: str, option: cfg.Opt) -> Iterator[str]:
    kind = {
        "bool": "true or false",
        "int": "integer",
        "float": "number",
        "port": "port",
        "list": "list",
        "dict": "list of key:value",
    }
    name = type(option).__name__.removesuffix("Opt").lower()
    yield f"Type: {'text, may be repeated' if option.multi else kind.get(name, 'text')}"
    low, high = getattr(option.type, "min", None), getattr(option.type, "max", None)
    if low is not None and name != "port":
        yield f"from {low}"
    if high is not None and name != "port":
        yield f"up to {high}"
    choices = getattr(option.type, "choices", None)
    if choices:
        yield f"({' | '.join(map(str, choices))})"
    if option.default is None and not option.sample_default:
        yield "; not set by default"
    old = [f"[{old.group or group}] {old.name or option.dest}" for old in option.deprecated_opts]
    old += [f"[DEFAULT] {name}" for name, place in aliases.MOVED.items() if place == (group, option.dest)]
    if old:
        yield f"; old names: {', '.join(dict.fromkeys(old))}"


def _default(option: cfg.Opt) -> str:
    if option.sample_default is not None:
        return option.sample_default
    if option.default is None:
        return ""
    if isinstance(option.default, dict):
        return ",".join(f"{key}:{value}" for key, value in option.default.items())
    if isinstance(option.default, list):
        return ",".join(map(str, option.default))
    text = str(option.default)
    return text if text == text.strip() else f'"{text}"'


def _keystone(letter: str) -> list[Section]:
    """The library's own [keystone_authtoken], and what the usual way to log in needs."""
    if letter not in "AR":
        return []
    from keystoneauth1 import loading
    from keystonemiddleware import opts

    found = [Section(letter, group, options) for group, options in opts.list_auth_token_opts()]
    return [*found, Section(letter, "keystone_authtoken", loading.get_auth_plugin_conf_options("password"))]


def _comment(text: str) -> str:
    text = text.replace(" ;", ";")
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def main() -> None:
    directory = sys.argv[1] if len(sys.argv) > 1 else "etc"
    for name in _FILES:
        with open(os.path.join(directory, name), "w", encoding="utf-8") as stream:
            stream.write(render(name))


if __name__ == "__main__":
    main()
