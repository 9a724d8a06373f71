#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kill suite on six builds of the library, because they store in different orders: gcc and clang, each with
# -O0, -O2, and -O3 with link-time optimisation.
#
#   campaign.sh FOLDER SECONDS [OPTION...]
#
# Builds in FOLDER and gives each build an equal share of SECONDS; OPTIONs are those of kill, without any
# --literal --kills --shorter 20000: every instruction of every variant of every scenario but the longest.  What is
# done is kept in tests/results/kill/, a file for each build, so that the next run goes on there; a point counts
# once.  Each build appends its line to tests/results/campaigns.tsv.
#
# Leave the machine to it: each step is two switches of process, which costs whatever else runs most of its time.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
root=$(cd "$here/../.." && pwd) || exit 1
[ $# -ge 2 ] || { sed -n '5,15p' "$0"; exit 2; }
folder=$1
seconds=$2
shift 2
done_in=$root/tests/results/kill
builds="gcc:0: gcc:2: gcc:3:lto clang:0: clang:2: clang:3:lto"

if [ $# -eq 0 ]; then
    keep=yes
    set -- --literal --kills --shorter 20000
else
    keep=
fi
mkdir -p "$folder" "$done_in" || exit 1
library=$(python3 "$root/tests/results/sum.py" --library) || exit 1
[ -z "$(cd "$root" && git status --porcelain src)" ] || { echo "src/ differs from the last commit"; exit 1; }
[ -e "$done_in/library" ] || echo "$library" >"$done_in/library"
if [ "$(cat "$done_in/library")" != "$library" ]; then
    echo "$done_in counts for another library ($(cat "$done_in/library")): remove it to begin anew" >&2
    exit 1
fi

about=$(sh "$root/tests/results/about.sh") || exit 1
failed=0
for build in $builds; do
    compiler=${build%%:*}
    level=${build#*:}
    lto=${level#*:}
    level=${level%%:*}
    name=$compiler-O$level${lto:+-$lto}
    rm -rf "${folder:?}/$name"
    CC=$compiler meson setup "$folder/$name" "$root" -Dbuildtype=custom "-Doptimization=$level" -Ddebug=true \
        "-Db_lto=$([ -n "$lto" ] && echo true || echo false)" -Dcli=disabled -Dexamples=disabled \
        >"$folder/$name.log" 2>&1 && ninja -C "$folder/$name" tests/kill/kill >>"$folder/$name.log" 2>&1
    if [ $? -ne 0 ]; then
        cat "$folder/$name.log"
        exit 1
    fi
    echo "-- $name"
    "$folder/$name/tests/kill/kill" "$@" ${keep:+--done "$done_in/$name.tsv" --seconds $((seconds / 6))} |
        tee "$folder/$name.out"
    line=$(sed -n '$s/^kill: \(.*\); seed \([0-9]*\): \([0-9]*\) failures$/\2\t\1\t\3/p' "$folder/$name.out")
    [ -n "$line" ] || line="-	no last line	1"
    version=$($compiler -dumpfullversion 2>/dev/null || $compiler -dumpversion)
    printf '%s\t%s -O%s%s\tkill\t%s\n' "$about" "$compiler $version" "$level" "${lto:+ -flto}" "$line" \
        >>"$root/tests/results/campaigns.tsv"
    case $line in
    *"	0") ;;
    *) failed=1 ;;
    esac
done
cat "$done_in"/*.tsv 2>/dev/null | awk '{ n += $4 } END { print n + 0, "kill points on this library so far" }'
exit "$failed"
