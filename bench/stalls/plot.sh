#!/bin/sh
# SPDX-License-Identifier: MIT
#
# FILE-stalls.svg: the longest call of the survivor by peer, undisturbed and disturbed, for gets and puts: medians, with lines
# from the least to the most round.  Called by bench/plot.sh.
set -eu
. "$(dirname "$0")/../spread.sh"

csv=$1
svg=${csv%.csv}.svg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "peer" and median, least, most of each disturbance, in us; then how many rounds ended blocked.
rows() { # CALL
    grep -v '^#' "$csv" | awk -F, -v call="$1" "$awk_spread"'
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["call"] == call {
            peer = $at["peer"]; row = peer SUBSEP $at["disturbance"]
            if (!(peer in seen)) { seen[peer] = 1; order[++peers] = peer }
            figure[row, ++n[row]] = $at["max_ns"] / 1000
            blocked[row] += $at["blocked"]
        }
        END {
            split("calm kill stop", hows, " ")
            for (p = 1; p <= peers; p++) {
                line = "\"" order[p] "\""
                for (h = 1; h <= 3; h++) {
                    row = order[p] SUBSEP hows[h]; k = n[row]
                    for (i = 1; i <= k; i++) v[i] = figure[row, i]
                    line = line " " spread(v, k)
                    line = line " \"" (blocked[row] ? "blocked " blocked[row] "/" k : "") "\""
                }
                print line
            }
        }'
}

bars() { # DATA COLUMN PLACE COLOUR TITLE
    cat <<END
"$1" using (\$0+$3):$2:(0.26) with boxes lc rgb "$4" title "$5", \\
     "$1" using (\$0+$3):$2:$(($2 + 1)):$(($2 + 2)) with yerrorbars lc rgb "black" pt 0 notitle, \\
     "$1" using (\$0+$3):$2:$(($2 + 3)) with labels rotate by 90 left offset 0,0.5 font "sans,8" notitle, \\
END
}

panel() { # CALL
    rows "$1" >"$work/$1"
    echo "set title \"the longest $1 of one process, microseconds\""
    printf 'plot '
    bars "$work/$1" 2 -0.28 "#4477aa" "undisturbed"
    bars "$work/$1" 6 0 "#ee6677" "others are killed"
    bars "$work/$1" 10 0.28 "#ccbb44" "others are stopped"
    echo "     \"$work/$1\" using 0:(1):xtic(1) with points pt -1 notitle"
}

{
    cat <<END
set terminal svg noenhanced size 1000,900 font "sans,11" background "white"
set output "$svg"
set style fill solid 0.9 noborder
set xtics rotate by -30 font "sans,9"
set logscale y
set yrange [1:200000000]
set ylabel "us"
set grid ytics
set key outside top center horizontal
set multiplot layout 2,1
END
    panel get
    panel put
} >"$work/plot"
gnuplot "$work/plot"
ls "$svg"
