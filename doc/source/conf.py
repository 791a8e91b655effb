"""Sphinx configuration."""

import glance

project = "Glance, classic"
copyright = "the Glance, classic contributors"
version = release = glance.__version__
extensions: list[str] = []
html_theme = "alabaster"
exclude_patterns: list[str] = []
nitpicky = True
