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

# What the build itself needs; peers are optional.
packages=
for pair in cc:gcc meson:meson ninja:ninja-build pkg-config:pkg-config; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair#*:}"
done
if [ -n "$packages" ]; then
    echo "bench: missing for the build; on Debian: apt-get install$packages" >&2
    exit 1
fi

# Reconfigured each time, so that a package installed meanwhile is found.
mkdir -p "$build"
log=$build/bench-build.log
again=
[ -f "$build/build.ninja" ] && again=--reconfigure
if ! { meson setup $again "$build" "$root" -Dbuildtype=release -Dbench=enabled -Dtests=disabled \
    -Dexamples=disabled -Dcli=disabled &&
    meson compile -C "$build" shoal-bench; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "bench: the build failed; all of it is in $log" >&2
    exit 1
fi
echo "built in $(($(date +%s) - start)) s"

case $mode in
quick) set -- --rounds 5 --seconds 0.2 --limit $((270 - ($(date +%s) - start))) "$@" ;;
full) set -- --keys 100k,1M,10M --rounds 7 --seconds 1 --workloads all "$@" ;;
esac

commit=unknown
if commit_found=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null); then
    commit=$commit_found
    [ -z "$(git -C "$root" status --porcelain -- include src bench tests/lib 2>/dev/null)" ] || commit=$commit+changes
fi

csv=$build/last.csv
status=0
"$build/bench/shoal-bench" --csv "$csv" --fact "date: $(date -u +%Y-%m-%d)" --fact "commit: $commit" \
    --fact "mode: $mode" "$@" || status=$?

if [ $save = yes ] && [ $status -eq 0 ]; then
    model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
    class=$(nproc)cpu-$(printf '%s' "${model:-$(uname -m)}" | sed 's/([A-Za-z]*)//g' | tr 'A-Z' 'a-z' |
        tr -cs 'a-z0-9' '-' | cut -c 1-40 | sed 's/-*$//')
    kept=$root/bench/results/$(date -u +%Y-%m-%d)-${BENCH_HOST_CLASS:-$class}.csv
    mkdir -p "$root/bench/results"
    cp "$csv" "$kept"
    echo "kept: bench/results/${kept##*/}"
elif [ $save = yes ]; then
    echo "bench: not kept, because a session failed; its figures: $csv" >&2
fi
exit $status
