#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Shoal's main job, from a fresh clone: sh examples/quickstart.sh
#
# Installs what the build needs, builds, and counts the words of the text that this machine has
# (/usr/share/common-licenses, /usr/share/doc) in one map: a pool of workers does a shoal_incr for each
# word, while a bystander on the same map is SIGKILLed at least 100 times.  A separate program then
# opens the map by name and reads it, and the counts must equal those of sort | uniq -c to the byte.
#   BUILD   build folder, default build          KILLS, WORKERS   for examples/wordcount
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
map=quickstart.$$
work=$(mktemp -d "${TMPDIR:-/tmp}/shoal-quickstart.XXXXXX")

fail() {
    echo "quickstart: FAILED: $*" >&2
    exit 1
}
clean_up() {
    if [ -x "$build/src/cli/shoal" ]; then
        "$build/src/cli/shoal" rm "$map" >/dev/null 2>&1 || :
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# 1. What the build needs
sh tools/deps.sh

# 2. Build
if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "meson setup $build"; }
fi
ninja -C "$build" src/cli/shoal examples/wordcount examples/wordcount_bystander examples/wordcount_top \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "ninja -C $build"; }
echo "built       $build: the library, the shoal program and examples/wordcount"

# 3. The text: every file, unpacked where compressed; a newline between two files
unpack() {
    # shellcheck disable=SC2016  # expanded by the inner sh
    find /usr/share/common-licenses /usr/share/doc -type f -exec sh -c '
        unpacked_by() { # PROGRAM FILE; "x" and "-" are counted later
            if command -v "$1" >/dev/null 2>&1; then "$1" -dcf <"$2"; echo x >&3; else echo - >&3; fi
        }
        for file do
            case $file in
            *.gz | *.tgz | *.Z) unpacked_by gzip "$file" ;;
            *.bz2) unpacked_by bzip2 "$file" ;;
            *.xz | *.lzma) unpacked_by xz "$file" ;;
            *.zst) unpacked_by zstd "$file" ;;
            *) cat <"$file"; echo f >&3 ;;
            esac
            echo
        done' sh {} +
}
unpack >"$work/text" 3>"$work/files" 2>"$work/log" || :
tally() { grep -c "$1" "$work/files" || :; }
unpacked=$(tally x) left_out=$(tally -)
echo "text        $(($(tally f) + unpacked)) files under /usr/share/common-licenses and /usr/share/doc," \
    "$unpacked of them unpacked: $(wc -c <"$work/text") bytes"
[ "$left_out" -eq 0 ] || echo "            $left_out compressed files left out: no program here unpacks them"
[ ! -s "$work/log" ] || echo "            $(wc -l <"$work/log") complaints while reading, the first: $(head -n 1 "$work/log")"

# 4. What the counts must be (a key has at most 65535 bytes: of a longer run each 65535 letters are a word)
LC_ALL=C
export LC_ALL
tr -cs 'A-Za-z' '\n' <"$work/text" | tr 'A-Z' 'a-z' | sed '/^$/d' | fold -b -w 65535 |
    sort -T "$work" | uniq -c >"$work/expected"
words=$(awk '{ n += $1 } END { printf "%d", n }' "$work/expected")
different=$(wc -l <"$work/expected")
[ "$words" -gt 0 ] || fail "no words: /usr/share/common-licenses and /usr/share/doc hold no text"
echo "words       $words, $different different, by sort | uniq -c"

# 5. The count
# shellcheck disable=SC2086  # WORKERS may be absent
"$build/examples/wordcount" "$map" "$work/text" "$different" "${KILLS:-100}" ${WORKERS:-} ||
    fail "the count"

# 6. Another program, by name
echo
"$build/examples/wordcount_top" "$map" || fail "reading the map"
"$build/examples/wordcount_top" "$map" --all >"$work/counts" || fail "reading the map"
cmp "$work/expected" "$work/counts" || fail "the counts differ from those of sort | uniq -c"
echo "equal       all $different counts, $words words: the same bytes as sort | uniq -c"

# 7. And on
cat <<END

Go on:
  $build/src/cli/shoal create jobs --capacity 1M       a map of your own ...
  $build/src/cli/shoal put jobs colour blue            ... that every program here can open by its name
  $build/src/cli/shoal get jobs colour; $build/src/cli/shoal --help
  examples/hello.c                                     the same from C; beside it one idea a file
  README.md                                            guarantees, limits, figures
END
