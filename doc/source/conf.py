"""Sphinx configuration."""

import glance

project = "Glance, classic"
copyright = "the Glance, classic contributors"  # noqa: A001
version = release = glance.__version__
extensions: list[str] = []
html_theme = "alabaster"
exclude_patterns: list[str] = []
nitpicky = True
