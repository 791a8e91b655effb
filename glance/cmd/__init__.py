"""One module per program: read the configuration, build, run."""
