# SPDX-License-Identifier: MIT
#
# What the scripts here share, which set bench and read this before anything else: the options of all of them, off "$@"
# up to the first that is none; the build; where figures are kept.

start=$(date +%s)
root=$(cd "$bench/.." && pwd)
build=${BENCH_BUILD:-$root/build-bench}

mode=normal
save=no
install=no
while [ $# -gt 0 ]; do
    case $1 in
    --quick) mode=quick ;;
    --full) mode=full ;;
    --install) install=yes ;;
    --save) save=yes ;;
    --help) sed -n '3,$ { /^#/!q; s/^# \{0,1\}//p }' "$0"; exit 0 ;;
    *) break ;;
    esac
    shift
done

# The packages of the build and of all peers, where they are missing.
bench_install() {
    sh "$root/tools/deps.sh" g++:g++ /usr/include/lmdb.h:liblmdb-dev /usr/include/boost/version.hpp:libboost-dev \
        /usr/include/tbb/concurrent_hash_map.h:libtbb-dev /usr/include/libcuckoo/cuckoohash_map.hh:libcuckoo-dev \
        /usr/include/ck_ht.h:libck-dev /usr/include/dpdk/rte_hash.h:libdpdk-dev \
        /usr/include/tkrzw_dbm_hash.h:libtkrzw-dev /usr/include/kcstashdb.h:libkyotocabinet-dev \
        /usr/include/gdbm.h:libgdbm-dev redis-server:redis-server memcached:memcached gnuplot:gnuplot-nox
}

# bench_build TARGET...
bench_build() {
    [ $install = no ] || bench_install
    # What the build itself needs; peers are optional.
    packages=
    for pair in cc:gcc meson:meson ninja:ninja-build pkg-config:pkg-config; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair#*:}"
    done
    if [ -n "$packages" ]; then
        echo "bench: missing for the build; on Debian: apt-get install$packages" >&2
        exit 1
    fi

    # Reconfigured each time, so that a package installed meanwhile is found.
    mkdir -p "$build"
    log=$build/bench-build.log
    again=
    [ -f "$build/build.ninja" ] && again=--reconfigure
    if ! { meson setup $again "$build" "$root" -Dbuildtype=release -Dbench=enabled -Dtests=disabled \
        -Dexamples=disabled -Dcli=disabled ${BENCH_OPTIONS:-} &&
        meson compile -C "$build" "$@"; } >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "bench: the build failed; all of it is in $log" >&2
        exit 1
    fi
    echo "built in $(($(date +%s) - start)) s"
}

# bench_run PROGRAM CSV OPTIONS...: a program of the build, told what its figures are of.
bench_run() {
    program=$1
    figures=$2
    shift 2
    "$build/bench/$program" --csv "$figures" --fact "date: $(date -u +%Y-%m-%d)" --fact "commit: $(bench_commit)" \
        --fact "mode: $mode" --fact "load_before: $(cut -d ' ' -f 1 /proc/loadavg)" "$@"
}

# The commit that is measured.
bench_commit() {
    commit=unknown
    if commit_found=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null); then
        commit=$commit_found
        [ -z "$(git -C "$root" status --porcelain -- include src bench tests/lib 2>/dev/null)" ] || commit=$commit+changes
    fi
    echo "$commit"
}

# bench_keep CSV [NAME]: as bench/results/<date>-<kind of machine>[-NAME].csv
bench_keep() {
    model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
    class=$(nproc)cpu-$(printf '%s' "${model:-$(uname -m)}" | sed 's/([A-Za-z]*)//g' | tr 'A-Z' 'a-z' |
        tr -cs 'a-z0-9' '-' | cut -c 1-40 | sed 's/-*$//')
    kept=$root/bench/results/$(date -u +%Y-%m-%d)-${BENCH_HOST_CLASS:-$class}${2:+-$2}.csv
    mkdir -p "$root/bench/results"
    cp "$1" "$kept"
    echo "kept: bench/results/${kept##*/}"
    [ "${2:-}" = store ] || sh "$root/bench/plot.sh" "$kept"
}
