#!/bin/sh
# SPDX-License-Identifier: MIT
#
# producer and consumer meet by name, whichever starts first, and sleep while they wait.
#   test_meet.sh PRODUCER CONSUMER
set -eu
producer=$1 consumer=$2
failed=0

check() { # WHAT, then a command
    what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; failed=1; fi
}

meet() { # FIRST SECOND MAP
    "$1" "$3" 2000 &
    first=$!
    sleep 0.2
    "$2" "$3" 2000 || return 1
    wait "$first"
}

# A second without anything to take must cost a waiting consumer next to no processor time.
sleeps() { # MAP
    "$consumer" "$1" 1 &
    pid=$!
    sleep 1
    ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    "$producer" "$1" 1 || return 1
    wait "$pid" || return 1
    [ "$ticks" -le 5 ] # of 100 in a second
}

check "the producer starts first" meet "$producer" "$consumer" "meet.$$.a"
check "the consumer starts first" meet "$consumer" "$producer" "meet.$$.b"
check "the consumer sleeps while it waits" sleeps "meet.$$.c"
for map in a b c; do
    check "nothing is left of map $map" test ! -e "/dev/shm/meet.$$.$map"
done
exit $failed
