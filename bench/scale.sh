#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Shoal alone, with more keys, fuller, older, with more processes, and in children just forked.  Installs nothing.
#
#   sh bench/scale.sh [--quick | --full] [--save] [options and parts of shoal-bench-scale]
#
#   --quick   at most 2 minutes with the build; 10 million keys at the most, 3 GiB of memory
#   (none)    five rounds, 100 million churn calls
#   --full    seven rounds, 100 million keys where memory allows (20 GiB), a thousand million churn calls
#   --save    keep the figures as bench/results/<date>-<kind of machine>-scale.csv, and plots of them
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
bench_build bench/scale/shoal-bench-scale
case $mode in
quick) set -- --rounds 3 --seconds 0.15 "$@" ;;
normal) set -- --rounds 5 --seconds 0.5 --churns 100000000 "$@" ;;
full) set -- --rounds 7 --seconds 1 --keys 100000000 --churns 1000000000 "$@" ;;
esac

name=shoal-scale-$$
trap 'rm -f "/dev/shm/$name" "/dev/shm/$name-lock"' EXIT
trap 'exit 1' HUP INT TERM
csv=$build/last-scale.csv
"$build/bench/scale/shoal-bench-scale" --name "$name" --csv "$csv" --fact "date: $(date -u +%Y-%m-%d)" \
    --fact "commit: $(bench_commit)" --fact "mode: $mode" --fact "load_before: $(cut -d ' ' -f 1 /proc/loadavg)" "$@"
[ $save = no ] || bench_keep "$csv" scale
