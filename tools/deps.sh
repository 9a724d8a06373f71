#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install what the build needs and this machine lacks (Debian, Ubuntu), or say what to install.
#   sh tools/deps.sh [PROGRAM:PACKAGE | /FILE:PACKAGE ...]      the arguments are looked for too
# Does nothing, quickly, where everything is there.
set -eu

missing=
want() { # PACKAGE, then a command that succeeds where it is installed
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

want gcc sh -c 'command -v cc'
want libc6-dev test -f /usr/include/stdio.h
want meson sh -c 'command -v meson'
want ninja-build sh -c 'command -v ninja'
want pkg-config sh -c 'command -v pkg-config'
want liburcu-dev pkg-config --exists liburcu-bp
want libxxhash-dev pkg-config --exists libxxhash
want libcmocka-dev pkg-config --exists cmocka
want libjansson-dev pkg-config --exists jansson
for extra do
    want "${extra#*:}" sh -c 'case $0 in /*) test -e "$0" ;; *) command -v "$0" ;; esac' "${extra%%:*}"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "deps: this machine has no apt-get; please install (Debian's names):$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "deps: please install, as root:  apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "deps: failed: $*" >&2
        exit 1
    }
}
quietly $as_root apt-get update
# shellcheck disable=SC2086  # the packages are words
quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
