#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A third judge: Porcupine, on the same histories that lincheck judged.
#
#   porcupine.sh LINCHECK N [VERDICTS]     N histories; VERDICTS keeps a line for each (tests/results)
#
# Needs go and, once, a module proxy; without them it prints `skipped: porcupine (why)`.
set -u
lincheck=$1
n=$2
here=$(cd "$(dirname "$0")/porcupine" && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
verdicts=$folder/verdicts

skip() {
    echo "skipped: porcupine ($1)"
    exit 77
}

command -v go >/dev/null 2>&1 || skip "no go here"
(cd "$here" && GOFLAGS=-mod=mod timeout 120 go mod download) >"$folder/log" 2>&1 || skip "the module cannot be fetched"
(cd "$here" && go build -mod=readonly -o "$folder/porcupine" .) || exit 1

"$lincheck" --samples "$n" "$folder/samples" >"$folder/said" || {
    cat "$folder/said"
    exit 1
}
{
    echo "# $(tail -n 1 "$folder/said")"
    echo "# $(awk '$1 == "require" { print $2, $3 }' "$here/go.mod")"
    printf 'number\twas\toperations\tprocesses\toverlapping\tpending\tsha256\tlincheck\tporcupine\n'
    "$folder/porcupine" "$folder/samples"
} >"$verdicts" || exit 1
[ $# -lt 3 ] || cp "$verdicts" "$3"

tail -n 1 "$folder/said"
awk -F '\t' -v n="$n" '
    /^[0-9]/ {
        judged++; operations += $3; pending += $6; ok += $9 == "ok"; bad += $9 == "bad"
        if ($8 != $9) { wrong++; print "not ok - history " $1 " (" $2 "): lincheck " $8 ", porcupine " $9 }
        if (($2 == "-") != ($9 == "ok")) { wrong++; print "not ok - history " $1 " (" $2 "): " $9 }
    }
    END {
        printf "porcupine: %d histories, %d operations, %d pending, %d linearizable, %d not; %d disagreements\n",
            judged, operations, pending, ok, bad, wrong
        exit wrong || judged < n
    }' "$verdicts"
