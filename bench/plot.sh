#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Plots of a CSV of the comparison, as SVG beside it (gnuplot).
#
#   sh bench/plot.sh FILE.csv
#
#   FILE-KEYS.svg           operations a second: a panel for each workload, a pair of bars for each peer (one and two
#                           workers): medians, with lines from the slowest to the fastest round
#   FILE-KEYS-latency.svg   single calls: p50 to the longest, medians over the rounds
#   FILE-bytes.svg          bytes per entry beyond the payload
#
# Those of stalls.sh and scale.sh have plots of their own (stalls/plot.sh, scale/plot.sh).
#
# Sizes other than 16 and 100 bytes are left to the CSV.
set -eu
. "$(dirname "$0")/spread.sh"

if [ $# -ne 1 ] || [ ! -r "$1" ]; then
    sed -n '4,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
if ! command -v gnuplot >/dev/null 2>&1; then
    echo "skipped: plots (gnuplot is not here; the Debian package is gnuplot-nox)"
    exit 0
fi
csv=$1
base=${csv%.csv}
case $csv in *-stalls.csv) exec sh "$(dirname "$0")/stalls/plot.sh" "$csv" ;; esac
case $csv in *-scale.csv) exec sh "$(dirname "$0")/scale/plot.sh" "$csv" ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# series COLUMN: peer workload keys workers median min max, over the rounds, in the CSV's order.
series() {
    grep -v '^#' "$csv" | awk -F, -v want="$1" "$awk_spread"'
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["peer"] == "machine" || $at["key_bytes"] != 16 || $at["value_bytes"] != 100 || $at[want] == "" { next }
        {
            row = $at["peer"] " " $at["workload"] " " $at["keys"] " " $at["workers"]
            if (!(row in n)) order[++rows] = row
            figure[row, ++n[row]] = $at[want]
        }
        END {
            for (r = 1; r <= rows; r++) {
                row = order[r]; k = n[row]
                for (i = 1; i <= k; i++) v[i] = figure[row, i] + 0
                print row, spread(v, k)
            }
        }'
}

# bars DATA WORKLOAD KEYS UNIT: "label one min max two min max" of each peer.
bars() {
    awk -v workload="$2" -v keys="$3" -v unit="$4" '
        $2 == workload && $3 == keys && ($4 == 1 || $4 == 2) {
            if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 }
            figures[$1, $4] = $5 / unit " " $6 / unit " " $7 / unit
        }
        END {
            for (i = 1; i <= n; i++) {
                peer = order[i]
                print "\"" peer "\"", ((peer, 1) in figures) ? figures[peer, 1] : "NaN NaN NaN",
                    ((peer, 2) in figures) ? figures[peer, 2] : "NaN NaN NaN"
            }
        }' "$1"
}

panel() { # TITLE DATA
    cat <<END
set title "$1"
plot "$2" using (\$0-0.2):2:(0.38) with boxes lc rgb "#4477aa" title "1 worker", \\
     "$2" using (\$0-0.2):2:3:4 with yerrorbars lc rgb "black" pt 0 notitle, \\
     "$2" using (\$0+0.2):5:(0.38) with boxes lc rgb "#ee6677" title "2 workers", \\
     "$2" using (\$0+0.2):5:6:7 with yerrorbars lc rgb "black" pt 0 notitle, \\
     "$2" using 0:(0):xtic(1) with points pt -1 notitle
END
}

head_of() { # OUTPUT WIDTH HEIGHT
    cat <<END
set terminal svg noenhanced size $2,$3 font "sans,11" background "white"
set output "$1"
set style fill solid 0.9 noborder
set xtics rotate by -50 font "sans,9"
set yrange [0:*]
set grid ytics
END
}

throughput() { # KEYS
    workloads=$(awk -v keys="$1" '$3 == keys && !seen[$2]++ { print $2 }' "$work/ops")
    n=$(echo "$workloads" | wc -l)
    rows=$(((n + 1) / 2))
    {
        head_of "$base-$1.svg" 1300 $((rows * 330))
        echo "set multiplot layout $rows,2"
        echo 'set ylabel "million operations/s"; set key above'
        for workload in $workloads; do
            bars "$work/ops" "$workload" "$1" 1000000 >"$work/$workload-$1"
            panel "$workload, $1 keys" "$work/$workload-$1"
        done
    } >"$work/plot"
    gnuplot "$work/plot"
}

latency() { # KEYS
    : >"$work/latency"
    for point in p50 p90 p99 p99.9 p99.99 max; do
        series "${point}_ns" | sed "s/^/$point /" >>"$work/latency"
    done
    workloads=$(awk -v keys="$1" '$4 == keys && !seen[$3]++ { print $3 }' "$work/latency")
    [ -n "$workloads" ] || return 0
    n=$(echo "$workloads" | wc -l)
    {
        head_of "$base-$1-latency.svg" 1300 $((n * 420))
        echo "set multiplot layout $n,2"
        echo 'set logscale y; set yrange [*:*]; set ylabel "ns"; set key outside right; set xtics norotate'
        echo 'set xtics ("p50" 0, "p90" 1, "p99" 2, "p99.9" 3, "p99.99" 4, "max" 5)'
        for workload in $workloads; do
            for workers in 1 2; do
                lines=
                for peer in $(awk -v w="$workload" -v keys="$1" -v k=$workers \
                    '$3 == w && $4 == keys && $5 == k && !seen[$2]++ { print $2 }' "$work/latency"); do
                    data=$work/$workload-$1-$workers-$peer
                    awk -v p="$peer" -v w="$workload" -v keys="$1" -v k=$workers \
                        '$2 == p && $3 == w && $4 == keys && $5 == k { print $6 }' "$work/latency" >"$data"
                    lines="$lines${lines:+, }\"$data\" using 0:1 with linespoints title \"$peer\""
                done
                [ -n "$lines" ] || continue
                echo "set title \"$workload, $1 keys, $workers worker(s)\""
                echo "plot $lines"
            done
        done
    } >"$work/plot"
    gnuplot "$work/plot"
}

series ops_per_s >"$work/ops"
series bytes_per_entry >"$work/bytes"
for keys in $(awk '!seen[$3]++ { print $3 }' "$work/ops"); do
    throughput "$keys"
    latency "$keys"
done
{
    n=$(awk '!seen[$3]++' "$work/bytes" | wc -l)
    head_of "$base-bytes.svg" 900 $((n * 330))
    echo "set multiplot layout $n,1"
    echo 'set ylabel "bytes per entry"; set yrange [*:*]'
    for keys in $(awk '!seen[$3]++ { print $3 }' "$work/bytes"); do
        bars "$work/bytes" bytes_per_entry "$keys" 1 >"$work/bytes-$keys"
        panel "$keys keys" "$work/bytes-$keys"
    done
} >"$work/plot"
gnuplot "$work/plot"
ls "$base"*.svg
