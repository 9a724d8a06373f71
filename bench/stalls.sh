#!/bin/sh
# SPDX-License-Identifier: MIT
#
# How long the calls of one process take while others are killed or stopped: Shoal and maps under locks.  Installs nothing.
#
#   sh bench/stalls.sh [--quick | --full] [--save] [options of shoal-bench-stalls]
#
#   --quick   at most 2 minutes with the build
#   (none)    five rounds of 3 seconds a scene
#   --full    seven rounds of 20 seconds a scene; an hour
#   --save    keep the figures as bench/results/<date>-<kind of machine>-stalls.csv, and a plot of them
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
    --help) sed -n '3,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) break ;;
    esac
    shift
done

. "$bench/lib.sh"
bench_build bench/stalls/shoal-bench-stalls
case $mode in
quick) set -- --rounds 3 --seconds 0.8 "$@" ;;
normal) set -- --rounds 5 --seconds 3 "$@" ;;
full) set -- --rounds 7 --seconds 20 "$@" ;;
esac

name=shoal-stalls-$$
trap 'rm -f "/dev/shm/$name" "/dev/shm/$name-lock"' EXIT
trap 'exit 1' HUP INT TERM
csv=$build/last-stalls.csv
"$build/bench/stalls/shoal-bench-stalls" --name "$name" --csv "$csv" --fact "date: $(date -u +%Y-%m-%d)" \
    --fact "commit: $(bench_commit)" --fact "mode: $mode" --fact "load_before: $(cut -d ' ' -f 1 /proc/loadavg)" "$@"
[ $save = no ] || bench_keep "$csv" stalls
