#!/usr/bin/env bash
# Puts what the web tests need in its place: Node's packages into node_modules, and Chromium. Quick when all is there.
# As root on Debian, missing programs come from apt-get; elsewhere it says what to install, and tests that need it are
# left out (not in continuous integration: there it is an error).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing() { # PROGRAM: true where it cannot be found
    ! command -v "$1" >/dev/null 2>&1
}

give_up() { # WHAT IS MISSING
    echo "web_tools: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
}

install() { # PACKAGE...
    if missing apt-get || [ "$(id -u)" != 0 ]; then
        give_up "to run the web tests, install $* (or set CHROMIUM to a browser's path)"
    fi
    echo "Installing $* ..." >&2
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
        give_up "apt-get could not install $*"
}

if missing node || missing npm; then install nodejs npm; fi
if [ -z "${CHROMIUM:-}" ] && [ ! -x /usr/bin/chromium ]; then install chromium; fi

done=node_modules/.installed
if [ ! "$done" -nt package-lock.json ] || [ package.json -nt "$done" ]; then
    echo "Installing Node packages ..." >&2
    npm ci --ignore-scripts --no-audit --no-fund --silent >&2 || give_up "npm could not install the packages"
    touch "$done"
fi
