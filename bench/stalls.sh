#!/bin/sh
# SPDX-License-Identifier: MIT
#
# How long the calls of one process take while others are killed or stopped: Shoal and maps under locks.
#
#   sh bench/stalls.sh [--quick | --full] [--install] [--save] [options of shoal-bench-stalls]
#
#   --quick    at most 2 minutes with the build
#   (none)     five rounds of 3 seconds a scene
#   --full     seven rounds of 20 seconds a scene; an hour
#   --install  first install the packages of the peers (Debian); without it nothing is installed
#   --save     keep the figures as bench/results/<date>-<kind of machine>-stalls.csv, and a plot of them
#
# Environment: BENCH_BUILD = the build directory (build-bench), BENCH_HOST_CLASS = the kind of machine.
set -eu

bench=$(dirname "$0")
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
bench_run stalls/shoal-bench-stalls "$csv" --name "$name" "$@"
[ $save = no ] || bench_keep "$csv" stalls
