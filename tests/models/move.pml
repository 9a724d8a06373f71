/* SPDX-License-Identifier: MIT
 *
 * A map that moves to a new geometry: one key, its window in the old table and its window in the new one, beside
 * writers who have not noticed yet.
 *
 * What is modelled
 *   The old table's window has two slots, the second one beyond the bound until somebody raises that; the new one's
 *   has two.  `successor` is the instant of the switch.  From then on
 *     move       pass over the old window (the bound is read behind the switch): TENT -> ABRT, LIVE -> SEALED; what is
 *                SEALED is inserted in the new table by the rules of insert (slot.pml), as a copy that whoever commits
 *                it checks behind the scan: the old slot must be SEALED still; then SEALED -> MOVED
 *     write      by who knows of the switch: move, then the new table alone
 *     get        the new table; not there: the old one's LIVE or SEALED; not there: the new one again
 *   who works on the old table and finds no LIVE there, or is about to commit a TENT, looks at `successor` and follows.
 *   Records are used once: reuse of blocks is slot.pml's.  A step is one access to shared memory.  A process that is
 *   never scheduled again is a stopped or dead one.
 *
 * What is asserted
 *   M1 what the tables mean, new before old, is what the operations have made of the key, at every moment
 *   M2 at most one LIVE in the new table
 *   M3 a get returns what was true at one moment of the call; absent likewise; a delete that misses, too
 */
#ifndef HOLDS
#define HOLDS 1 /* the key is in the old table at first */
#endif
#ifndef W1
#define W1 PUT /* begins at the old table */
#endif
#ifndef W2
#define W2 PUT /* knows */
#endif
#ifndef W3
#define W3 NONE
#endif
#ifndef MOVERS
#define MOVERS 1
#endif
#ifndef GETS
#define GETS 1
#endif
#define NONE 0
#define PUT 1
#define DEL 2
#define PUTOLD 3 /* another that begins at the old table */
#define DELOLD 4

#ifndef RECORDS
#define RECORDS 8
#endif
#define TENT 16
#define LIVE 32
#define ABRT 48
#define SEALED 64
#define MOVED 80
#define OTHER_KEY 112 /* with -DOTHER in the old window's first slot */
#define STATE(w) ((w) & 112)
#define RECORD(w) ((w) & 15)

byte slot[4]; /* OLD, OLD + 1; NEW, NEW + 1 */
#define OLD 0
#define NEW 2
bit bound;
bit successor;
byte given;
byte value_of[RECORDS + 1];
bit copy_of[RECORDS + 1]; /* is it a mover's? */

byte truth;       /* ghost: 0 = absent */
byte was_absent;  /* ghost, a bit per process: at some moment of its operation */
byte was[10];     /* ghost: the values that were true during a get, a bit each, by process */

inline note()
{
    was_absent = was_absent | (truth == 0 -> 255 : 0);
    was[0] = was[0] | (1 << truth);
    was[1] = was[1] | (1 << truth)
}

/* M1, M2, behind every step that may change what the tables mean. */
inline judge()
{
    assert(!(STATE(slot[NEW + 0]) == LIVE && STATE(slot[NEW + 1]) == LIVE));
    assert(truth == (STATE(slot[NEW + 0]) == LIVE -> value_of[RECORD(slot[NEW + 0])] :
                    (STATE(slot[NEW + 1]) == LIVE -> value_of[RECORD(slot[NEW + 1])] :
                    (STATE(slot[OLD + 0]) == LIVE || STATE(slot[OLD + 0]) == SEALED -> value_of[RECORD(slot[OLD + 0])] :
                    (STATE(slot[OLD + 1]) == LIVE || STATE(slot[OLD + 1]) == SEALED -> value_of[RECORD(slot[OLD + 1])] : 0)))));
    note()
}

inline record(r, v, c)
{
    if :: given == RECORDS -> goto end :: else -> skip fi; /* enough of this run */
    given++;
    r = given;
    value_of[r] = v;
    copy_of[r] = c
}

/* One target t (its word TENT | rec at `at`) against the other slot, then its commit.  ok: the own word may have
 * changed, look at it. */
inline resolve(tab, isnew)
{
    at = own_at;
    rec = mine;
    do
    :: slot[tab + own_at] != (TENT | mine) -> break
    :: else ->
again:
        w = slot[tab + 1 - at];
        if
        :: STATE(w) == LIVE ->
            atomic { if :: slot[tab + at] == (TENT | rec) -> slot[tab + at] = ABRT | rec :: else -> skip fi }
        :: STATE(w) == TENT && at == 1 -> /* the lower one first */
            rec = RECORD(w);
            at = 0;
            goto again
        :: STATE(w) == TENT && at == 0 ->
            if
            :: slot[tab + 0] == (TENT | rec) ->
                atomic { if :: slot[tab + 1] == w -> slot[tab + 1] = ABRT | RECORD(w) :: else -> skip fi };
                goto again
            :: else -> skip
            fi
        :: else -> /* no rival */
            if
            :: isnew && copy_of[rec] ->
#ifdef BROKEN_COPY_IS_NOT_CHECKED
                ok = 1
#elif defined(BROKEN_COPY_WITHOUT_SEAL)
                atomic { ok = (STATE(slot[OLD + 0]) == LIVE || STATE(slot[OLD + 1]) == LIVE) }
#else
                atomic { ok = (STATE(slot[OLD + 0]) == SEALED || STATE(slot[OLD + 1]) == SEALED) }
#endif
            :: !isnew ->
#ifdef BROKEN_COMMIT_WITHOUT_LOOK
                ok = 1
#else
                atomic { ok = !successor }
#endif
            :: else -> ok = 1
            fi;
            atomic {
                if
                :: slot[tab + at] == (TENT | rec) && ok ->
                    slot[tab + at] = LIVE | rec;
                    if :: copy_of[rec] -> skip :: else -> truth = value_of[rec] fi;
                    judge()
                :: slot[tab + at] == (TENT | rec) && !ok -> slot[tab + at] = ABRT | rec
                :: else -> skip
                fi
            }
        fi;
        at = own_at;
        rec = mine
    od
}

/* done = 1: committed; 0: aborted, or no slot was free. */
inline insert(tab, isnew)
{
    done = 0;
    own_at = 2;
    do
    :: own_at == 2 && slot[tab + 0] == 0 -> atomic { if :: slot[tab + 0] == 0 -> slot[tab + 0] = TENT | mine; own_at = 0 :: else -> skip fi }
    :: own_at == 2 && slot[tab + 0] != 0 && slot[tab + 1] == 0 ->
        atomic { if :: slot[tab + 1] == 0 -> slot[tab + 1] = TENT | mine; own_at = 1 :: else -> skip fi }
    :: own_at == 2 && slot[tab + 0] != 0 && slot[tab + 1] != 0 -> own_at = 3
    :: else -> break
    od;
    if
    :: own_at < 2 ->
        if :: !isnew && own_at == 1 -> bound = 1 :: else -> skip fi;
        resolve(tab, isnew);
        atomic {
            if
            :: slot[tab + own_at] == (ABRT | mine) -> slot[tab + own_at] = 0
            :: else -> done = 1
            fi
        }
    :: else -> skip
    fi;
    own_at = 0
}

/* All of the window.  copied: some records are left for it. */
inline move()
{
    j = 0;
#ifdef BROKEN_BOUND_BEFORE_SWITCH
    reach = early;
#else
    reach = bound;
#endif
    do
    :: j > reach -> break
    :: else ->
        o = slot[OLD + j];
        if
        :: STATE(o) == TENT ->
#ifdef BROKEN_TENT_IS_LEFT
            j++
#else
            atomic { if :: slot[OLD + j] == o -> slot[OLD + j] = ABRT | RECORD(o) :: else -> skip fi }
#endif
        :: STATE(o) == LIVE ->
#ifdef BROKEN_COPY_WITHOUT_SEAL
            goto copy
#else
            atomic { if :: slot[OLD + j] == o -> slot[OLD + j] = SEALED | RECORD(o); judge() :: else -> skip fi }
#endif
        :: STATE(o) == SEALED ->
#ifdef BROKEN_COPY_WITHOUT_SEAL
copy:
#endif
            atomic { found = (STATE(slot[NEW + 0]) == LIVE || STATE(slot[NEW + 1]) == LIVE) };
            if
            :: !found ->
                atomic { record(mine, value_of[RECORD(o)], 1) };
                insert(NEW, 1);
                found = done
#ifdef BROKEN_ABORTED_IS_MOVED
                ; found = 1
#endif
            :: else -> skip
            fi;
            mine = 0;
            if
            :: found ->
                atomic { if :: slot[OLD + j] == o -> slot[OLD + j] = MOVED | RECORD(o); judge() :: else -> skip fi }
            :: else -> skip
            fi;
            found = 0
        :: else -> j++
        fi
    od;
    o = 0;
    j = 0
}

/* Behind the move, or in the old table: the slot that is LIVE. */
inline find(tab)
{
    w = slot[tab + 0];
    at = 0;
    if
    :: STATE(w) == LIVE -> skip
    :: else ->
        w = slot[tab + 1];
        at = 1;
        if :: STATE(w) == LIVE -> skip :: else -> w = 0 fi
    fi
}

inline swing(tab)
{
    atomic {
        if
        :: slot[tab + at] == w ->
            if
            :: op == DEL -> slot[tab + at] = 0; truth = 0
            :: else -> slot[tab + at] = LIVE | mine; truth = value_of[mine]
            fi;
            judge();
            done = 1
        :: else -> skip
        fi
    }
}

proctype writer(byte op; bit knows; byte v)
{
    byte w, at, rec, own_at, mine, o, j, reach;
    bit ok, done, found;
#ifdef BROKEN_BOUND_BEFORE_SWITCH
    bit early;
    early = bound;
#endif

    atomic { was_absent = was_absent & ~(1 << v); note() };
    do
    :: knows ->
        (successor);
        break
    :: else ->
        find(OLD);
        if
        :: w != 0 && op == PUT ->
            atomic { record(mine, v, 0) };
            swing(OLD);
            mine = 0
        :: w != 0 && op == DEL -> swing(OLD)
#ifdef BROKEN_ABSENT_WITHOUT_LOOK
        :: w == 0 && op == DEL -> done = 1; assert(was_absent & (1 << v)) /* M3 */
#else
        :: w == 0 && op == DEL && !successor -> done = 1; assert(was_absent & (1 << v)) /* M3 */
#endif
        :: w == 0 && op == PUT && !successor ->
            atomic { record(mine, v, 0) };
            insert(OLD, 0);
            mine = 0
        :: else -> knows = 1
        fi;
        if :: done -> goto end :: else -> skip fi
    od;
#ifndef BROKEN_WRITE_WITHOUT_MOVE
    move();
#endif
    do
    :: find(NEW);
       if
       :: w != 0 ->
           if :: op == PUT -> atomic { record(mine, v, 0) } :: else -> skip fi;
           swing(NEW)
       :: w == 0 && op == DEL -> done = 1; assert(was_absent & (1 << v)) /* M3 */
       :: w == 0 && op == PUT -> atomic { record(mine, v, 0) }; insert(NEW, 1)
       fi;
       mine = 0;
       if :: done -> break :: else -> skip fi
    od;
end:
    atomic { w = 0; at = 0; rec = 0; own_at = 0; mine = 0; o = 0; j = 0; reach = 0; ok = 0; done = 0; found = 0 }
}

proctype mover()
{
    byte w, at, rec, own_at, mine, o, j, reach;
    bit ok, done, found;
#ifdef BROKEN_BOUND_BEFORE_SWITCH
    bit early;
    early = bound;
#endif

    (successor);
    move();
end:
    atomic { w = 0; at = 0; rec = 0; own_at = 0; mine = 0; o = 0; j = 0; reach = 0; ok = 0; done = 0; found = 0 }
}

/* knows: begins at the new table. */
proctype get(bit knows; byte me)
{
    byte w, round, v;

    atomic { was[me] = 1 << truth };
    if
    :: !knows ->
        w = slot[OLD + 0];
        if :: STATE(w) == LIVE -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
        w = slot[OLD + 1];
        if :: STATE(w) == LIVE -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
#ifndef BROKEN_GET_ABSENT_WITHOUT_LOOK
        if :: successor -> skip :: else -> goto said fi
#else
        goto said
#endif
    :: else -> (successor)
    fi;
    do
    :: round < 2 ->
        w = slot[NEW + 0];
        if :: STATE(w) == LIVE -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
        w = slot[NEW + 1];
        if :: STATE(w) == LIVE -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
#ifdef BROKEN_NEW_IS_READ_ONCE
        if :: round == 1 -> break :: else -> skip fi;
        round = 1;
#else
        round++;
        if :: round == 2 -> break :: else -> skip fi;
#endif
        w = slot[OLD + 0];
        if :: STATE(w) == LIVE || STATE(w) == SEALED -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
        w = slot[OLD + 1];
        if :: STATE(w) == LIVE || STATE(w) == SEALED -> v = value_of[RECORD(w)]; goto said :: else -> skip fi;
#ifdef BROKEN_NEW_IS_READ_ONCE
        break
#endif
    od;
said:
    atomic { assert(was[me] & (1 << v)); w = 0; v = 0; round = 0 } /* M3 */
}

init
{
    atomic {
        if
        :: HOLDS -> given = 1; value_of[1] = 1; slot[OLD + 0] = LIVE | 1; truth = 1
        :: else -> skip
        fi;
#ifdef OTHER
        if
        :: HOLDS -> slot[OLD + 1] = slot[OLD + 0]; bound = 1
        :: else -> skip
        fi;
        slot[OLD + 0] = OTHER_KEY;
#endif
        note();
        if :: W1 -> run writer(W1, 0, 2) :: else -> skip fi;
        if :: W2 -> run writer(W2, 1, 3) :: else -> skip fi;
        if
        :: W3 == PUTOLD -> run writer(PUT, 0, 4)
        :: W3 == DELOLD -> run writer(DEL, 0, 4)
        :: W3 == PUT || W3 == DEL -> run writer(W3, 1, 4)
        :: else -> skip
        fi;
        if :: MOVERS > 0 -> run mover() :: else -> skip fi;
        if :: MOVERS > 1 -> run mover() :: else -> skip fi;
        if :: GETS > 0 -> run get(1, 0) :: else -> skip fi;
        if :: GETS > 1 -> run get(0, 1) :: else -> skip fi
    };
    successor = 1
}
