# Sourced by quickstart and run-tests, which set CHECKOUT: the virtual environment in .venv of the checkout.

VENV=$CHECKOUT/.venv

step() { printf '==> %s\n' "$*"; }
fail() {
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

# Print a Python that is new enough and can make virtual environments: $PYTHON, else from PATH and the usual places.
find_python() {
    incomplete=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3 \
            /usr/local/bin/python3.1[1-9] /opt/python*/bin/python3 \
            "$HOME"/.local/bin/python3.1[1-9] "$HOME"/.pyenv/versions/3.1[1-9]*/bin/python3
    fi
    for candidate; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
        incomplete=${incomplete:-$("$candidate" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')}
    done
    [ -z "$incomplete" ] ||
        fail "this Python cannot make virtual environments; install the package $incomplete (apt install $incomplete)"
    [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python 3.11 or newer"
    fail "no Python 3.11 or newer found; install one (apt install python3 python3-venv) or name it: PYTHON=/path/to/python3"
}

# Make the environment if there is none, and install the checkout with the extras $1 ("" or "[test]") if that has not
# happened since setup.cfg was changed.
prepare_venv() {
    installed="$VENV/installed$1"
    if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        python=$(find_python) || exit
        [ -w "$CHECKOUT" ] || fail "no permission to write to $CHECKOUT; use a copy of your own"
        step "Making a virtual environment in $VENV ($("$python" --version))"
        "$python" -m venv --clear "$VENV" || fail "$python could not make a virtual environment in $VENV"
    fi
    if [ ! -e "$installed" ] || [ -n "$(find "$CHECKOUT/setup.cfg" -newer "$installed")" ]; then
        [ -w "$VENV" ] || fail "no permission to write to $VENV; use a copy of your own"
        step "Installing glance-classic$1 and what it needs (takes a minute or two)"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$CHECKOUT$1" ||
            fail "the installation failed; pip said why above"
        : >"$installed"
    fi
}
