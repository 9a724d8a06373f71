#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Which branches of the table and of the memory floor the quick suites take: clang's source-based coverage.
#
#   sh tests/coverage.sh [FOLDER]     builds there, default build-coverage; the listing of what is left out is
#                                     FOLDER/left.txt
#
# The counters are the pages of a file that is mapped shared (continuous mode), so nothing needs to be flushed
# before a kill: what a process counted is there when it is dead, whatever killed it.  Counting is a locked
# instruction, so the test that allows a get none of these is left out.  So are the whole spaces of schedules, hours for
# ways that are taken anyhow; programs that link to the shared library, because each of the two would take the file for
# its own; and the suites store and images, which call neither of the two floors.
#
# The last line is the share of branches taken; exit status 1 under 95 %.  What is left is named, with the
# reason, in tests/results/coverage.md.
set -u
cd "$(dirname "$0")/.." || exit 1
LEAST=95
folder=${1:-build-coverage}
suites="unit threads cases heap kill torture lincheck schedules fuzz tiers rebuild"

sh tools/deps.sh clang:clang llvm-cov-14:llvm-14 >/dev/null || exit 1
[ -e /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.profile-x86_64.a ] || apt-get install -y libclang-rt-14-dev >/dev/null
rm -rf "$folder"
mkdir -p "$folder/profiles" || exit 1
CC=clang meson setup "$folder/build" -Dbuildtype=plain -Dcli=enabled \
    "-Dc_args=-O1 -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation -fprofile-update=atomic" \
    -Dc_link_args=-fprofile-instr-generate >"$folder/log" 2>&1 && ninja -C "$folder/build" >>"$folder/log" 2>&1 ||
    { cat "$folder/log"; exit 1; }

chosen=
for suite in $suites; do
    chosen="$chosen --suite $suite"
done
export SCENE_SECONDS=900
# shellcheck disable=SC2086  # the suites are words
LLVM_PROFILE_FILE="$(cd "$folder" && pwd)/profiles/%c%p.profraw" \
    meson test -C "$folder/build" -t 6 --no-suite uncounted $chosen 2>&1 | grep --line-buffered -E '^ *[0-9]+/[0-9]+ ' |
    tee "$folder/tests"
if grep -qE ' (FAIL|TIMEOUT|ERROR) ' "$folder/tests"; then
    echo "a test failed: what it left out is not counted" >&2
    exit 1
fi

objects=$(find "$folder/build/tests" -type f -perm -100 ! -name '*.symbols' -exec sh -c \
    'readelf -S "$1" 2>/dev/null | grep -q __llvm_covmap' sh {} \; -print)
llvm-profdata-14 merge --failure-mode=all -o "$folder/all.profdata" "$folder"/profiles/*.profraw || exit 1
first=$(echo "$objects" | head -1)
rest=$(echo "$objects" | sed 1d | sed 's/^/-object /')
# shellcheck disable=SC2086
llvm-cov-14 export "$first" $rest -instr-profile "$folder/all.profdata" >"$folder/all.json" 2>"$folder/log" ||
    { cat "$folder/log"; exit 1; }
python3 tests/coverage_left.py "$folder/all.json" "$folder/left.txt" "$LEAST"
