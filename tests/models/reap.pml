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
 *   attach   reap lock; is life free?; attached = 2, if it was not 0: a dead one's; life lock; clear
 *            hazards; attached = 1, if it was 0; settle what is named; attached = 1; drop reap.
 *            The life lock may fail: then drop reap, and no more
 *   own      name the block in the entry; CAS H FREE -> OWNED(i), new generation
 *   reap     attached, 0: decided; life free; reap lock, busy: undecided; attached and life again; settle:
 *            named blocks, hazards, attached = 0; drop reap: decided.
 *            Where life is held: attached once more, 2: undecided, else decided
 *   sweep    read H; life of its owner free; CAS H, full generation
 *
 * What is asserted
 *   A1 nobody but its owner moves a block of a living owner
 *   A2 nobody but its owner clears a hazard of a living owner
 *   A3 when an attachment begins, no block is OWNED by its index: what is named is settled, and nothing
 *      else could tell such a block from one of its own
 *   A4 in the end each block OWNED by a dead owner is seen to be so by who asks
 *   A5 when a reaper says "decided" of an entry, no block is OWNED by its index and by one that was dead
 *      before the reaper began.  The dead take no block, so what holds of each entry holds of all of them
 *      behind a reaper that went over all
 *   A6 the entry of who is at work says 1, so that no reaper calls it undecided
 *
 * What is merged
 *   The load of attached with the mark 2: under the reap lock, life free, nobody else writes attached.
 *   A5's look at the blocks with the reaper's last access, and what it is compared with with the first one:
 *   the dead become more and their blocks fewer, so these are the moments at which it says most.
 *   Death with forgetting the own variables: where the dead one stood means nothing to anybody.
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
byte attached[NI]; /* 2 = taken over from a dead one, not settled yet */
byte named[NI];  /* block + 1 */
byte hazard[NI]; /* whose */
byte h[NB];
byte owner[NB];  /* who made it OWNED, 0 = nobody: what H cannot tell */
byte gone;       /* bit p: p is dead */
byte ended;      /* bit p: p has come to its end, where death would change nothing */
byte deaths;
byte dying;      /* dead, and has not forgotten its variables yet: nobody else moves until then */
#define RUNS provided (dying == 0 || dying == _pid)
#define DEATH dying == _pid -> dying = 0

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
        h[b] = to;
        owner[b] = 0
    :: else -> skip
    fi
}

inline choose(x, n)
{
    if
    :: x = 0
    :: n > 1 -> x = 1
    fi
}

inline end() { ended = ended | (1 << _pid) }

/* What the entry names; the caller holds its reap lock. */
inline settle_names(i)
{
    atomic { b = named[i]; if :: b == 0 -> goto drop_name :: else -> b-- fi };
#ifdef BROKEN_NAME_DROPPED
    /* the span word changed between two looks: taken for "no such block" */
    if
    :: skip
    :: goto drop_name
    fi;
#endif
    atomic { v = h[b]; if :: STATE(v) == OWNED && OWNER(v) == i -> skip :: else -> goto drop_name fi };
    atomic { move(b, v, MAKE(v, 0, RETIRED)) };
    atomic { move(b, MAKE(v, 0, RETIRED), MAKE(v, 0, FREE)) };
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

inline drop_reap(i)
{
    if :: reap[i] == _pid -> reap[i] = 0 :: else -> skip fi
}

/* A5 looks for who is dead now and owns a block as i: no other one who is dead now will ever own one. */
inline remember_dead(i)
{
    q = 0;
    do
    :: q < NB ->
        if
        :: STATE(h[q]) == OWNED && OWNER(h[q]) == i -> began = began | (gone & (1 << owner[q]))
        :: else -> skip
        fi;
        q++
    :: else -> break
    od;
    q = 0
}

inline undecided(i)
{
    began = 0;
    i = 0;
    end()
}

inline decided(i)
{
    q = 0;
    do
    :: q < NB ->
        assert(STATE(h[q]) != OWNED || OWNER(h[q]) != i || !(began & (1 << owner[q]))); /* A5 */
        q++
    :: else -> break
    od;
    q = 0;
    undecided(i)
}

proctype user() RUNS
{
    byte i, b, v, q;
    bit dead, heir;

    {
    /* -- attach -- */
    atomic {
        choose(i, NI);
#ifdef BROKEN_PID_LIVENESS
        os_pid[_pid] = (_pid == 2 && (gone & 2) -> 1 : _pid);
#endif
#ifndef BROKEN_ATTACH_WITHOUT_REAP
        if
        :: reap[i] == 0 -> reap[i] = _pid
        :: else -> i = 0; end(); goto stop
        fi
#endif
    };
#ifdef BROKEN_MARK_UNASKED
    atomic { if :: attached[i] -> heir = 1; attached[i] = 2 :: else -> skip fi };
#endif
    atomic {
#ifdef BROKEN_PID_LIVENESS
        if
        :: attached[i] -> ask(i, dead)
        :: else -> dead = 1
        fi;
#else
        ask(i, dead);
#endif
        if
        :: dead -> dead = 0
        :: else -> heir = 0; drop_reap(i); i = 0; end(); goto stop
        fi
    };
#ifndef BROKEN_MARK_UNASKED
    atomic {
        if
#if defined BROKEN_NO_MARK || defined BROKEN_MARK_AFTER_LIFE
        :: attached[i] -> heir = 1
#else
        :: attached[i] -> heir = 1; attached[i] = 2
#endif
        :: else -> skip
        fi
    };
#endif
    atomic {
        if
        :: life[i] == 0 ->
#ifdef BROKEN_PID_LIVENESS
            pid_of[i] = os_pid[_pid]
#else
            life[i] = _pid
#endif
        :: true -> goto failed /* an error of the kernel; or held, in a variant without a lock */
        fi
    };
#ifdef BROKEN_MARK_AFTER_LIFE
    if :: heir -> attached[i] = 2 :: else -> skip fi;
#endif
    clear_hazard(i);
    if
    :: !heir -> attached[i] = 1
    :: else -> heir = 0
    fi;
#ifdef BROKEN_UNMARK_BEFORE_SETTLING
    attached[i] = 1;
#endif
#ifndef BROKEN_ATTACH_DOES_NOT_SETTLE
    settle_names(i);
#endif
#ifndef BROKEN_NO_UNMARK
    attached[i] = 1;
#endif
    atomic {
        drop_reap(i);
        q = 0;
        do
        :: q < NB -> assert(STATE(h[q]) != OWNED || OWNER(h[q]) != i); q++ /* A3 */
        :: else -> break
        od;
        q = 0
    };

    /* -- work -- */
    hazard[i] = _pid;
    atomic {
        choose(b, NB);
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
        atomic { assert(h[b] == v); assert(hazard[i] == _pid); assert(attached[i] == 1) /* A6 */ };
        atomic { move(b, v, MAKE(v, 0, RETIRED)) }
    :: else -> skip
    fi;
    atomic { named[i] = 0; v = 0; b = 0 };
detach:
    clear_hazard(i);
    attached[i] = 0;
    atomic { life[i] = 0; i = 0; end(); goto stop };
failed:
#ifdef BROKEN_FAILURE_CLEARS
    attached[i] = 0;
#endif
    atomic { heir = 0; drop_reap(i); i = 0; end() };
stop:
    false
    } unless { atomic { DEATH; i = 0; b = 0; v = 0; q = 0; dead = 0; heir = 0 } };
    false
}

proctype reaper() RUNS
{
    byte i, b, v, q, began;
    bit dead;
#ifdef BROKEN_REAPER_LOOKS_EARLY
    byte early;
#endif

    {
    atomic {
        choose(i, NI);
        remember_dead(i);
#ifdef BROKEN_REAPER_LOOKS_EARLY
        early = attached[i];
#endif
        if
        :: attached[i] == 0 -> decided(i); goto stop
        :: else -> skip
        fi
    };
    atomic { ask(i, dead); if :: dead -> dead = 0 :: else -> goto living fi };
#ifndef BROKEN_REAPER_WITHOUT_LOCK
    atomic {
        if
        :: reap[i] == 0 -> reap[i] = _pid
#ifdef BROKEN_BUSY_IS_DECIDED
        :: else -> decided(i); goto stop
#else
        :: else -> undecided(i); goto stop
#endif
        fi
    };
#endif
#ifndef BROKEN_NO_SECOND_LOOK
    if
    :: attached[i] == 0 -> goto taken
    :: else -> skip
    fi;
    atomic { ask(i, dead); if :: dead -> dead = 0 :: else -> goto taken fi };
#endif
    settle_names(i);
    clear_hazard(i);
    attached[i] = 0;
    atomic { drop_reap(i); decided(i); goto stop };
taken:
    atomic { drop_reap(i) };
living:
    atomic {
        if
#if defined BROKEN_REAPER_TRUSTS_LIFE
        :: false
#elif defined BROKEN_REAPER_LOOKS_EARLY
        :: early == 2 -> undecided(i)
#elif defined BROKEN_REAPER_ASKS_REAP
        :: reap[i] != 0 -> undecided(i)
#else
        :: attached[i] == 2 -> undecided(i)
#endif
        :: else -> decided(i)
        fi
    };
stop:
    false
    } unless { atomic { DEATH; i = 0; b = 0; v = 0; q = 0; dead = 0; began = 0 } };
    false
}

proctype sweeper() RUNS
{
    byte b, v, q;
    bit dead;

    {
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
    :: atomic { v == 0 -> b = 0; end(); goto stop }
    od;
stop:
    false
    } unless { atomic { DEATH; b = 0; v = 0; q = 0; dead = 0 } };
    false
}

inline dies(p)
{
    deaths++;
    gone = gone | (1 << p);
    do /* the kernel drops its locks */
    :: i < NI ->
        if :: life[i] == p -> life[i] = 0 :: else -> skip fi;
        if :: reap[i] == p -> reap[i] = 0 :: else -> skip fi;
        i++
    :: else -> break
    od;
    i = 0;
    dying = p
}
#define MAY_DIE(p) (deaths < DEATHS && p < PIDS && !((gone | ended) & (1 << p)))

proctype death() provided (dying == 0)
{
    byte i;
    do
    :: atomic { MAY_DIE(1) -> dies(1) }
    :: atomic { MAY_DIE(2) -> dies(2) }
    :: atomic { MAY_DIE(3) -> dies(3) }
    :: atomic { MAY_DIE(4) -> dies(4) }
    :: atomic { MAY_DIE(5) -> dies(5) }
    :: atomic { MAY_DIE(6) -> dies(6) }
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
