#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The peers in other languages, beside Shoal: Chronicle Map (Java), opendiskmap (Rust), shared-hashmap, UltraDict and diskhash
# (Python), each from its language's registry.  One that is out of reach is skipped with a word.
#
#   sh bench/others/run.sh [--keys N]... [--workers N]... [--rounds N] [--seconds S] [--peers NAME,...] [--csv FILE]
#
# --csv adds to FILE, in the columns of run.sh's.  Last come the rows for programs, as there.  Everything is built in
# $BENCH_BUILD/others.
#
# Environment: BENCH_BUILD = the build directory (build-bench).
set -eu

start=$(date +%s)
bench=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$bench/.." && pwd)
build=${BENCH_BUILD:-$root/build-bench}

. "$bench/lib.sh"
bench_build shoal-bench
exec python3 "$bench/others/run.py" --build "$build" "$@"
