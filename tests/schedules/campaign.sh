#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whole spaces at a preemption bound, one scenario after the other, in portions.  Each portion appends its line to
# tests/results/campaigns.tsv and leaves its place in STATES, so that an interrupted campaign goes on where it was;
# a scenario whose space is whole leaves STATES/NAME.whole and is not begun again.
#
#   campaign.sh SCHEDULES STATES ROUNDS [BOUND [NAME ...]]
#
# ROUNDS: portions of each scenario.  BOUND: 3 where not given.  NAME: all where not given.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
schedules=$1
states=$2
rounds=$3
bound=${4:-3}
[ $# -lt 4 ] && shift 3 || shift 4
portion=1000000
file=$here/../results/campaigns.tsv
about=$(sh "$here/../results/about.sh") || exit 1

mkdir -p "$states" || exit 1
names=${*:-$("$schedules" --list | cut -d ' ' -f 1)}
for name in $names; do
    state=$states/$name.$bound
    round=0
    while [ "$round" -lt "$rounds" ] && [ ! -e "$state.whole" ]; do
        "$schedules" --scenario "$name" --bound "$bound" --executions "$portion" --state "$state" \
            --append "$file" --about "$about" > "$state.out" || { cat "$state.out"; exit 1; }
        if grep -q 'the whole space' "$state.out"; then
            mv "$state.out" "$state.whole"
        fi
        round=$((round + 1))
    done
    echo "$name: $([ -e "$state.whole" ] && grep '^    all' "$state.whole" || grep '^    all' "$state.out")"
done
