#!/bin/sh
# SPDX-License-Identifier: MIT
#
# FILE-scale.svg: a panel for each part: medians over the rounds, with lines from the least to the most.  Called by
# bench/plot.sh.
set -eu
. "$(dirname "$0")/../spread.sh"

csv=$1
svg=${csv%.csv}.svg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# part metric x median least most
grep -v '^#' "$csv" | awk -F, "$awk_spread"'
    NR == 1 { next }
    {
        row = $1 " " $3 " " $2
        if (!(row in n)) order[++rows] = row
        figure[row, ++n[row]] = $5
    }
    END {
        for (r = 1; r <= rows; r++) {
            row = order[r]; k = n[row]
            for (i = 1; i <= k; i++) v[i] = figure[row, i] + 0
            print row, spread(v, k)
        }
    }' >"$work/all"

panel() { # PART TITLE UNIT METRIC...
    part=$1
    echo "set title \"$2\"; set ylabel \"$3\""
    shift 3
    lines=
    for metric in "$@"; do
        data=$work/$part-$metric
        awk -v p="$part" -v m="$metric" '$1 == p && $2 == m { print $3, $4, $5, $6 }' "$work/all" >"$data"
        [ -s "$data" ] || continue
        lines="$lines${lines:+, }\"$data\" using 1:2:3:4 with yerrorlines title \"$metric\""
    done
    if [ -n "$lines" ]; then echo "plot $lines"; else echo "set multiplot next"; fi
}

{
    cat <<END
set terminal svg noenhanced size 1300,1300 font "sans,11" background "white"
set output "$svg"
set grid
set yrange [0:*]
set key top left
set multiplot layout 3,2
set logscale x
END
    panel keys "calls by number of keys" ns get_hit_ns get_miss_ns put_ns insert_ns
    echo 'set yrange [1:*]; set logscale y; set key top right'
    panel keys "memory beyond keys and values" "bytes an entry" bytes_per_entry
    echo 'unset logscale; set yrange [0:*]'
    panel load "calls by keys over capacity" ns get_hit_ns get_miss_ns put_ns insert_ns
    # The axis has no 0: "before" stands a decade before the first.
    awk '$1 == "churn" && $3 == 0 { $3 = least / 10 } { print }' \
        least="$(awk '$1 == "churn" && $3 > 0 && (!m || $3 < m) { m = $3 } END { print m + 0 }' "$work/all")" \
        "$work/all" >"$work/moved" && mv "$work/moved" "$work/all"
    echo 'set logscale x'
    panel churn "calls by churn calls before (leftmost: none)" ns get_hit_ns get_miss_ns put_ns churn_ns
    echo 'set logscale x 2'
    panel processes "all processes together" "million calls a second" get_hit_million_per_s put_million_per_s
    echo 'unset logscale x; set xrange [-0.5:5.5]; set style fill solid 0.9 noborder; set boxwidth 0.6'
    echo 'set xtics rotate by -20 font "sans,9"; set title "from fork to the first calls of 64 children"; set ylabel "us"'
    awk '$1 == "fork" { print "\"" $2 "\"", $4, $5, $6 }' "$work/all" >"$work/fork"
    if [ -s "$work/fork" ]; then
        echo "plot \"$work/fork\" using 0:2:xtic(1) with boxes lc rgb \"#4477aa\" notitle, \\"
        echo "     \"$work/fork\" using 0:2:3:4 with yerrorbars lc rgb \"black\" pt 0 notitle"
    fi
} >"$work/plot"
gnuplot "$work/plot"
ls "$svg"
