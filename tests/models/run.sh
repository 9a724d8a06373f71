#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Verify the protocol models, and that each broken variant of them fails.
#
#     run.sh [--long] [MODEL...]       MODEL: slot, read, count, reap, span, wait, dirty, whole, move, store, tier; none = all but the last two
#
#   ok model NAME (CONFIGURATION): N states
#   ok broken variant NAME -DBROKEN_X is caught
#
# Exit status 0: all as expected; 1: not; 77: skipped, a tool is missing.
# The short run takes about 1 GB, and two minutes on two free cores; --long adds configurations of up to
# 10 GB and takes about 40 minutes.  JOBS (default 2) run at once.  CC is the compiler.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
jobs=${JOBS:-2}
long=no
[ "${1:-}" = --long ] && { long=yes; shift; }
models="slot read count reap span wait dirty whole move" # store and tier take minutes: by their names, or by --long
[ $long = yes ] && models="$models store tier"
models=${*:-$models}

for tool in spin "$cc"; do
    command -v "$tool" > /dev/null || { echo "skipped: models ($tool is not installed)"; exit 77; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# pan_run DIR MODEL MODE PAN_FLAGS DEFINES...   MODE: safety, or progress (no cycle without progress, unfair)
pan_run()
{
    local dir=$1 model=$2 mode=$3 flags=$4 define=-DSAFETY search=
    shift 4
    [ "$mode" = progress ] && { define=-DNP; search=-l; }
    mkdir -p "$dir" && cp "$here/$model.pml" "$dir" && cd "$dir" || return 1
    spin -a "$@" "$model.pml" > spin.out 2>&1 && ! grep -q Error spin.out || { cat spin.out; return 1; }
    # shellcheck disable=SC2086
    "$cc" -w $define -DCOLLAPSE -DVECTORSZ=1024 $flags -o pan pan.c > cc.out 2>&1 || { cat cc.out; return 1; }
    # -E: a dead or stopped process is not a deadlock
    ./pan -E -m1000000 $search > pan.out 2>&1
}

# passes MODEL MODE MEGABYTES DEFINES...
passes()
{
    local model=$1 mode=$2 megabytes=$3 dir name states
    shift 3
    dir=$(mktemp -d "$work/XXXXXX")
    name="$model"
    [ "$mode" = progress ] && name="$model, progress"
    [ $# -gt 0 ] && name="$name ($*)"
    if pan_run "$dir" "$model" "$mode" "-O2 -DMEMLIM=$megabytes" "$@" > "$dir.out" 2>&1 &&
        grep -q 'errors: 0$' "$dir/pan.out" && ! grep -q 'not completed\|max search depth' "$dir/pan.out"; then
        states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$dir/pan.out")
        [ "${states#*e}" != "$states" ] && states=$(printf '%.0f' "$states")
        echo "ok model $name: $states states"
    else
        echo "not ok model $name"
        cat "$dir.out"
        grep -h '^pan:\|errors:' "$dir/pan.out"
        : > "$work/failed"
    fi
    rm -rf "$dir" "$dir.out"
}

# fails MODEL MODE DEFINES...   the broken variant is the first of them
fails()
{
    local model=$1 mode=$2 dir want='assertion violated'
    shift 2
    dir=$(mktemp -d "$work/XXXXXX")
    [ "$mode" = progress ] && want='non-progress cycle'
    if grep -qw "${1#-D}" "$here/$model.pml" &&
        pan_run "$dir" "$model" "$mode" "-O0 -DMEMLIM=1800" "$@" > "$dir.out" 2>&1; grep -q "^pan:1: $want" "$dir/pan.out"; then
        echo "ok broken variant $model $1 is caught"
    else
        echo "not ok broken variant $model $* is not caught"
        cat "$dir.out"
        grep -h '^pan:\|errors:' "$dir/pan.out"
        : > "$work/failed"
    fi
    rm -rf "$dir" "$dir.out"
}

list()
{
    grep -v '^ *\(#\|$\)' <<'LIST'
# what  model mode     [MB]  defines
passes slot  safety   1800  -DN_OPS=2 -DKEY2 -DGETS
passes slot  safety   1800  -DNP=3
passes slot  safety   1800  -DREAPERS=1 -DKEY2 -DPUTS -DNS=4
passes slot  safety   1800  -DREAPERS=2 -DPUTS
passes slot  progress 1800  -DLOOP
passes read  safety   1800  -DWRITERS=1
passes read  safety   1800  -DCUTTERS=0 -DRECORDS=5
passes count safety   1800
passes count safety   1800  -DWORKERS=3 -DW1=PUT -DW2=DEL -DW3=SWEEP
passes reap  safety   1800  -DUSERS=3 -DREAPERS=2 -DSWEEPERS=0
passes reap  safety   1800  -DUSERS=3
passes span  safety   1800
passes span  safety   1800  -DNO_JOIN
passes wait  safety   1800
passes dirty safety   1800  -DWRITES=1 -DSYNCS=1
passes dirty safety   1800  -DWRITERS=1
passes move  safety   1800  -DRECORDS=6 -DMOVERS=0
passes move  safety   1800  -DRECORDS=6 -DMOVERS=0 -DHOLDS=0 -DOTHER
passes move  safety   1800  -DRECORDS=6 -DW1=PUT -DW2=DEL -DHOLDS=0 -DGETS=0
passes whole safety   1800  -DUSERS=2
passes whole safety   1800  -DDEATHS=0
passes whole safety   1800  -DUSERS=2 -DDEATHS=0 -DROUNDS=2 -DFAILURES=1
passes store safety   1800  -DNO_READER -DTRANSACTIONS=3
passes store safety   1800  -DPIN -DNO_READER -DTRANSACTIONS=3 -DKILLS=0 -DPOWERS=0 -DPAGES=4
passes tier  safety   1800  -DTWO_KEYS
passes tier  safety   1800  -DDEATHS=1
passes tier  safety   1800  -DCOPIERS=2 -DW1=PUT -DW2=DEL
passes tier  safety   1800  -DBATCH
passes tier  safety   1800  -DROOT_WORD
passes tier  safety   1800  -DEVACUATION=1 -DW1=DEL+16*ADD -DW2=GET
passes tier  safety   1800  -DSPILL_AFTER_PUBLISH
passes tier  safety   1800  -DSTORE_BEFORE_SPILL
passes tier  safety   1800  -DLIKE_OTHERS
passes tier  progress 1800  -DLOOP -DW1=ADD -DW2=DEL
fails  whole safety   -DBROKEN_NO_HEADER_FLUSH
fails  whole safety   -DBROKEN_KNOWN_AT_ONCE
fails  whole safety   -DBROKEN_NO_COUNT
fails  whole safety   -DBROKEN_NO_LOOK
fails  whole safety   -DBROKEN_LOOK_FIRST
fails  whole safety   -DBROKEN_ADVANCE_FIRST
fails  whole safety   -DBROKEN_WRITE_FIRST
fails  whole safety   -DBROKEN_LIFE_LATE -DUSERS=2 -DDEATHS=0
fails  whole safety   -DBROKEN_NO_FLUSH
fails  whole safety   -DBROKEN_FAILED_FORGOTTEN -DUSERS=2 -DDEATHS=0 -DROUNDS=2 -DFAILURES=1
fails  slot  safety   -DBROKEN_SCAN_BEFORE_RAISE
fails  slot  safety   -DBROKEN_IGNORE_RIVALS
fails  slot  safety   -DBROKEN_NO_OWN_WORD
fails  slot  safety   -DBROKEN_ABRT_AS_COMMITTED
fails  slot  safety   -DBROKEN_FREE_AS_ABORTED
fails  slot  safety   -DBROKEN_RAISE_KEEPS_SCAN -DN_OPS=2
fails  slot  safety   -DBROKEN_LOWER_WITHOUT_SCAN -DN_OPS=2
fails  slot  safety   -DBROKEN_CLEAR_WITHOUT_SCAN -DN_OPS=2
fails  slot  safety   -DBROKEN_HELPER_SKIPS_RAISE -DN_OPS=2
fails  slot  safety   -DBROKEN_SUMMARY_AFTER_COMMIT -DN_OPS=2
fails  slot  safety   -DBROKEN_NO_VERSION -DFOREIGN -DKEY2 -DW1=ADD1+8*DEL1 -DW2=ADD1+8*ADD2+64*DEL1
fails  slot  safety   -DBROKEN_NO_HAZARD -DNP=3 -DW1=ADD1+8*DEL1+64*ADD1 -DW2=ADD1 -DW3=DEL1
fails  slot  safety   -DBROKEN_REAPER_FREES_TENT -DREAPERS=1
fails  slot  progress -DBROKEN_BOTH_KILL -DLOOP
fails  slot  progress -DBROKEN_BOTH_BACK_OFF -DLOOP
fails  slot  progress -DBROKEN_HIGHEST_WINS -DLOOP -DNP=3
fails  read  safety   -DBROKEN_NO_LOOK_WHILE_OWNED
fails  read  safety   -DBROKEN_NO_SECOND_SLOT
fails  read  safety   -DBROKEN_NO_SECOND_GENERATION
fails  read  safety   -DBROKEN_NO_SECOND_SPAN
fails  read  safety   -DBROKEN_GENERATION_BEFORE_SLOT
fails  count safety   -DBROKEN_NO_HELP
fails  count safety   -DBROKEN_SWEEPER_DOES_NOT_HELP
fails  count safety   -DBROKEN_HELPER_DOES_NOT_COMPARE
fails  count safety   -DBROKEN_NO_SEQ
fails  count safety   -DBROKEN_LATE_PENDING
fails  count safety   -DBROKEN_EARLY_CLEAR
fails  count safety   -DBROKEN_SETTLER_ALWAYS_ADDS
fails  count safety   -DBROKEN_SETTLER_GIVES_UP
fails  count safety   -DBROKEN_SLOT_BEFORE_H
fails  count safety   -DBROKEN_SLOT_BEFORE_DEATH_TEST
fails  reap  safety   -DBROKEN_ATTACH_WITHOUT_REAP
fails  reap  safety   -DBROKEN_ATTACH_DOES_NOT_SETTLE
fails  reap  safety   -DBROKEN_REAPER_WITHOUT_LOCK
fails  reap  safety   -DBROKEN_NO_SECOND_LOOK
fails  reap  safety   -DBROKEN_NO_MARK
fails  reap  safety   -DBROKEN_MARK_AFTER_LIFE
fails  reap  safety   -DBROKEN_MARK_UNASKED
fails  reap  safety   -DBROKEN_UNMARK_BEFORE_SETTLING
fails  reap  safety   -DBROKEN_NO_UNMARK
fails  reap  safety   -DBROKEN_FAILURE_CLEARS
fails  reap  safety   -DBROKEN_REAPER_TRUSTS_LIFE
fails  reap  safety   -DBROKEN_REAPER_LOOKS_EARLY
fails  reap  safety   -DBROKEN_REAPER_ASKS_REAP
fails  reap  safety   -DBROKEN_BUSY_IS_DECIDED
fails  reap  safety   -DBROKEN_NAMED_AFTER_CAS
fails  reap  safety   -DBROKEN_NAME_DROPPED
fails  reap  safety   -DBROKEN_DEATH_BEFORE_H
fails  reap  safety   -DBROKEN_CAS_WITHOUT_GENERATION
fails  reap  safety   -DBROKEN_PID_LIVENESS
fails  span  safety   -DBROKEN_SCAN_IN_DRAIN
fails  span  safety   -DBROKEN_SEALS_BEFORE_HAZARDS
fails  span  safety   -DBROKEN_NO_HAZARD_SCAN
fails  span  safety   -DBROKEN_TAKER_TRUSTS_HINT
fails  span  safety   -DBROKEN_DRAINER_TRUSTS_WORD
fails  span  safety   -DBROKEN_FREE_UNGUARDED
fails  span  safety   -DBROKEN_REUSE_TRUSTS_WORD
fails  span  safety   -DBROKEN_UNSEAL_UNGUARDED
fails  span  safety   -DBROKEN_CALL_OFF_RESTORES_WORD
fails  wait  safety   -DBROKEN_SEQ_AFTER_BIT -DDEATHS=0
fails  wait  safety   -DBROKEN_SEQ_AFTER_REREAD -DDEATHS=0
fails  wait  safety   -DBROKEN_BIT_AFTER_REREAD -DDEATHS=0
fails  wait  safety   -DBROKEN_BIT_SET_ONCE -DDEATHS=0
fails  wait  safety   -DBROKEN_MASK_BEFORE_SWING -DDEATHS=0 -DWRITES=1
fails  wait  safety   -DBROKEN_SEQ_BEFORE_CLEAR -DDEATHS=0
fails  wait  safety   -DBROKEN_NO_SEQ -DDEATHS=0
fails  wait  safety   -DBROKEN_NO_CLEAR_NO_SEQ -DDEATHS=0
fails  wait  safety   -DBROKEN_WAKE_BEFORE_SEQ -DDEATHS=0
fails  dirty safety   -DBROKEN_NOBODY_ASKED -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_ASKED_LATE -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_NO_SYNCING -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_TAKEN_AWAY_LATE -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_DONE_BEFORE_PUBLISH -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_COMMITS_WHAT_IS_NEW -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_BIT_BEFORE_CHANGE -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_HAZARD_DROPPED_FIRST -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_SETTLER_DROPS_FIRST -DWRITES=1 -DSYNCS=1
fails  dirty safety   -DBROKEN_SETTLER_SAYS_NOTHING -DWRITES=1 -DSYNCS=1
fails  move  safety   -DBROKEN_COPY_IS_NOT_CHECKED -DRECORDS=6 -DGETS=0 -DW1=NONE -DW2=DEL
fails  move  safety   -DBROKEN_COMMIT_WITHOUT_LOOK -DRECORDS=6 -DGETS=0 -DHOLDS=0 -DMOVERS=0
fails  move  safety   -DBROKEN_BOUND_BEFORE_SWITCH -DRECORDS=6 -DGETS=0 -DHOLDS=0 -DMOVERS=0 -DOTHER
fails  move  safety   -DBROKEN_TENT_IS_LEFT -DRECORDS=6 -DGETS=0 -DHOLDS=0 -DMOVERS=0
fails  move  safety   -DBROKEN_COPY_WITHOUT_SEAL -DRECORDS=6 -DGETS=0 -DMOVERS=0
fails  move  safety   -DBROKEN_ABORTED_IS_MOVED -DRECORDS=6 -DGETS=0 -DW1=NONE
fails  move  safety   -DBROKEN_ABSENT_WITHOUT_LOOK -DRECORDS=6 -DGETS=0 -DMOVERS=0 -DW1=DEL
fails  move  safety   -DBROKEN_WRITE_WITHOUT_MOVE -DRECORDS=6 -DGETS=0 -DMOVERS=0
fails  move  safety   -DBROKEN_GET_ABSENT_WITHOUT_LOOK -DRECORDS=6 -DGETS=2 -DMOVERS=0 -DW1=NONE
fails  move  safety   -DBROKEN_NEW_IS_READ_ONCE -DRECORDS=6 -DW1=NONE -DW2=NONE
fails  store safety   -DBROKEN_TRUSTS_UNFLUSHED -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_HELD_IS_FREE -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_NEW_FOR_EVER -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_AT_ONCE -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_NO_TAKE_OVER -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_TAKE_OVER_WITHOUT_FLUSH -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_NO_FIRST_FLUSH -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_OVER_DURABLE -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_OVER_ROOT -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_ROOT_FIRST -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_ROOT_BEFORE_DURABLE -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_ACK_EARLY -DNO_READER -DTRANSACTIONS=3
fails  store safety   -DBROKEN_RELEASE_BY_DURABLE -DPIN -DNO_READER -DTRANSACTIONS=3 -DKILLS=0 -DPOWERS=0 -DPAGES=4
fails  store safety   -DBROKEN_NEW_BY_PIN -DPIN -DNO_READER -DTRANSACTIONS=3 -DKILLS=0 -DPAGES=4
fails  store safety   -DBROKEN_PINNED_IS_FREE -DPIN -DNO_READER -DTRANSACTIONS=3 -DKILLS=0 -DPOWERS=0 -DPAGES=4
fails  store safety   -DBROKEN_PIN_WITHOUT_LOCK -DPIN -DNO_READER -DTRANSACTIONS=3 -DKILLS=0 -DPOWERS=0 -DPAGES=4
fails  tier  safety   -DBROKEN_CHECK_BEFORE_SCAN
fails  tier  safety   -DBROKEN_CLEAN_BEFORE_PUBLISH
fails  tier  safety   -DBROKEN_COMMIT_TO_LIVE
fails  tier  safety   -DBROKEN_DELETE_ASKS_NOBODY
fails  tier  safety   -DBROKEN_DELETE_COMMITS_TO_FREE
fails  tier  safety   -DBROKEN_DELETE_FREES_BELOW
fails  tier  safety   -DBROKEN_EVICT_DIRTY
fails  tier  safety   -DBROKEN_EVICT_DIRTY_TOMB
fails  tier  safety   -DBROKEN_GET_SKIPS_TOMB
fails  tier  safety   -DBROKEN_MARK_WHAT_SLOT_NAMES
fails  tier  safety   -DBROKEN_NO_CHECK
fails  tier  safety   -DBROKEN_NO_MARK
fails  tier  safety   -DBROKEN_ONE_MARK
fails  tier  safety   -DBROKEN_PROMOTION_DOES_NOT_REREAD
fails  tier  safety   -DBROKEN_PROMOTION_IGNORED
fails  tier  safety   -DBROKEN_PROMOTION_KILLS
fails  tier  safety   -DBROKEN_PROMOTION_REREADS_EARLY
fails  tier  safety   -DBROKEN_PROMOTION_TO_LIVE
fails  tier  safety   -DBROKEN_RECOMPUTE_BEFORE_PUBLISH
fails  tier  safety   -DBROKEN_RECOMPUTE_WITHOUT_LOCK
fails  tier  safety   -DBROKEN_SCAN_SKIPS_TOMB
fails  tier  safety   -DBROKEN_SPILL_AFTER_CLEAN
fails  tier  safety   -DBROKEN_SPILL_BEFORE_SCAN -DW1=PUT -DW2=PUT+16*DEL
fails  tier  safety   -DBROKEN_SPILL_BEFORE_SLOTS
fails  tier  safety   -DBROKEN_STORE_BEFORE_SLOTS
fails  tier  safety   -DBROKEN_TOMB_TO_LIVE
fails  tier  safety   -DBROKEN_UPDATE_KEEPS_MARK
fails  tier  safety   -DBROKEN_UPDATE_TO_LIVE
fails  tier  safety   -DBROKEN_CLEAR_FOR_TOMB -DTWO_KEYS -DW1=DEL -DW2=KEY2+GET
fails  tier  safety   -DBROKEN_HELPERS_DO_NOT_CHECK -DW1=INC -DW2=PUT+16*PUT
fails  tier  safety   -DBROKEN_NO_RECHECK -DCOPIERS=2
fails  tier  safety   -DBROKEN_RECHECK_BEFORE_LOCK -DCOPIERS=2
fails  tier  safety   -DBROKEN_WITHOUT_LOCK -DCOPIERS=2
fails  tier  progress -DBROKEN_ADD_ASKS_NOBODY -DLOOP -DW1=ADD -DW2=INC
LIST
    [ $long = no ] && return
    grep -v '^ *\(#\|$\)' <<'LIST'
passes slot  safety   9000  -DN_OPS=2 -DKEY2 -DPUTS -DGETS
passes slot  safety   9000  -DN_OPS=2 -DREAPERS=1 -DKEY2
passes slot  safety   9000  -DREAPERS=2 -DKEY2 -DPUTS
passes slot  safety   9000  -DNP=3 -DFOREIGN -DPUTS
passes slot  safety   9000  -DNP=3 -DW1=ADD1+8*DEL1+64*ADD1 -DW2=ADD1 -DW3=DEL1
passes slot  safety   12000 -DNP=3 -DREAPERS=1
passes read  safety   9000
passes move  safety   9000  -DRECORDS=6 -DMOVERS=0 -DOTHER
passes move  safety   9000  -DRECORDS=6 -DGETS=2 -DMOVERS=0 -DW1=DEL
passes move  safety   9000  -DRECORDS=5 -DGETS=0 -DW1=PUT -DW2=DEL
passes move  safety   9000  -DRECORDS=5 -DGETS=0 -DW1=NONE -DW2=DEL -DMOVERS=2
passes slot  progress 9000  -DLOOP -DNP=3
passes slot  progress 9000  -DLOOP -DNP=3 -DNS=4
passes count safety   9000  -DWORKERS=3 -DN_OPS=1
passes count safety   9000  -DDEATHS=2
passes reap  safety   9000  -DUSERS=3 -DREAPERS=2 -DDEATHS=3
passes reap  safety   9000  -DUSERS=3 -DREAPERS=2 -DSWEEPERS=0 -DDEATHS=4
passes reap  safety   9000  -DUSERS=2 -DNI=2
passes reap  safety   9000  -DUSERS=3 -DNI=2 -DSWEEPERS=0
passes reap  safety   9000  -DUSERS=3 -DNB=2
passes span  safety   9000  -DNB=2
passes span  safety   9000  -DNB=2 -DNO_JOIN
passes span  safety   9000  -DTAKES=2
passes wait  safety   9000  -DWRITERS=3 -DWRITES=1
passes wait  safety   9000  -DWRITERS=3 -DWRITES=2 -DDEATHS=0
passes wait  safety   9000  -DWRITES=3 -DDEATHS=2
passes tier  safety   9000  -DNS=3 -DTWO_KEYS
passes tier  safety   9000  -DDEATHS=1 -DTWO_KEYS
passes tier  safety   9000  -DBATCH -DTWO_KEYS
passes tier  safety   9000  -DCOPIERS=2
passes tier  safety   9000  -DEVACUATION=1
passes tier  safety   9000  -DNP=3 -DW1=PUT -DW2=DEL -DW3=GET
passes tier  safety   9000  -DNP=3 -DDEATHS=1 -DW1=INC -DW2=ADD -DW3=GET
passes tier  safety   9000  -DNP=3 -DW1=PUT -DW2=INC -DW3=DEL
LIST
}

# Every variant that a model has must be in the list.
for model in $models; do
    for variant in $(grep -o 'BROKEN_[A-Z_]*' "$here/$model.pml" | sort -u); do
        list | grep -q "^fails *$model .*-D$variant\( \|$\)" ||
            { echo "not ok broken variant $model -D$variant is not run"; : > "$work/failed"; }
    done
done

while read -r what model rest; do
    case " $models " in *" $model "*) ;; *) continue ;; esac
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    # shellcheck disable=SC2086
    "$what" "$model" $rest &
done < <(list)
wait
[ ! -e "$work/failed" ]
