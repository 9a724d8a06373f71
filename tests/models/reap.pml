/* SPDX-License-Identifier: MIT
 *
 * Attachment indices: taking one, dying with it, being settled, and taking it again.
 *
 * What is modelled
 *   NI entries with a life lock and a reap lock each, which the kernel drops at death, and at no other
 *   time without their holder.  USERS attach, set a hazard, own a block, give it back, detach, or stay.
 *   REAPERS look at an entry, lock it, look again, settle it.  SWEEPERS settle blocks without touching
 *   entries.  DEATHS of all these die, anywhere; any of them may be stopped for ever, anywhere.
 *   H is {generation, owner, state}.  A step is one access to shared memory or one call to the kernel.
 *
 *   attach   reap lock; life lock; clear hazards; attached = 1; settle what is named; drop reap
 *   own      name the block in the entry; CAS H FREE -> OWNED(i), new generation
 *   reap     attached and life free; reap lock; both again; settle: named blocks, hazards, attached = 0
 *   sweep    read H; life of its owner free; CAS H, full generation
 *
 * What is asserted
 *   A1 nobody but its owner moves a block of a living owner
 *   A2 nobody but its owner clears a hazard of a living owner
 *   A3 when an attachment begins, no block is OWNED by its index: what is named is settled, and nothing
 *      else could tell such a block from one of its own
 *   A4 in the end each block OWNED by a dead owner is seen to be so by who asks
 */
#ifndef NI
#define NI 1
#endif
#ifndef NB
#define NB 1
#endif
#ifndef USERS
#define USERS 3
#endif
#ifndef REAPERS
#define REAPERS 1
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define PIDS (USERS + REAPERS + SWEEPERS + 1)

#define FREE 0
#define OWNED 1
#define RETIRED 2
#define STATE(h) ((h) & 3)
#define OWNER(h) (((h) >> 2) & 1)
#define MAKE(h, i, s) (((h) & 248) | ((i) << 2) | (s))

byte life[NI], reap[NI]; /* who holds it, 0 = nobody */
bit attached[NI];
byte named[NI];  /* block + 1 */
byte hazard[NI]; /* whose */
byte h[NB];
byte owner[NB];  /* who made it OWNED: what H cannot tell */
byte gone;       /* bit p: p is dead */
byte deaths;

#ifdef BROKEN_PID_LIVENESS
/* Entries record a pid; the second user gets the first one's when that is dead. */
byte pid_of[NI];
byte os_pid[PIDS];
inline ask(i, ret)
{
    q = 1;
    ret = 1;
    do
    :: q < PIDS ->
        if
        :: !(gone & (1 << q)) && os_pid[q] && os_pid[q] == pid_of[i] -> ret = 0
        :: else -> skip
        fi;
        q++
    :: else -> break
    od;
    q = 0
}
#else
inline ask(i, ret) { ret = (life[i] == 0) }
#endif

inline move(b, from, to)
{
    if
    :: h[b] == from ->
        assert(STATE(from) != OWNED || owner[b] == _pid || (gone & (1 << owner[b]))); /* A1 */
        h[b] = to
    :: else -> skip
    fi
}

/* What the entry names; the caller holds its reap lock. */
inline settle_names(i)
{
    atomic { b = named[i] };
    if
    :: b != 0 ->
        b--;
#ifdef BROKEN_NAME_DROPPED
        /* the span word changed between two looks: taken for "no such block" */
        if
        :: skip
        :: goto drop_name
        fi;
#endif
        atomic { v = h[b] };
        if
        :: STATE(v) == OWNED && OWNER(v) == i ->
            atomic { move(b, v, MAKE(v, 0, RETIRED)) };
            atomic { move(b, MAKE(v, 0, RETIRED), MAKE(v, 0, FREE)) }
        :: else -> skip
        fi
    :: else -> skip
    fi;
drop_name:
    atomic { named[i] = 0; b = 0; v = 0 }
}

inline clear_hazard(i)
{
    atomic {
        assert(hazard[i] == 0 || hazard[i] == _pid || (gone & (1 << hazard[i]))); /* A2 */
        hazard[i] = 0
    }
}

proctype user() provided (!(gone & (1 << _pid)))
{
    byte i, b, v, q;
    bit dead;

    /* -- attach -- */
    if
    :: i = 0
#if NI > 1
    :: i = 1
#endif
    fi;
#ifdef BROKEN_PID_LIVENESS
    atomic {
        os_pid[_pid] = (_pid == 2 && (gone & 2) -> 1 : _pid)
    };
#endif
#ifndef BROKEN_ATTACH_WITHOUT_REAP
    atomic {
        if
        :: reap[i] == 0 -> reap[i] = _pid
        :: else -> goto stop
        fi
    };
#endif
#ifdef BROKEN_PID_LIVENESS
    atomic {
        if
        :: attached[i] -> ask(i, dead)
        :: else -> dead = 1
        fi;
        if
        :: dead -> dead = 0; pid_of[i] = os_pid[_pid]
        :: else -> reap[i] = 0; goto stop
        fi
    };
#else
    atomic {
        if
        :: life[i] == 0 -> life[i] = _pid
        :: else ->
            if :: reap[i] == _pid -> reap[i] = 0 :: else -> skip fi;
            goto stop
        fi
    };
#endif
    clear_hazard(i);
    attached[i] = 1;
#ifndef BROKEN_ATTACH_DOES_NOT_SETTLE
    settle_names(i);
#endif
    atomic {
        if :: reap[i] == _pid -> reap[i] = 0 :: else -> skip fi;
        q = 0;
        do
        :: q < NB -> assert(STATE(h[q]) != OWNED || OWNER(h[q]) != i); q++ /* A3 */
        :: else -> break
        od;
        q = 0
    };

    /* -- work -- */
    hazard[i] = _pid;
    if
    :: b = 0
#if NB > 1
    :: b = 1
#endif
    fi;
    atomic {
        v = h[b];
        if
        :: STATE(v) == OWNED -> v = 0; goto detach
        :: STATE(v) == RETIRED -> v = MAKE(v, 0, FREE); h[b] = v /* freed on the way */
        :: else -> skip
        fi
    };
#ifndef BROKEN_NAMED_AFTER_CAS
    named[i] = b + 1;
#endif
    atomic {
        if
        :: h[b] == v -> v = MAKE(v + 8, i, OWNED); h[b] = v; owner[b] = _pid
        :: else -> v = 0
        fi
    };
#ifdef BROKEN_NAMED_AFTER_CAS
    named[i] = b + 1;
#endif
    if
    :: v != 0 ->
        atomic { assert(h[b] == v); assert(hazard[i] == _pid) };
        atomic { move(b, v, MAKE(v, 0, RETIRED)) }
    :: else -> skip
    fi;
    atomic { named[i] = 0; v = 0; b = 0 };
detach:
    clear_hazard(i);
    attached[i] = 0;
    atomic { life[i] = 0; i = 0 };
stop:
    skip
}

proctype reaper() provided (!(gone & (1 << _pid)))
{
    byte i, b, v, q;
    bit dead;

    if
    :: i = 0
#if NI > 1
    :: i = 1
#endif
    fi;
    atomic { attached[i]; ask(i, dead); if :: dead -> dead = 0 :: else -> goto stop fi };
#ifndef BROKEN_REAPER_WITHOUT_LOCK
    atomic {
        if
        :: reap[i] == 0 -> reap[i] = _pid
        :: else -> goto stop
        fi
    };
#endif
#ifndef BROKEN_NO_SECOND_LOOK
    atomic {
        ask(i, dead);
        if
        :: attached[i] && dead -> dead = 0
        :: else -> dead = 0; goto drop
        fi
    };
#endif
    settle_names(i);
    clear_hazard(i);
    attached[i] = 0;
drop:
    atomic { if :: reap[i] == _pid -> reap[i] = 0 :: else -> skip fi };
stop:
    skip
}

proctype sweeper() provided (!(gone & (1 << _pid)))
{
    byte b, v, q;
    bit dead;

    do
    :: atomic {
        v == 0 && STATE(h[b]) != FREE ->
#ifdef BROKEN_DEATH_BEFORE_H
        ask(OWNER(h[b]), dead) /* of who owned it then */
#else
        v = h[b]
#endif
       };
#ifdef BROKEN_DEATH_BEFORE_H
       atomic { v = h[b]; if :: STATE(v) == RETIRED -> dead = 1 :: else -> skip fi };
#else
       atomic { if :: STATE(v) == OWNED -> ask(OWNER(v), dead) :: else -> dead = 1 fi };
#endif
       atomic {
        if
        :: dead && STATE(v) == OWNED ->
#ifdef BROKEN_CAS_WITHOUT_GENERATION
            if
            :: STATE(h[b]) == OWNED && OWNER(h[b]) == OWNER(v) -> v = h[b]
            :: else -> skip
            fi;
#endif
            move(b, v, MAKE(v, 0, RETIRED))
        :: dead && STATE(v) == RETIRED -> move(b, v, MAKE(v, 0, FREE))
        :: else -> skip
        fi;
        v = 0;
        dead = 0;
#if NB > 1
        b = 1 - b
#endif
       }
    :: v == 0 -> break
    od
}

proctype death()
{
    byte p, i;
    do
    :: atomic {
        deaths < DEATHS -> deaths++;
        p = 1;
        do
        :: p < PIDS - 1 -> p++
        :: break
        od;
        gone = gone | (1 << p);
        i = 0;
        do /* the kernel drops its locks */
        :: i < NI ->
            if :: life[i] == p -> life[i] = 0 :: else -> skip fi;
            if :: reap[i] == p -> reap[i] = 0 :: else -> skip fi;
            i++
        :: else -> break
        od;
        i = 0;
        p = 0
       }
    :: break
    od
}

proctype finish()
{
    byte b, q;
    bit dead;
    atomic {
        timeout;
        do
        :: b < NB ->
            if
            :: STATE(h[b]) == OWNED && (gone & (1 << owner[b])) -> ask(OWNER(h[b]), dead); assert(dead) /* A4 */
            :: else -> skip
            fi;
            b++
        :: else -> break
        od;
        b = 0;
        dead = 0
    }
}

init
{
    atomic {
        run user();
        run user();
#if USERS > 2
        run user();
#endif
#if REAPERS > 0
        run reaper();
#endif
#if REAPERS > 1
        run reaper();
#endif
#if SWEEPERS > 0
        run sweeper();
#endif
        run death();
        run finish()
    }
}
