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

switches() { # PID: how often it has gone to sleep
    awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status"
}

# Until a process has gone to sleep so often after its map was there: a sleeper in shoal_wait looks by itself
# ten times a second.  What never sleeps ends at the time limit of the test.
asleep() { # PID MAP TIMES
    until [ -e "/dev/shm/$2" ]; do
        kill -0 "$1" || return 1
    done
    enough=$(($(switches "$1") + $3))
    until [ "$(switches "$1")" -ge "$enough" ]; do
        kill -0 "$1" || return 1
    done
}

meet() { # FIRST SECOND MAP
    "$1" "$3" 2000 &
    first=$!
    asleep "$first" "$3" 2 || return 1
    "$2" "$3" 2000 || return 1
    wait "$first"
}

# Ten sleeps without anything to take must cost a waiting consumer next to no processor time.
sleeps() { # MAP
    "$consumer" "$1" 1 &
    pid=$!
    asleep "$pid" "$1" 10 || return 1
    ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    "$producer" "$1" 1 || return 1
    wait "$pid" || return 1
    [ "$ticks" -le 5 ] # of the 100 in a second that ten sleeps last
}

check "the producer starts first" meet "$producer" "$consumer" "meet.$$.a"
check "the consumer starts first" meet "$consumer" "$producer" "meet.$$.b"
check "the consumer sleeps while it waits" sleeps "meet.$$.c"
for map in a b c; do
    check "nothing is left of map $map" test ! -e "/dev/shm/meet.$$.$map"
done
exit $failed
