"""How the programs in this directory start: from this checkout, without an installation."""

import importlib
import os
import sys

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(CHECKOUT, ".venv")


def launch(module):
    """Run ``main`` of ``module`` and exit with what it returns.

    When this interpreter is too old or lacks a library, the checkout's virtual environment takes over.
    """
    sys.path[0] = CHECKOUT
    if sys.version_info >= (3, 11):  # noqa: UP036  # whatever python3 is here
        try:
            program = importlib.import_module(module)
        except ModuleNotFoundError as error:
            lacking = f"the Python package {error.name}"
            if error.name is None or error.name.split(".")[0] == "glance":
                raise
        else:
            sys.exit(program.main())
    else:
        lacking = "Python 3.11 or newer"
    python = os.path.join(VENV, "bin", "python")
    if os.path.exists(python) and sys.prefix != VENV:
        os.execv(python, [python, *sys.argv])  # noqa: S606
    name = os.path.basename(sys.argv[0])
    sys.exit(f"ERROR: {name} needs {lacking}: run bin/quickstart, or pip install {CHECKOUT}")
