#!/usr/bin/env bash
# Makes .venv: Python 3.10 with the packages of requirements.lock and this project, editable.
# `bootstrap.sh ray` makes .venv-ray from requirements-ray.lock: Ray and Rasa want different versions.
# Costs nothing when the environment is up to date; rebuilds it when an earlier run was cut off.
set -euo pipefail

say() { printf 'env: %s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}

unset CDPATH PYTHONHOME PYTHONPATH VIRTUAL_ENV CONDA_PREFIX
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
name=.venv${1:+-$1}
lock=requirements${1:+-$1}.lock
venv=$root/$name
stamp=$venv/.stamp
pyenv_versions=${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}/versions

# What pip was told about certificates and mirrors holds for uv too.
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"; fi

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# The root belongs to the stamp: a copied or moved .venv points at the old place.
wanted=$({ printf '%s\n' "$root" && cat "$lock" pyproject.toml; } | checksum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

free_megabytes() { df -Pm . 2>/dev/null | awk 'NR == 2 { print $4 }'; }

# After a failed step: names the likely cause in one line.
fail_install() {
    local free
    free=$(free_megabytes)
    if [ "${free:-1000000}" -lt 1000 ]; then
        fail "$1: only ${free} MB of disk are left and a full environment takes about 8 GB; free some and run 'make env' again"
    fi
    fail "$1 (see the lines above); check the network, then run 'make env' again: what was downloaded is kept"
}

# A pyenv shim of uv exists even where the chosen Python has no uv: it must really run.
runs() { "$1" --version >/dev/null 2>&1; }

find_uv() {
    local candidate
    for candidate in uv "$root/.bootstrap/bin/uv" "${HOME:-}/.local/bin/uv" "${HOME:-}/.cargo/bin/uv" \
        "$pyenv_versions"/*/bin/uv; do
        if runs "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

find_any_python() {
    local candidate
    for candidate in python3 python /usr/bin/python3 /usr/local/bin/python3 /opt/homebrew/bin/python3 \
        "$pyenv_versions"/*/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

install_uv() {
    local python
    python=$(find_any_python) ||
        fail "found neither uv nor a Python 3.8 or newer; install one of them and run 'make env' again"
    say "installing uv into .bootstrap/ with $python"
    rm -rf .bootstrap
    if "$python" -m pip --version >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --target .bootstrap uv >&2 ||
            fail_install "could not install uv"
    else
        { "$python" -m venv .bootstrap >&2 && .bootstrap/bin/python -m pip install --quiet uv >&2; } ||
            fail "$python has neither pip nor venv (on Debian: apt-get install python3-venv), or there is no network; mend it, or install uv, and run 'make env' again"
    fi
    runs "$root/.bootstrap/bin/uv" || fail "the uv in .bootstrap/ does not run; install uv in another way and run 'make env' again"
}

find_python310() {
    local candidate
    candidate=$("$uv" python find --system 3.10 2>/dev/null) && printf '%s\n' "$candidate" && return
    for candidate in "$pyenv_versions"/3.10.*/bin/python3.10; do
        if runs "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

# uv lists every package that it installs; without a terminal that is noise.
quietly() {
    if [ -t 2 ]; then
        "$@" >&2
    else
        "$@" 2>&1 | { grep -v '^ [-+~] ' || true; } >&2
    fi
}

uv=$(find_uv) || {
    install_uv
    uv=$root/.bootstrap/bin/uv
}

if [ ! -x "$venv/bin/python" ] || [ ! -f "$stamp" ]; then
    python=$(find_python310) || {
        say "installing Python 3.10"
        "$uv" python install 3.10 >&2 ||
            fail "could not install Python 3.10; check the network, or install it in another way (for example: pyenv install 3.10), and run 'make env' again"
        python=$(find_python310) || fail "uv installed Python 3.10 but does not find it; install Python 3.10 in another way and run 'make env' again"
    }
    if [ -e "$venv" ]; then say "replacing $name, which is not finished"; fi
    say "creating $name with $python"
    rm -rf "$venv"
    "$uv" venv --quiet --no-project --python "$python" "$venv" >&2 || fail_install "could not create $name"
fi

# Without its stamp an environment counts as unfinished until the last step is done.
rm -f "$stamp"
say "installing the packages of $lock (long the first time)"
quietly "$uv" pip sync --python "$venv/bin/python" "$lock" ||
    fail_install "could not install the packages of $lock"
quietly "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable . ||
    fail_install "could not install the project itself"
printf '%s\n' "$wanted" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "ready"
