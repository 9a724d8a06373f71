#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build the comparison in a build directory of its own, run it, print the tables and then a line per row.
#
#   sh bench/run.sh [--quick | --full] [--install] [--save] [options of shoal-bench]
#
#   --quick    at most 5 minutes with the build: short cells, fewer rounds where the machine is slow
#   (none)     about half an hour
#   --full     also 10 million keys, all sizes of keys and values, and the peers in other languages; many hours,
#              8 GiB of memory
#   --install  first install the packages of the peers (Debian); without it nothing is installed
#   --save     keep the figures as bench/results/<date>-<kind of machine>.csv, and plots of them
#
# Environment: BENCH_BUILD = the build directory (build-bench), BENCH_HOST_CLASS = the kind of machine, BENCH_OPTIONS = for
# meson: -Dbench_clht=DIR -Dbench_growt=DIR, peers that are in no registry.
set -eu

bench=$(dirname "$0")
. "$bench/lib.sh"
bench_build shoal-bench

csv=$build/last.csv
rows=$build/last-rows
status=0
: >"$csv"
: >"$rows"

row='^(machine|ratio|floor|replacing|bound|void:) '
# The tables of a run now, the rows for programs last.
show() {
    grep -Ev "$row" "$build/last.out" || :
    grep -E "$row" "$build/last.out" >>"$rows" || :
}

# compare OPTIONS...: all figures in one CSV.
compare() {
    bench_run shoal-bench "$csv.part" "$@" >"$build/last.out" || status=$?
    show
    if [ -s "$csv" ]; then grep -v -e '^#' -e '^peer,' "$csv.part" || :; else cat "$csv.part"; fi >>"$csv"
}

# Sizes beside 16 and 100 bytes: one table size, fewer workloads.
all_sizes() {
    for key in 8 16 64 256; do
        for value in 8 32 100 1000 10000; do
            [ $key-$value != 16-100 ] || continue
            compare --keys 100k --rounds 3 --seconds 0.2 --contenders --latency none --key-bytes $key --value-bytes $value \
                --workloads insert,get_hit,batch32,put,ycsb_a,churn "$@"
        done
    done
}

case $mode in
quick) compare --rounds 5 --seconds 0.03 --slow-keys 100k --contenders --limit $((255 - ($(date +%s) - start))) "$@" ;;
normal) compare --slow-keys 100k "$@" ;;
full)
    compare --keys 100k,1M,10M --rounds 5 --seconds 0.5 --slow-keys 1M --latency get_hit,get_zipf,put,ycsb_a,churn "$@"
    all_sizes "$@"
    sh "$bench/others/run.sh" --keys 100k --keys 1M --csv "$csv" >"$build/last.out" || status=$?
    show
    ;;
esac

if [ $save = yes ] && [ $status -eq 0 ]; then
    bench_keep "$csv"
elif [ $save = yes ]; then
    echo "bench: not kept, because a session failed; its figures: $csv" >&2
fi
cat "$rows"
exit $status
