#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The table and the picture for people: kills and stops before every instruction of every operation, of every
# system that the build has.  Takes some ten minutes on two processors.
#
#   sh tests/baselines/table.sh BUILD [options of baselines instead of --long --seed 1]
#
# Writes tests/results/baselines.tsv, tests/results/baselines.md and docs/baselines.svg.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
[ $# -gt 0 ] || set -- --long --seed 1

results=tests/results/baselines.tsv
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
changes=$(git status --porcelain -- include src tests/baselines tests/lib)
"$build/tests/baselines/baselines" "$@" --tsv "$rows"
{
    echo "# date: $(date -u +%Y-%m-%d)"
    echo "# commit: $(git rev-parse --short=12 HEAD)${changes:+ and changes}"
    echo "# machine: $(nproc) processors, $(uname -m), Linux $(uname -r | sed 's/[^0-9.].*//'), $(. /etc/os-release && echo "$PRETTY_NAME")"
    echo "# compiler: $(cc --version | sed -n 1p)"
    echo "# command: baselines $*"
    cat "$rows"
} >"$results"
python3 tests/baselines/report.py "$results"
