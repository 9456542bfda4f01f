#!/bin/sh
# environment.sh VENV service|development: make the virtual environment, or add to it.
# The versions are those of requirements/; the registry is whichever pip is configured for.
set -eu
venv=$1
kind=$2
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! command -v "$python" >/dev/null; then
        say "There is no $python here. Install Python 3.11 or newer, or say: make PYTHON=/path/to/python3 …"
        exit 1
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "$python is $("$python" --version); 3.11 or newer is needed. Say: make PYTHON=/path/to/python3 …"
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian and Ubuntu keep these in a package of their own.
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Installing python$version-venv, which $python needs to make an environment."
            apt-get install -y -qq "python$version-venv" >/dev/null ||
                { apt-get update -qq && apt-get install -y -qq "python$version-venv" >/dev/null; }
        else
            say "$python cannot make virtual environments here. As root: apt install python$version-venv"
            exit 1
        fi
    fi
    say "Making the environment in $venv."
    "$python" -m venv --clear "$venv"
fi

say "Installing what the $kind needs into $venv."
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
case $kind in
service)
    pip install -r requirements/service.txt -r requirements/build.txt
    pip install --no-build-isolation --no-deps --editable .
    ;;
development)
    pip install -r requirements/development.txt
    ;;
*)
    say "what is $kind?"
    exit 2
    ;;
esac
