#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each fuzz target for so many seconds under libFuzzer, with AddressSanitizer and UndefinedBehaviorSanitizer.  It begins
# with the committed corpus and with what earlier runs found, which is kept in a folder outside of the tree, and appends
# a line to tests/results/campaigns.tsv.  An input that fails stays in FOLDER/TARGET-found, with a command that runs it
# again.  Needs clang and its runtime (Debian: clang, libclang-rt-14-dev).
#
#   campaign.sh SECONDS [FILE]                SHOAL_FUZZ_FOLDER: where corpora grow (/var/tmp/shoal-fuzz)
#                                             SHOAL_FUZZ_TARGETS: only these
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
root=$here/../..
seconds=${1:?usage: campaign.sh SECONDS [FILE]}
file=${2:-$here/../results/campaigns.tsv}
folder=${SHOAL_FUZZ_FOLDER:-/var/tmp/shoal-fuzz}
build=$root/build-fuzz
input_max=4096

build_targets() {
    mkdir -p "$build" || exit 1
    if [ ! -f "$build/build.ninja" ]; then
        CC=clang meson setup "$build" "$root" -Db_sanitize=address,undefined -Db_lundef=false -Dlibfuzzer=true \
            -Dexamples=disabled -Doptimization=1 -Ddebug=true \
            "-Dc_args=-fsanitize=fuzzer-no-link -fno-omit-frame-pointer -fno-sanitize-recover=all" >"$build/log" ||
            { cat "$build/log"; exit 1; }
    fi
    ninja -C "$build" fuzz_targets >"$build/log" || { cat "$build/log"; exit 1; }
}

compiler() { clang --version | sed -n '1s/.*clang version \([0-9.]*\).*/clang \1 -O1, libFuzzer, ASan, UBSan/p'; }

run_target() { # NAME
    name=$1
    seed=$(date +%s)
    mkdir -p "$folder/$name" "$folder/$name-found"
    began=$(ls "$folder/$name" | wc -l)
    log=$folder/$name.log
    times >"$log.before"
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -seed="$seed" -max_len=$input_max \
        -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$folder/$name-found/" "$folder/$name" "$here/corpus/$name" >"$log" 2>&1 &
    pid=$!
    wait "$pid"
    status=$?
    times >"$log.after"
    rm -rf "/dev/shm/shoal-fuzz-$pid-"* # a target that crashed leaves them
    cpu=$(cat "$log.before" "$log.after" | tr ms '  ' | awk '
        NR == 2 || NR == 4 { used[NR] = $1 * 60 + $2 + $3 * 60 + $4 }
        END { printf "%d", used[4] - used[2] }')
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    grown=$(($(ls "$folder/$name" | wc -l) - began))
    failures=0
    if [ "$status" -ne 0 ]; then
        failures="1: $(grep -m 1 -E '^breach:|ERROR: |SUMMARY: |runtime error' "$log" | cut -c 1-150)"
        found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
        echo "failed: fuzz_$name, status $status; again: $build/tests/fuzz/fuzz_$name $found"
    fi
    counts="${executions:-0} executions of $name in $seconds s, $cpu s of a processor, $covered edges, corpus $began and $grown new"
    printf '%s\t%s\tfuzz\t%s\t%s\t%s\n' "$about" "$(compiler)" "$seed" "$counts" "$failures" >>"$file"
    echo "$counts: $failures"
    return "$status"
}

about=$(sh "$here/../results/about.sh") || exit 1
build_targets
failed=0
for name in ${SHOAL_FUZZ_TARGETS:-segment salvage store words records load}; do
    run_target "$name" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ]
