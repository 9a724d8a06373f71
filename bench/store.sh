#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The store and a map above it beside other tables on disk: build, run, print the tables.
#
#   sh bench/store.sh [--quick | --full] [--install] [--save] [options of shoal-bench-store]
#
#   --quick    at most 5 minutes with the build: 100 000 keys, short cells
#   (none)     100 000 and 1 000 000 keys, three rounds; about half an hour
#   --full     seven rounds; more than two hours, 16 GiB of disk
#   --install  first install the packages of the peers (Debian); without it nothing is installed
#   --save     keep the figures as bench/results/<date>-<kind of machine>-store.csv
#
# Environment: BENCH_BUILD = the build directory (build-bench), BENCH_DIRECTORY = where the tables lie, a disk
# (the build directory), BENCH_HOST_CLASS = the kind of machine.
set -eu

bench=$(dirname "$0")
. "$bench/lib.sh"
bench_build bench/store/shoal-bench-store
case $mode in
quick) set -- --keys 100k --rounds 5 --seconds 0.1 --limit $(((270 - ($(date +%s) - start)) / 2)) "$@" ;;
normal) set -- --rounds 3 "$@" ;;
full) set -- --rounds 7 --seconds 1 "$@" ;;
esac

csv=$build/last-store.csv
ratios=$build/last-store-ratios
status=0
: >"$csv"
: >"$ratios"
for bytes in 100 1000; do
    bench_run store/shoal-bench-store "$csv.$bytes" --value-bytes $bytes --directory "${BENCH_DIRECTORY:-$build}" "$@" \
        >"$build/last-store.out" || status=$?
    grep -v '^ratio ' "$build/last-store.out" || :
    grep '^ratio ' "$build/last-store.out" >>"$ratios" || :
    if [ $bytes = 100 ]; then cat "$csv.$bytes"; else grep -v -e '^#' -e '^peer,' "$csv.$bytes" || :; fi >>"$csv"
done

if [ $save = yes ] && [ $status -eq 0 ]; then
    bench_keep "$csv" store
elif [ $save = yes ]; then
    echo "bench: not kept, because a session failed; its figures: $csv" >&2
fi
cat "$ratios"
exit $status
