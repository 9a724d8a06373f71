#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Shoal alone, with more keys, fuller, older, with more processes, and in children just forked.
#
#   sh bench/scale.sh [--quick | --full] [--install] [--save] [options and parts of shoal-bench-scale]
#
#   --quick    at most 2 minutes with the build; 10 million keys at the most, 3 GiB of memory
#   (none)     five rounds, 100 million churn calls
#   --full     seven rounds, 100 million keys where memory allows (20 GiB), a thousand million churn calls
#   --install  first install the packages of the peers (Debian); without it nothing is installed
#   --save     keep the figures as bench/results/<date>-<kind of machine>-scale.csv, and plots of them
#
# Environment: BENCH_BUILD = the build directory (build-bench), BENCH_HOST_CLASS = the kind of machine.
set -eu

bench=$(dirname "$0")
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
bench_run scale/shoal-bench-scale "$csv" --name "$name" "$@"
[ $save = no ] || bench_keep "$csv" scale
