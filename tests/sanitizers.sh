#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The tests under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer.
#
#   sh tests/sanitizers.sh --quick   gcc; unit tests, threads
#   sh tests/sanitizers.sh           gcc and clang; heap, cases, bad bytes, command line and examples too
#
# There are no suppressions.  Tests that fork or trace run under AddressSanitizer only, because
# ThreadSanitizer is blind across processes.  A fault is planted last: compare-and-swap made relaxed.  The
# ThreadSanitizer job counts only if it finds that.
set -u
cd "$(dirname "$0")/.." || exit 1

SEEDS=10 # runs in which the planted fault must be found
quick=
[ "${1-}" != --quick ] || quick=yes
passed=0
failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

export ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=exitcode=66:second_deadlock_stack=1
export SCENE_SECONDS=900 # for a test that takes 10 without

now() { date +%s; }

configure() { # COMPILER SANITIZERS FOLDER C-ARGUMENTS
    rm -rf "$3"
    CC=$1 meson setup "$3" "-Db_sanitize=$2" -Db_lundef=false -Dbuildtype=debugoptimized \
        "-Dc_args=-fno-omit-frame-pointer $4" >"$log" 2>&1
    status=$?
    [ "$status" -eq 0 ] || cat "$log"
    return "$status"
}

add() { # the last line of a log: N passed, N failed
    n=$(sed -n '$s/ passed, .*//p' "$1")
    f=$(sed -n '$s/.* passed, \([0-9]*\) failed/\1/p' "$1")
    passed=$((passed + ${n:-0}))
    failed=$((failed + ${f:-1}))
}

# The suites in a build of their own.
job() { # COMPILER SANITIZERS FOLDER LEFT-OUT SUITE...
    compiler=$1 sanitizers=$2 folder=$3 left_out=$4
    shift 4
    began=$(now)
    echo "-- $compiler, $sanitizers: $*"
    if ! configure "$compiler" "$sanitizers" "$folder" ""; then
        failed=$((failed + 1))
        return
    fi
    chosen=
    for suite do
        chosen="$chosen --suite $suite"
    done
    [ -z "$left_out" ] || chosen="$chosen --no-suite $left_out"
    # shellcheck disable=SC2086  # the suites are words
    meson test -C "$folder" --timeout-multiplier 6 $chosen >"$log" 2>&1
    [ -f "$folder/meson-logs/testlog.json" ] || tail -40 "$log"
    python3 tests/structure/read_log.py "$folder" tests "$@" >"$log"
    cat "$log"
    add "$log"
    echo "-- $compiler, $sanitizers: $(($(now) - began)) s"
}

# ThreadSanitizer must find the planted fault.
plant() { # COMPILER FOLDER
    began=$(now)
    echo "-- $1, thread: a planted fault"
    if ! configure "$1" thread "$2" -DSHOAL_PLANT_RELAXED_SLOT ||
        ! ninja -C "$2" tests/threads/test_threads >/dev/null; then
        failed=$((failed + 1))
        return
    fi
    seed=1
    while [ "$seed" -le "$SEEDS" ]; do
        "$2/tests/threads/test_threads" "$seed" >"$log" 2>&1
        found=$(grep -c 'WARNING: ThreadSanitizer: data race' "$log")
        [ "$found" -eq 0 ] || break
        seed=$((seed + 1))
    done
    if [ "$found" -gt 0 ]; then
        passed=$((passed + 1))
        echo "found with seed $seed, $found reports"
    else
        failed=$((failed + 1))
        echo "failed: a compare-and-swap made relaxed was not found in $SEEDS runs, so this job proves nothing"
    fi
    echo "-- $1, thread: a planted fault: $(($(now) - began)) s"
}

has_sanitizer() { # COMPILER SANITIZERS
    try=$(mktemp -d) || exit 1
    echo 'int main(void) { return 0; }' >"$try/try.c"
    "$1" "-fsanitize=$2" "$try/try.c" -o "$try/try" >/dev/null 2>&1 && "$try/try"
    status=$?
    rm -rf "$try"
    return "$status"
}

with() { # COMPILER SUFFIX
    if ! has_sanitizer "$1" address,undefined || ! has_sanitizer "$1" thread; then
        echo "skipped: sanitizers of $1 (not installed; Debian: $1, and libclang-rt-dev for clang)"
        return
    fi
    if [ -n "$quick" ]; then
        job "$1" address,undefined "build-asan$2" "" unit threads
    else
        job "$1" address,undefined "build-asan$2" "" unit threads heap cases store images fuzz cli examples
    fi
    before=$failed
    job "$1" thread "build-tsan$2" forks unit threads
    if [ "$failed" -eq "$before" ]; then
        plant "$1" "build-tsan-planted$2"
    else
        echo "failed: no fault is planted where there are reports without it"
        failed=$((failed + 1))
    fi
}

with gcc ""
[ -n "$quick" ] || with clang -clang
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
