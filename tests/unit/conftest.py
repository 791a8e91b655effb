"""Fixtures of the tests of single rooms."""

from typing import Any

import pytest
from oslo_config import cfg

from glance.common.config import aliases, programs


@pytest.fixture
def make_conf(tmp_path):
    """Builds the options of glance-api as ``tmp_path/glance-api.conf`` would set them.

    Keywords are options of ``[DEFAULT]``; a dict is the options of the section of that
    name, a list repeats the option.
    """

    def build(**options: Any) -> cfg.ConfigOpts:
        groups = {"DEFAULT": {name: value for name, value in options.items() if not isinstance(value, dict)}}
        groups |= {name: value for name, value in options.items() if isinstance(value, dict)}
        lines = []
        for group, values in groups.items():
            lines.append(f"[{group}]")
            for name, value in values.items():
                lines += [f"{name} = {item}" for item in (value if isinstance(value, list) else [value])]
        path = tmp_path / "glance-api.conf"
        path.write_text("\n".join(lines) + "\n")
        conf = cfg.ConfigOpts()
        programs.register(conf, "glance-api")
        conf([], default_config_files=[str(path)], default_config_dirs=[])
        aliases.adopt(conf)
        return conf

    return build
