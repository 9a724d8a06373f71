#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wordcount on small nasty texts, held against sort | uniq -c.
#   test_wordcount.sh WORDCOUNT WORDCOUNT_TOP
set -eu
wordcount=$1 top=$2
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
map=$work/map
trap 'rm -rf "$work"' EXIT
failed=0

count() { # WHAT KILLS WORKERS; the text is in $work/text
    tr -cs 'A-Za-z' '\n' <"$work/text" | tr 'A-Z' 'a-z' | sed '/^$/d' | fold -b -w 65535 | sort | uniq -c >"$work/expected"
    rm -f "$map"
    if "$wordcount" "$map" "$work/text" "$(wc -l <"$work/expected")" "$2" "$3" >"$work/log" 2>&1 &&
        "$top" "$map" >>"$work/log" 2>&1 && "$top" "$map" --all >"$work/counts" &&
        cmp "$work/expected" "$work/counts"; then
        echo "ok - $1"
    else
        cat "$work/log"
        echo "not ok - $1"
        failed=1
    fi
}

printf 'One fish two fish\nred Fish BLUE fish' >"$work/text"
count "a few words" 5 2
printf '%s' x >"$work/text"
count "one letter" 1 2
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "%c", 97 + i % 3; print " tail" }' >"$work/text"
count "a run of letters longer than a key, over many chunks" 3 4
awk 'BEGIN { srand(7); for (i = 0; i < 100000; i++) printf "%c%c%s", 97 + int(rand() * 26), 65 + int(rand() * 26), i % 5 ? "" : "\n" }' >"$work/text"
count "words over chunk borders" 5 4
head -c 300000 /dev/urandom >"$work/text"
count "bytes that are no text" 3 3
exit $failed
