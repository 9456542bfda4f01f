#!/bin/sh
# peers.sh: install Debian's mail programs for the interoperability tests where that is possible;
# where it is not, say which tests will be left out.
set -u

# program, Debian package, what is left out without it
peers='swaks swaks sending by swaks
mbsync isync a Maildir synchronised out and back
neomutt neomutt reading by neomutt
curl curl sending and reading by curl
strace strace killing at the n-th sync, failing syncs and writes
eatmydata eatmydata showing that the durability checks can fail'

missing() {
    printf '%s\n' "$peers" | while read -r program package what; do
        command -v "$program" >/dev/null 2>&1 || printf '%s %s\n' "$package" "$what"
    done
}

[ -n "$(missing)" ] || exit 0
packages=$(missing | cut -d' ' -f1 | tr '\n' ' ')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf 'Installing from Debian, for the tests with real mail programs: %s\n' "$packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of names
    apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1 ||
        { apt-get update -qq >/dev/null 2>&1 &&
            apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1; } ||
        for package in $packages; do
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1
        done
fi
if [ -n "$(missing)" ]; then
    echo 'Left out, because these are not installed (as root: apt install them):'
    missing | while read -r package what; do printf '  %-10s %s\n' "$package" "$what"; done
fi
exit 0
