#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build the comparison in a build directory of its own, run it, print the table.  Installs nothing.
#
#   sh bench/run.sh [--quick | --full] [--save] [options of shoal-bench]
#
#   --quick   at most 5 minutes with the build: short cells, fewer rounds where the machine is slow
#   (none)    about 15 minutes
#   --full    also 10 million keys and the workloads on request; more than an hour, 8 GiB of memory
#   --save    keep the figures as bench/results/<date>-<kind of machine>.csv
#
# Environment: BENCH_BUILD = the build directory (build-bench), BENCH_HOST_CLASS = the kind of machine.
set -eu

start=$(date +%s)
bench=$(dirname "$0")
root=$(cd "$bench/.." && pwd)
build=${BENCH_BUILD:-$root/build-bench}

mode=normal
save=no
while [ $# -gt 0 ]; do
    case $1 in
    --quick) mode=quick ;;
    --full) mode=full ;;
    --save) save=yes ;;
    --help) sed -n '3,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) break ;;
    esac
    shift
done

. "$bench/lib.sh"
bench_build shoal-bench

case $mode in
quick) set -- --rounds 5 --seconds 0.2 --limit $((270 - ($(date +%s) - start))) "$@" ;;
full) set -- --keys 100k,1M,10M --rounds 7 --seconds 1 --workloads all "$@" ;;
esac

csv=$build/last.csv
status=0
"$build/bench/shoal-bench" --csv "$csv" --fact "date: $(date -u +%Y-%m-%d)" --fact "commit: $(bench_commit)" \
    --fact "mode: $mode" "$@" || status=$?

if [ $save = yes ] && [ $status -eq 0 ]; then
    bench_keep "$csv"
elif [ $save = yes ]; then
    echo "bench: not kept, because a session failed; its figures: $csv" >&2
fi
exit $status
