/* SPDX-License-Identifier: MIT
 *
 * Counting records: every transfer OWNED -> PUB and PUB -> RETIRED is counted exactly once, whoever dies
 * in between.
 *
 * What is modelled
 *   One slot, two blocks, WORKERS attachments that put, delete, sweep and settle the dead; DEATHS of them
 *   die, anywhere.  An attachment's counter is {count, seq, pending}, one word; beside it pending_block
 *   and pending_h.  H is {generation, owner, PENDING, state}.
 *   A step is one access to shared memory; pending_block and pending_h count as one.
 *
 *   counted transfer   pending_block, pending_h; counter: pending; CAS H; counter, by a store: count +- 1 if the
 *                      CAS on H worked, pending cleared in any case; PENDING is cleared from a PUB after that
 *   help               before H is moved away from PUB|PENDING or RETIRED: read the maker's counter;
 *                      pending on this very H: CAS its counter to count +- 1, cleared
 *   unlink             a record still OWNED is made PUB first (by the unlinker, counted to it); CAS the slot;
 *                      retire (-1)
 *   sweep              PUB and not referenced: retire (-1); RETIRED: free; OWNED by a dead one: PUB if it is
 *                      referenced, else RETIRED, not counted
 *   settle the dead    H is pending_h: add; else only clear; then the block that the entry names
 *
 * What is asserted
 *   K1 sum of counts + transfers that took place and are pending = blocks in state PUB, at every moment
 *   K2 in the end, when the dead are settled and unreferenced blocks retired: sum of counts = LIVE slots
 *   K3 nothing is retired that the slot names
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef N_OPS
#define N_OPS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#define NB 2
#define ENTRIES (WORKERS + 1)

#define PUT 1
#define DEL 2
#define SWEEP 3
#define SETTLE 4

/* H */
#define FREE 0
#define OWNED 1
#define PUB 2
#define RETIRED 3
#define PENDING 4
#define STATE(h) ((h) & 3)
#define OWNER(h) (((h) >> 3) & 7)
#define GENERATION(h) ((h) >> 6)
#define MAKE(g, owner, bits) (((g) << 6) | ((owner) << 3) | (bits))
#define NAME(b, g) (((b) + 1) | ((g) << 2)) /* slot */
#define NAMES(b, g) (slot == NAME(b, g))

#define PLUS 1
#define MINUS 2
#define DELTA(p) ((p) == PLUS -> 1 : -1)

#ifdef BROKEN_NO_SEQ
#define NEXT_SEQ(s) s
#else
#define NEXT_SEQ(s) ((s) + 1)
#endif

short slot;
short h[NB];
short count[ENTRIES];
byte seq[ENTRIES], pending[ENTRIES], pending_block[ENTRIES];
short pending_h[ENTRIES];
byte owned[ENTRIES]; /* block + 1: named before the CAS that makes it OWNED */
byte dead, settled, deaths;
byte lock; /* who settles the dead one */

inline check()
{
    x = 0;
    sum = 0;
    do
    :: x < ENTRIES ->
        sum = sum + count[x];
        if
        :: pending[x] && h[pending_block[x]] == pending_h[x] -> sum = sum + DELTA(pending[x])
        :: else -> skip
        fi;
        x++
    :: else -> break
    od;
    x = 0;
    do
    :: x < NB -> if :: STATE(h[x]) == PUB -> sum-- :: else -> skip fi; x++
    :: else -> break
    od;
    assert(sum == 0); /* K1 */
    x = 0
}

/* Settle the counter of `who`, seen as {c, s, p}. */
inline counter_cas(who, c, s, p, add)
{
    if
    :: count[who] == c && seq[who] == s && pending[who] == p ->
        count[who] = c + (add -> DELTA(p) : 0);
        seq[who] = NEXT_SEQ(s);
        pending[who] = 0
    :: else -> skip
    fi;
    check()
}

/* CAS h[b] from `from` to `to`, counted; done = 1 if it worked. */
inline count_cas(b, from, to, delta)
{
    atomic { pending_block[_pid] = b; pending_h[_pid] = to };
#ifndef BROKEN_LATE_PENDING
    atomic { pending[_pid] = delta; seq[_pid] = NEXT_SEQ(seq[_pid]); mine_count = count[_pid]; mine_seq = seq[_pid] };
#endif
    atomic {
        if
        :: h[b] == from ->
            h[b] = to;
            done = 1;
            assert(delta == PLUS || !NAMES(b, GENERATION(to))) /* K3 */
        :: else -> done = 0
        fi;
#ifndef BROKEN_LATE_PENDING
        check()
#endif
    };
#ifdef BROKEN_LATE_PENDING
    atomic { pending[_pid] = delta; seq[_pid] = NEXT_SEQ(seq[_pid]); mine_count = count[_pid]; mine_seq = seq[_pid] };
#endif
#ifdef BROKEN_EARLY_CLEAR
    atomic { if :: done && h[b] == to && STATE(to) == PUB -> h[b] = to - PENDING :: else -> skip fi };
#endif
    atomic { /* a store of what was computed from the word that was pending: while it is, nobody but a helper changes it,
              * who leaves the same word */
        count[_pid] = mine_count + (done -> DELTA(delta) : 0);
        seq[_pid] = NEXT_SEQ(mine_seq);
        pending[_pid] = 0;
        mine_count = 0;
        mine_seq = 0;
        check()
    };
    atomic {
        if
        :: done && h[b] == to && STATE(to) == PUB -> h[b] = to - PENDING
        :: else -> skip
        fi
    }
}

/* h[b] == v is about to be moved on. */
inline help(b, v)
{
    if
    :: atomic {
        (STATE(v) == PUB && (v & PENDING)) || STATE(v) == RETIRED ->
        who = OWNER(v);
        c = count[who];
        s = seq[who];
        p = pending[who]
       };
       if
       :: p != 0 ->
           atomic {
#ifdef BROKEN_HELPER_DOES_NOT_COMPARE
            if
            :: true -> skip
#else
            if
            :: pending_block[who] == b && pending_h[who] == v -> skip
            :: else -> p = 0
#endif
            fi
           };
           atomic {
            if
            :: p != 0 -> counter_cas(who, c, s, p, 1)
            :: else -> skip
            fi
           }
       :: else -> skip
       fi;
       atomic { who = 0; c = 0; s = 0; p = 0 }
    :: else -> skip
    fi
}

#ifdef BROKEN_NO_HELP
#define HELP(b, v) skip
#else
#define HELP(b, v) help(b, v)
#endif
#if defined(BROKEN_NO_HELP) || defined(BROKEN_SWEEPER_DOES_NOT_HELP)
#define SWEEPER_HELPS(b, v) if :: op != SWEEP -> HELP(b, v) :: else -> skip fi
#else
#define SWEEPER_HELPS(b, v) help(b, v)
#endif

/* PUB, unlinked, of generation g -> RETIRED. */
inline retire(b, g)
{
    do
    :: atomic { v = h[b]; if :: GENERATION(v) != g || STATE(v) != PUB -> v = 0; break :: else -> skip fi };
       SWEEPER_HELPS(b, v);
       count_cas(b, v, MAKE(g, _pid, RETIRED), MINUS);
       if :: done -> break :: else -> skip fi
    od;
    atomic { v = 0; done = 0 }
}

/* One block that is not the worker's business otherwise. */
inline settle_block(b)
{
    /* H, then the death of its owner, then the slot: in this order */
#ifdef BROKEN_SLOT_BEFORE_H
    atomic { seen = slot };
    atomic { v = h[b] };
    atomic { done = (STATE(v) == OWNED && (dead & (1 << OWNER(v)))) };
#elif defined(BROKEN_SLOT_BEFORE_DEATH_TEST)
    atomic { v = h[b] };
    atomic { seen = slot };
    atomic { done = (STATE(v) == OWNED && (dead & (1 << OWNER(v)))) };
#else
    atomic { v = h[b] };
    atomic { done = (STATE(v) == OWNED && (dead & (1 << OWNER(v)))) };
    atomic { seen = slot };
#endif
    if
    :: done && seen == NAME(b, GENERATION(v)) ->
        count_cas(b, v, MAKE(GENERATION(v), _pid, PUB | PENDING), PLUS)
    :: done && seen != NAME(b, GENERATION(v)) ->
        atomic {
            if
            :: h[b] == v ->
                h[b] = MAKE(GENERATION(v), _pid, RETIRED);
                assert(!NAMES(b, GENERATION(v))) /* K3 */
            :: else -> skip
            fi;
            check()
        }
    :: STATE(v) == PUB && seen != NAME(b, GENERATION(v)) ->
        g = GENERATION(v);
        retire(b, g)
    :: STATE(v) == RETIRED ->
        SWEEPER_HELPS(b, v);
        atomic { if :: h[b] == v -> h[b] = MAKE(GENERATION(v), 0, FREE) :: else -> skip fi; check() }
    :: else -> skip
    fi;
    atomic { v = 0; seen = 0; done = 0; g = 0 }
}

proctype worker(short script) provided (!(dead & (1 << _pid)))
{
    byte op, mine, b, who, s, p, x, g, mg, mine_seq;
    short v, w, c, seen, sum, mine_count;
    bit done;

next:
    atomic {
        op = script & 7;
        script = script >> 3;
        if
        :: op == 0 -> goto stop
        :: op == PUT -> skip
        :: op == DEL -> goto unlink
        :: op == SWEEP -> goto sweep
        :: op == SETTLE -> goto settle
        fi
    };

    /* -- put -- */
    atomic { /* see reap.pml for the order of these */
        mine = 0;
        do
        :: mine < NB && STATE(h[mine]) == FREE ->
            mg = GENERATION(h[mine]) + 1;
            h[mine] = MAKE(mg, _pid, OWNED);
            owned[_pid] = mine + 1;
            break
        :: mine < NB && STATE(h[mine]) != FREE -> mine++
        :: else -> mine = 0; goto done_op /* full */
        od
    };
unlink: /* what is there; put and delete */
    atomic { /* load the slot, pin, load H */
        w = slot;
        if
        :: w == 0 && op == DEL -> goto done_op
        :: w == 0 && op == PUT -> goto swing
        :: else -> b = (w & 3) - 1; g = w >> 2; v = h[b]
        fi
    };
    if
    :: STATE(v) == OWNED -> count_cas(b, v, MAKE(g, _pid, PUB | PENDING), PLUS)
    :: else -> skip
    fi;
swing:
    atomic {
        v = 0;
        done = 0;
        if
        :: slot == w -> slot = (op == PUT -> NAME(mine, mg) : 0)
        :: else -> w = 0; b = 0; g = 0; goto unlink
        fi
    };
    if
    :: w != 0 -> w = 0; retire(b, g)
    :: else -> skip
    fi;
    atomic { b = 0; g = 0 };
    if
    :: op == PUT ->
        count_cas(mine, MAKE(mg, _pid, OWNED), MAKE(mg, _pid, PUB | PENDING), PLUS);
        atomic { owned[_pid] = 0; mine = 0; mg = 0 }
    :: else -> skip
    fi;
    goto done_op;

    /* -- sweep one block -- */
sweep:
    if
    :: b = 0
    :: b = 1
    fi;
    settle_block(b);
    goto done_op;

    /* -- settle a dead entry, under its reap lock -- */
settle:
    atomic {
        who = 0;
        if
        :: (lock == 0 || (dead & (1 << lock))) && (dead & 2) && !(settled & 2) -> who = 1
#if WORKERS > 1
        :: (lock == 0 || (dead & (1 << lock))) && (dead & 4) && !(settled & 4) -> who = 2
#endif
#if WORKERS > 2
        :: (lock == 0 || (dead & (1 << lock))) && (dead & 8) && !(settled & 8) -> who = 3
#endif
        :: else -> goto done_op
        fi;
        lock = _pid
    };
    atomic { c = count[who]; s = seq[who]; p = pending[who] };
    if
    :: p != 0 ->
#ifdef BROKEN_SETTLER_ALWAYS_ADDS
        done = 1;
#elif defined(BROKEN_SETTLER_GIVES_UP)
        /* the span word changed between two looks: taken for "did not happen" */
        if
        :: atomic { done = (h[pending_block[who]] == pending_h[who]) }
        :: done = 0
        fi;
#else
        atomic { done = (h[pending_block[who]] == pending_h[who]) };
#endif
        atomic { counter_cas(who, c, s, p, done) }
    :: else -> skip
    fi;
    atomic { c = 0; s = 0; p = 0; done = 0; mine = who; who = 0; b = owned[mine] };
    if
    :: b != 0 -> b = b - 1; settle_block(b)
    :: else -> skip
    fi;
    atomic { owned[mine] = 0; settled = settled | (1 << mine); mine = 0; lock = 0 };

done_op:
    atomic { op = 0; b = 0; who = 0; g = 0; v = 0; w = 0; goto next };
stop:
    skip
}

proctype death()
{
    do
    :: atomic {
        deaths < DEATHS -> deaths++;
        if
        :: dead = dead | 2
#if WORKERS > 1
        :: dead = dead | 4
#endif
#if WORKERS > 2
        :: dead = dead | 8
#endif
        fi
       }
    :: break
    od
}

/* When nothing else can move: settle the dead and sweep, then K2. */
proctype finish()
{
    byte x;
    short sum;
    atomic {
        timeout;
        do
        :: x < ENTRIES ->
            sum = sum + count[x];
            if
            :: pending[x] ->
                assert(dead & (1 << x));
                if :: h[pending_block[x]] == pending_h[x] -> sum = sum + DELTA(pending[x]) :: else -> skip fi
            :: else -> skip
            fi;
            x++
        :: else -> break
        od;
        x = 0;
        do
        :: x < NB ->
            if
            :: STATE(h[x]) == OWNED ->
                assert(dead & (1 << OWNER(h[x])));
                if :: NAMES(x, GENERATION(h[x])) -> sum++ :: else -> skip fi
            :: STATE(h[x]) == PUB && !NAMES(x, GENERATION(h[x])) -> sum--
            :: else -> skip
            fi;
            x++
        :: else -> break
        od;
        x = 0;
        assert(sum == (slot != 0 -> 1 : 0)) /* K2 */
    }
}

inline choose(o)
{
    if
    :: o = (o << 3) | PUT
    :: o = (o << 3) | DEL
    :: o = (o << 3) | SWEEP
    :: o = (o << 3) | SETTLE
    fi
}

init
{
    short a, b, c;
    atomic {
        if
        :: skip
        :: h[0] = MAKE(1, 0, PUB); slot = NAME(0, 1); count[0] = 1 /* of somebody long gone */
        fi;
#ifdef W1
        a = W1;
        b = W2;
#if WORKERS > 2
        c = W3;
#endif
#else
        choose(a);
        choose(b);
#if N_OPS > 1
        choose(a);
        choose(b);
#endif
#if N_OPS > 2
        choose(a);
        choose(b);
#endif
        a >= b; /* they are alike */
#if WORKERS > 2
        choose(c);
#if N_OPS > 1
        choose(c);
#endif
        b >= c;
#endif
#endif
        run worker(a);
        run worker(b);
#if WORKERS > 2
        run worker(c);
#endif
        run death();
        run finish();
        a = 0;
        b = 0;
        c = 0
    }
}
