#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The table and the picture for people: up to 700 kills and as many stops in each operation of every system that
# the build has; an operation that has no more instructions is covered whole.  Takes some five minutes on two
# processors; with --long, all instructions of all operations, more than half an hour.
#
#   sh tests/baselines/table.sh BUILD [options of baselines instead of --points 700 --seed 1]
#
# Writes tests/results/baselines.tsv, tests/results/baselines.md and docs/baselines.svg.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
[ $# -gt 0 ] || set -- --points 700 --seed 1

results=tests/results/baselines.tsv
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain -- include src tests/baselines tests/lib)" ] || commit="$commit and changes"
system=$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)
kernel=$(uname -r | sed 's/[^0-9.].*//')

"$build/tests/baselines/baselines" "$@" --tsv "$rows"
{
    echo "# date: $(date -u +%Y-%m-%d)"
    echo "# commit: $commit"
    echo "# machine: $(nproc) processors, $(uname -m), Linux $kernel, $system"
    echo "# compiler: $(cc --version | sed -n 1p)"
    echo "# command: baselines $*"
    cat "$rows"
} >"$results"
python3 tests/baselines/report.py "$results"
