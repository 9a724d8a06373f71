#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Everything that a change must pass: installs what is missing, builds in build-test, runs the suites, the
# models and the quick sanitizers.  The last line is "N passed, N failed"; exit status 1 if one failed.
#
#   sh tests/run.sh             everything
#   sh tests/run.sh SUITE ...   these suites only (a suite is a folder of tests/)
#
# What cannot be tested on this machine is named by "skipped: NAME (why)" and counts as neither.
set -u
cd "$(dirname "$0")/.." || exit 1

build=build-test
passed=0
failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log" "$log.build" "$log.status"' EXIT

now() { date +%s; }

# The last line of a part is its count; whatever ends without one has failed.
count() { # NAME STATUS
    n=$(sed -n '$s/^\([0-9][0-9]*\) passed, [0-9][0-9]* failed$/\1/p' "$log")
    f=$(sed -n '$s/^[0-9][0-9]* passed, \([0-9][0-9]*\) failed$/\1/p' "$log")
    if [ -z "$n" ]; then
        n=0
        f=1
        [ "$2" -ne 0 ] || { n=1; f=0; }
    elif [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    passed=$((passed + n))
    failed=$((failed + f))
    [ "$f" -eq 0 ] || echo "failed: $1"
}

part() { # NAME COMMAND...
    name=$1
    shift
    began=$(now)
    echo "-- $name"
    { "$@"; echo $? >"$log.status"; } 2>&1 | tee "$log"
    status=$(cat "$log.status")
    rm -f "$log.status"
    count "$name" "$status"
    echo "-- $name: $(($(now) - began)) s"
}

builds() {
    rm -rf "$build"
    meson setup "$build" -Dcli=enabled >"$log.build" 2>&1 && ninja -C "$build" >>"$log.build" 2>&1
    status=$?
    grep -A 4 -E 'warning:|error:|FAILED' "$log.build"
    warnings=$(grep -c 'warning:' "$log.build")
    [ "$status" -eq 0 ] || cat "$log.build"
    echo "$warnings warnings"
    [ "$status" -eq 0 ] && [ "$warnings" -eq 0 ]
}

suites() {
    chosen=
    for suite do
        chosen="$chosen --suite $suite"
    done
    rm -f "$build/meson-logs/testlog.json"
    # shellcheck disable=SC2086  # the suites are words
    meson test -C "$build" --no-rebuild $chosen 2>&1 | grep --line-buffered -E '^ *[0-9]+/[0-9]+ '
    python3 tests/structure/read_log.py "$build" tests "$@"
}

models() {
    bash tests/models/run.sh
    status=$?
    if [ "$status" -eq 77 ]; then # it has said why
        echo "0 passed, 0 failed"
        return 0
    fi
    return "$status"
}

sh tools/deps.sh python3:python3 nm:binutils spin:spin || exit 1
# Others to compare with; where they cannot be installed, their tests say so.
sh tools/deps.sh g++:g++ /usr/include/lmdb.h:liblmdb-dev /usr/include/boost/version.hpp:libboost-dev || :
part build builds
if [ $# -gt 0 ]; then
    part suites suites "$@"
else
    part suites suites
    part models models
    part sanitizers sh tests/sanitizers.sh --quick
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
