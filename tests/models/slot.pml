/* SPDX-License-Identifier: MIT
 *
 * The slot protocol: insert, delete and lookup in one home group's window, with tentative entries,
 * helpers, the bound and its lowering scan, the summary bit of a run of groups, death and reaping.
 *
 * What is modelled
 *   slot[0] is the home group, slot[1..] the group after it (distance 1), which is also a run of its
 *   own with a summary word.  Keys 1 and 2 share the home group.  A slot holds state | record.
 *   A record number is reused as soon as no slot names it and no hazard points at it, under the same
 *   tag: the worst that a tag of 13 bits can do.  Hazards are the arrays own, aim and look.
 *   A step is one access to shared memory.  Setting a hazard and re-reading the slot is one step,
 *   because it takes effect at the re-read.  A load and the CAS that starts over when it fails are one
 *   step where nothing but that CAS depends on the load.
 *   Death: a process whose bit is set in `dead` takes no further step.  A process that is never
 *   scheduled again is a stopped one.
 *
 * What is asserted
 *   S1 at most one LIVE slot per key           S2 the bound reaches every LIVE slot
 *   S3 the summary covers every LIVE slot      S4 an owner tells committed from killed
 *   S5 a lookup, a walk or a delete misses a key only if it was absent at some moment of the call
 *   S6 nothing of a reaped process becomes LIVE
 *   S7 a record is killed only for one that was itself undecided when the two met
 *   with -DLOOP: no infinite run without a completed operation (lock-freedom; no fairness assumed)
 *
 * Size: NS slots, NR records, NP writers of N_OPS operations each, REAPERS.  Operations offered: key 1
 * always; KEY2 adds inserts and deletes of key 2; PUTS updates; GETS lookups and walks.  W1.. fix scripts.
 * FIND_FIRST: an insert looks for the key before it places a record, as the library does (without: more runs).
 */
#ifndef NS
#define NS 3
#endif
#ifndef NR
#define NR 4
#endif
#ifndef NP
#define NP 2
#endif
#ifndef N_OPS
#define N_OPS 1
#endif
#ifndef REAPERS
#define REAPERS 0
#endif
#define PIDS (NP + REAPERS + 1)

#define TENT 8
#define LIVE 16
#define ABRT 24
#define STATE(w) ((w) & 24)
#define RECORD(w) ((w) & 7)
#define KEY(r) (1 + ((key2 >> (r)) & 1))
#define FAR(i) ((i) >= 1)

/* meta and summary: bit 0 bound (used), bit 1 scan, the rest a version */
#define SCAN 2
#define NEXT(m, bits) ((((m) + 4) & 252) | (bits))

/* A writer's script: octal digits, the first operation lowest. */
#define NONE 0
#define ADD1 1
#define DEL1 2
#define GET1 3
#define WALK1 4
#define ADD2 5
#define DEL2 6
#define PUT1 7

byte slot[NS];
byte meta, summary;
byte own[PIDS], aim[PIDS], look[PIDS]; /* hazards: own record, the one being resolved, the one looked at */
byte key2;                             /* bit r: record r is of key 2 */
byte dead;

byte committed; /* bit r: this placing of r became LIVE */
byte buried;    /* bit r: the owner of r was reaped */
byte absent;    /* bit p: key 1 was absent at some moment of p's operation */

inline check_slots()
{
    x = 0;
    y = 0;
    do
    :: x < NS && STATE(slot[x]) == LIVE ->
        assert(!(y & KEY(RECORD(slot[x]))));            /* S1 */
        y = y | KEY(RECORD(slot[x]));
        assert(!FAR(x) || ((meta & 1) && (summary & 1))); /* S2 S3 */
        x++
    :: x < NS && STATE(slot[x]) != LIVE -> x++
    :: else -> break
    od;
    x = 0;
    y = 0
}

inline begin_look() /* S5 */
{
    x = 0;
    absent = absent | (1 << _pid);
    do
    :: x < NS ->
        if
        :: STATE(slot[x]) == LIVE && KEY(RECORD(slot[x])) == 1 -> absent = absent & ~(1 << _pid)
        :: else -> skip
        fi;
        x++
    :: else -> break
    od;
    x = 0
}

/* Lowest record that no slot names and no hazard protects. */
inline allocate(r)
{
    y = 1;
    do
    :: y <= NR ->
        r = y;
        x = 0;
        do
        :: x < NS -> if :: RECORD(slot[x]) == y -> r = 0 :: else -> skip fi; x++
        :: else -> break
        od;
        x = 0;
        do
        :: x < PIDS ->
            if
            :: own[x] == y -> r = 0
#ifndef BROKEN_NO_HAZARD
            :: own[x] != y && (aim[x] == y || look[x] == y) -> r = 0
#endif
            :: else -> skip
            fi;
            x++
        :: else -> break
        od;
        x = 0;
        if :: r -> break :: else -> y++ fi
    :: else -> break
    od;
    y = 0
}

#ifdef BROKEN_RAISE_KEEPS_SCAN
#define RAISE_DUE(m) (!((m) & 1))
#else
#define RAISE_DUE(m) (!((m) & 1) || ((m) & SCAN))
#endif
inline raise_bound(i)
{
    if
    :: FAR(i) && RAISE_DUE(meta) ->
#ifdef BROKEN_RAISE_KEEPS_SCAN
        meta = NEXT(meta, (meta & SCAN) | 1)
#elif defined(BROKEN_NO_VERSION)
        meta = 1
#else
        meta = NEXT(meta, 1)
#endif
    :: else -> skip
    fi
}
inline raise_summary(i)
{
    if
    :: FAR(i) && (!(summary & 1) || (summary & SCAN)) -> summary = NEXT(summary, 1)
    :: else -> skip
    fi
}

inline select_op(o)
{
    if
    :: o = (o << 3) | ADD1
    :: o = (o << 3) | DEL1
#ifdef PUTS
    :: o = (o << 3) | PUT1
#endif
#ifdef GETS
    :: o = (o << 3) | GET1
    :: o = (o << 3) | WALK1
#endif
#ifdef KEY2
    :: o = (o << 3) | ADD2
    :: o = (o << 3) | DEL2
#endif
    fi
}

proctype writer(short script) provided (!(dead & (1 << _pid)))
{
    byte op, k, i, end, w, m, x, y;
    byte mine;   /* index of my own slot, where own[_pid] was placed */
    byte target; /* index of the slot being resolved */
    bit fair;    /* S7 */
    bit saw;     /* I aborted my own record because the key is there */
#ifdef BROKEN_SCAN_BEFORE_RAISE
    bit raised;
#endif
#ifdef BROKEN_BOTH_BACK_OFF
    bit rival;
#endif

next:
    atomic {
        op = script & 7;
#ifndef LOOP /* then for ever */
        script = script >> 3;
#endif
        saw = 0;
        k = (op == ADD2 || op == DEL2 -> 2 : 1);
        if
        :: op == NONE -> goto stop
#ifdef FIND_FIRST
        :: op == ADD1 || op == ADD2 -> goto put
#else
        :: op == ADD1 || op == ADD2 -> goto insert
#endif
        :: else -> begin_look()
        fi;
        i = 0;
        if
        :: op == PUT1 -> goto put
        :: op == DEL1 || op == DEL2 -> goto delete
        :: else -> skip
        fi
    };

    /* -- lookup: the bound; walk: the summary -- */
    atomic {
        end = ((op == GET1 -> meta : summary) & 1 -> NS : 1);
    };
    do
    :: atomic {
        i < end ->
        if
        :: STATE(slot[i]) == LIVE && KEY(RECORD(slot[i])) == 1 -> i = 0; end = 0; goto done
        :: else -> i++
        fi
       }
    :: atomic { i >= end -> assert(absent & (1 << _pid)); i = 0; end = 0; goto done }
    od;

    /* -- put: swing the slot that holds the key, else insert -- */
put:
    atomic { end = (meta & 1 -> NS : 1); i = 0; saw = 0 };
    do
    :: atomic {
        i < end -> w = slot[i];
        if
        :: STATE(w) == LIVE && KEY(RECORD(w)) == k && op == PUT1 -> look[_pid] = RECORD(w); break
        :: STATE(w) == LIVE && KEY(RECORD(w)) == k && op != PUT1 -> w = 0; i = 0; end = 0; goto done
        :: else -> w = 0; i++
        fi
       }
    :: atomic { i >= end -> i = 0; end = 0; goto insert }
    od;
    atomic {
        end = 0;
        allocate(m);
        own[_pid] = m;
        m = 0;
        if
        :: own[_pid] == 0 -> look[_pid] = 0; w = 0; i = 0; goto done /* no memory */
        :: else -> key2 = key2 & ~(1 << own[_pid]); buried = buried & ~(1 << own[_pid])
        fi
    };
    atomic {
        look[_pid] = 0;
        if
        :: slot[i] == w -> slot[i] = LIVE | own[_pid]; own[_pid] = 0; w = 0; i = 0; goto done
        :: else -> own[_pid] = 0; w = 0; i = 0; goto put
        fi
    };

    /* -- delete -- */
delete:
    atomic { end = (meta & 1 -> NS : 1); i = 0 };
delete_at:
    do
    :: atomic {
        i < end -> w = slot[i];
        if
        :: STATE(w) == LIVE && KEY(RECORD(w)) == k -> look[_pid] = RECORD(w); break
        :: STATE(w) == TENT && KEY(RECORD(w)) == k -> /* help, or see it as absent */
            w = 0;
            if
            :: i++
            :: target = i; aim[_pid] = RECORD(slot[i]); goto resolve
            fi
        :: else -> w = 0; i++
        fi
       }
    :: atomic { i >= end -> assert(k == 2 || (absent & (1 << _pid))); i = 0; end = 0; goto done } /* S5 */
    od;
    atomic {
        look[_pid] = 0;
        if
        :: slot[i] == w -> slot[i] = 0; w = 0; if :: k == 1 -> absent = 255 :: else -> skip fi
        :: else -> w = 0; goto delete_at
        fi;
        if :: !FAR(i) -> i = 0; end = 0; goto done :: else -> end = 0 fi;
        if
        :: goto lower
        :: goto clear
        fi
    };

    /* -- the deleter lowers the bound -- */
lower:
    atomic {
        i = 1;
        if
        :: meta & 1 ->
#ifdef BROKEN_LOWER_WITHOUT_SCAN
            m = meta
#elif defined(BROKEN_NO_VERSION)
            meta = 1 | SCAN;
            m = meta
#else
            meta = NEXT(meta, 1 | SCAN);
            m = meta
#endif
        :: else -> goto clear
        fi
    };
    do
    :: atomic {
        i < NS ->
        if
        :: STATE(slot[i]) == TENT || STATE(slot[i]) == LIVE -> m = 0; goto clear
        :: else -> i++
        fi
       }
    :: atomic {
        i >= NS ->
        if
        :: meta == m ->
#ifdef BROKEN_NO_VERSION
            meta = 0;
#else
            meta = NEXT(meta, 0);
#endif
            check_slots()
        :: else -> skip
        fi;
        m = 0;
        break
       }
    od;

    /* -- and clears the summary of the run -- */
clear:
    atomic {
        i = 1;
        if
        :: summary & 1 ->
#ifndef BROKEN_CLEAR_WITHOUT_SCAN
            summary = NEXT(summary, 1 | SCAN);
#endif
            m = summary
        :: else -> i = 0; goto done
        fi
    };
    do
    :: atomic {
        i < NS ->
        if
        :: slot[i] != 0 -> m = 0; i = 0; goto done
        :: else -> i++
        fi
       }
    :: atomic {
        i >= NS ->
        if
        :: summary == m -> summary = NEXT(summary, 0); check_slots()
        :: else -> skip
        fi;
        m = 0;
        i = 0;
        goto done
       }
    od;

    /* -- insert: place in the first FREE slot -- */
insert:
    atomic {
        saw = 0;
        allocate(w);
        own[_pid] = w;
        w = 0;
        if
        :: own[_pid] == 0 -> goto done /* no memory */
        :: else -> skip
        fi;
        key2 = (key2 & ~(1 << own[_pid])) | ((k - 1) << own[_pid]);
        committed = committed & ~(1 << own[_pid]);
        buried = buried & ~(1 << own[_pid]);
        i = 0
    };
    do
    :: atomic { i < NS && slot[i] != 0 -> i++ }
    :: atomic {
        i < NS && slot[i] == 0 ->
        slot[i] = TENT | own[_pid];
        mine = i;
        target = i;
        aim[_pid] = own[_pid];
        i = 0;
        break
       }
    :: atomic { i >= NS -> own[_pid] = 0; i = 0; goto done } /* window full */
    od;

    /* -- resolve the TENT at `target`: my own, or one that I met -- */
resolve:
#ifdef BROKEN_SCAN_BEFORE_RAISE
    atomic { raised = 0; goto scan };
#endif
raise:
    atomic {
#ifdef BROKEN_HELPER_SKIPS_RAISE
        if
        :: aim[_pid] == own[_pid] -> raise_bound(target)
        :: else -> skip
        fi
#else
        raise_bound(target)
#endif
    };
#ifndef BROKEN_SUMMARY_AFTER_COMMIT
    atomic { raise_summary(target) };
#endif
#ifdef BROKEN_SCAN_BEFORE_RAISE
    goto commit;
#endif
scan:
    atomic { end = (meta & 1 -> NS : 1); i = 0 };
again:
    do
    :: atomic { i >= end -> i = 0; end = 0; break }
    :: atomic { i < end && i == target -> i++ }
    :: atomic {
        i < end && i != target ->
        w = slot[i];
        if
        :: STATE(w) != TENT && STATE(w) != LIVE -> w = 0; i++
        :: (STATE(w) == TENT || STATE(w) == LIVE) && KEY(RECORD(w)) != k -> w = 0; i++
        :: STATE(w) == LIVE && KEY(RECORD(w)) == k -> w = 0; goto back_off
        :: STATE(w) == TENT && KEY(RECORD(w)) == k ->
#ifdef BROKEN_IGNORE_RIVALS
            w = 0;
            i++
#elif defined(BROKEN_BOTH_BACK_OFF)
            w = 0;
            rival = 1;
            goto back_off
#elif defined(BROKEN_BOTH_KILL)
            look[_pid] = RECORD(w);
            fair = (slot[target] == (TENT | aim[_pid]));
            goto kill
#elif defined(BROKEN_HIGHEST_WINS)
            if
            :: i > target -> target = i; aim[_pid] = RECORD(w); w = 0; i = 0; end = 0; goto resolve
            :: else -> look[_pid] = RECORD(w); fair = (slot[target] == (TENT | aim[_pid])); goto kill
            fi
#else
            if
            :: i < target -> target = i; aim[_pid] = RECORD(w); w = 0; i = 0; end = 0; goto resolve
            :: else -> look[_pid] = RECORD(w); fair = (slot[target] == (TENT | aim[_pid])); goto kill
            fi
#endif
        fi
       }
    od;
#ifdef BROKEN_SCAN_BEFORE_RAISE
    if
    :: raised == 0 -> raised = 1; goto raise
    :: else -> skip
    fi;
#endif
commit:
    atomic {
        if
        :: slot[target] == (TENT | aim[_pid]) ->
            slot[target] = LIVE | aim[_pid];
            committed = committed | (1 << aim[_pid]);
            assert(!(buried & (1 << aim[_pid]))); /* S6 */
#ifndef BROKEN_SUMMARY_AFTER_COMMIT
            check_slots()
#endif
        :: else -> skip
        fi
    };
#ifdef BROKEN_SUMMARY_AFTER_COMMIT
    atomic { raise_summary(target); check_slots() };
#endif
    goto resolved;

kill: /* the rival at i */
#ifndef BROKEN_NO_OWN_WORD
    atomic {
        if
        :: slot[target] == (TENT | aim[_pid]) -> skip
        :: else -> w = 0; look[_pid] = 0; fair = 0; i = 0; end = 0; goto resolved
        fi
    };
#endif
    atomic {
        if
        :: slot[i] == w -> slot[i] = ABRT | RECORD(w); assert(fair); i++ /* S7 */
        :: else -> skip
        fi;
        look[_pid] = 0;
        fair = 0;
        w = 0;
        goto again
    };

back_off: /* the key is there already */
    atomic {
        i = 0;
        end = 0;
        if
        :: slot[target] == (TENT | aim[_pid]) ->
            slot[target] = ABRT | aim[_pid];
#ifdef BROKEN_BOTH_BACK_OFF
            saw = !rival;
            rival = 0
#else
            saw = (aim[_pid] == own[_pid])
#endif
        :: else -> skip
        fi
    };

resolved:
    atomic {
        if
        :: own[_pid] == 0 -> aim[_pid] = 0; target = 0; goto delete
        :: own[_pid] != 0 && aim[_pid] != own[_pid] ->
            aim[_pid] = own[_pid];
            target = mine;
            /* start over: the same step looks whether that is still needed */
            if :: slot[mine] == (TENT | own[_pid]) -> goto resolve :: else -> skip fi
        :: else -> skip
        fi
    };
    /* the owner reads what became of its slot */
    atomic {
        aim[_pid] = 0;
        target = 0;
        w = slot[mine];
        if
#ifdef BROKEN_ABRT_AS_COMMITTED
        :: w == (ABRT | own[_pid]) && !saw -> slot[mine] = 0; assert(committed & (1 << own[_pid]))
#endif
#ifdef BROKEN_FREE_AS_ABORTED
        :: w == 0 -> assert(!(committed & (1 << own[_pid]))); own[_pid] = 0; mine = 0; goto insert
#endif
        :: w == (ABRT | own[_pid]) ->
            w = 0;
            assert(!(committed & (1 << own[_pid]))); /* S4 */
            goto killed
        :: else -> w = 0; assert(committed & (1 << own[_pid])); own[_pid] = 0; mine = 0; goto done /* S4 */
        fi
    };
killed:
    atomic {
        assert(slot[mine] == (ABRT | own[_pid]));
        slot[mine] = 0;
        own[_pid] = 0;
        mine = 0;
        if
        :: saw && op == PUT1 -> goto put
        :: saw && op != PUT1 -> goto done /* EXISTS */
#ifdef FIND_FIRST
        :: !saw && op != PUT1 -> goto put
#endif
        :: else -> goto insert
        fi
    };

done:
    atomic { absent = absent & ~(1 << _pid); op = NONE; k = 0 };
progress_done:
    goto next;
stop:
    skip
}

#if REAPERS
/* Kills one writer at any moment, or finds one that another reaper killed, and settles its record. */
proctype reaper()
{
    byte victim, i, w, x, y;
    atomic {
        if
        :: victim = 1
        :: victim = 2
#if NP > 2
        :: victim = 3
#endif
        fi;
        (dead == 0 || (dead & (1 << victim))) -> dead = dead | (1 << victim)
    };
    look[_pid] = own[victim];
settle:
    atomic { /* which slot: the record says so */
        if
        :: look[_pid] == 0 -> goto settled
        :: else -> skip
        fi;
        i = 0;
        do
        :: i < NS && RECORD(slot[i]) == look[_pid] -> break
        :: i < NS && RECORD(slot[i]) != look[_pid] -> i++
        :: else -> break
        od;
        if
        :: i < NS -> w = slot[i]
        :: else -> w = 0
        fi;
        if
#ifdef BROKEN_REAPER_FREES_TENT
        :: STATE(w) == TENT -> goto settled
#else
        :: STATE(w) == TENT -> skip
#endif
        :: STATE(w) == ABRT -> skip
        :: else -> i = 0; w = 0; goto settled
        fi
    };
    atomic {
        if
        :: slot[i] == w -> slot[i] = (STATE(w) == TENT -> ABRT | RECORD(w) : 0)
        :: else -> skip
        fi;
        w = 0;
        goto settle
    };
settled:
    atomic { /* the block goes to RETIRED by one CAS, the entry is cleared */
        if
        :: own[victim] && own[victim] == look[_pid] -> buried = buried | (1 << own[victim]); own[victim] = 0
        :: else -> skip
        fi;
        aim[victim] = 0;
        look[victim] = 0;
        look[_pid] = 0
    }
}
#endif

init
{
    short a, b, c;
    atomic {
        /* what is there at first */
        if
        :: skip
#if defined(LOOP) || defined(FOREIGN)
        :: slot[0] = ABRT | 7 /* of a stopped writer */
#endif
#ifndef LOOP
        :: slot[1] = LIVE | NR; meta = 1; summary = 1 /* key 1, far; room at home */
        :: slot[0] = LIVE | NR; key2 = 1 << NR        /* key 2 fills the home group */
#ifdef KEY2
        :: slot[0] = LIVE | NR; key2 = 1 << NR; slot[NS - 1] = LIVE | (NR - 1); meta = 1; summary = 1
#endif
#endif
        fi;
#ifdef W1
        a = W1;
        b = W2;
#if NP > 2
        c = W3;
#endif
#elif defined(LOOP)
        a = ADD1;
        b = ADD1;
        c = ADD1;
#else
        /* Writers are alike: their scripts in falling order lose nothing. */
        select_op(a);
        select_op(b);
#if N_OPS > 1
        select_op(a);
        select_op(b);
#endif
        a >= b;
#if NP > 2
        select_op(c);
#if N_OPS > 1
        select_op(c);
#endif
        b >= c;
#endif
#endif
        run writer(a);
        run writer(b);
#if NP > 2
        run writer(c);
#endif
#if REAPERS
        run reaper();
#endif
#if REAPERS > 1
        run reaper();
#endif
        a = 0;
        b = 0;
        c = 0
    }
}
