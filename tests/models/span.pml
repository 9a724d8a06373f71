/* SPDX-License-Identifier: MIT
 *
 * Emptying a span so that another class may use it: takers of blocks, evacuators, and those who call an
 * evacuation off, all of whom may be stopped at any step.
 *
 * What is modelled
 *   One span with NB blocks, its word {state, count}, H {state, generation} of each block, one slot per
 *   block, and per process one pin (on a block) and one guard (on the span).  After the reformat every H
 *   is payload of another class and looks like a FREE or a RETIRED block of the old one.
 *   A step is one access to shared memory.
 *
 *   take      load the span word (READY); pin the block; re-read the word; load H; CAS FREE -> OWNED;
 *             SEALED in a READY span is unsealed first
 *   free      guard; re-read the word (READY or DRAIN); load H; look at all pins; CAS RETIRED -> FREE
 *   reuse     load H; look at all pins; then, any time later: pin; re-read the word (READY, as before the look);
 *             CAS RETIRED -> OWNED
 *   evacuate  READY -> DRAIN, or join one; per block: guard, re-read the word, then FREE -> SEALED, or
 *             move the record away, RETIRED -> SEALED; then
 *             DRAIN -> CLOSED   nobody begins to work on an H any more: no re-read of the word succeeds
 *             look at all pins and guards of others: none
 *             look at all blocks: SEALED
 *             CLOSED -> CLAIMED and reformat
 *             (with -DNO_JOIN: no CLOSED; an evacuation is begun, never joined, and nobody else begins to
 *             work on an H in DRAIN, so that the looks can be made in DRAIN)
 *   call off  DRAIN or CLOSED -> READY by anyone, then SEALED -> FREE under a guard that found READY
 *
 * What is asserted
 *   P1 nobody attempts a CAS on an H of the old format after the reformat
 *   P2 at the reformat every block is SEALED and no slot names one
 *   P3 a pinned record is not reused
 */
#ifndef NB
#define NB 1
#endif
#ifndef TAKERS
#define TAKERS 1
#endif
#ifndef TAKES
#define TAKES 1
#endif
#ifndef DRAINERS
#define DRAINERS 2
#endif
#ifndef COUNT_MAX
#define COUNT_MAX 6 /* no evacuation begins after so many changes of the span word */
#endif
#define PIDS (TAKERS + DRAINERS + 1)

#define READY 1
#define DRAIN 2
#define CLOSED 3
#define CLAIMED 4
#define WORD(state, count) (((count) << 3) | (state))
#define IS(w) ((w) & 7)
#define COUNT(w) ((w) >> 3)

#define FREE 0
#define OWNED 1
#define PUB 2
#define RETIRED 3
#define SEALED 4
#define H(state, h) (((h) & 248) | (state))
#define NEW(h) ((h) + 8)
#define GENERATION(h) ((h) >> 3)

byte span = WORD(READY, 0);
byte h[NB];     /* generation, state */
byte named[NB]; /* the generation under which the slot names block b, 0: it does not */
byte pin[PIDS]; /* block + 1 */
bit guard[PIDS];
bit reformatted;

#ifdef NO_JOIN
#define MAY_WORK(w) (IS(w) == READY)
#else
#define MAY_WORK(w) (IS(w) == READY || IS(w) == DRAIN)
#endif
#if !defined(NO_JOIN) && !defined(BROKEN_SCAN_IN_DRAIN)
#define WITH_CLOSED
#endif

/* One CAS on H; inside atomic. */
inline cas_h(from, to, done)
{
    assert(!reformatted); /* P1 */
    if
    :: h[b] == from -> h[b] = to; done = 1
    :: else -> done = 0
    fi
}

/* ret = 1 if another process pins block b, or with `any` guards the span; a step per process. */
inline look_at_hazards(any, ret)
{
    q = 1;
    ret = 0;
    do
    :: atomic {
        q < PIDS ->
        if
        :: q != _pid && (pin[q] == b + 1 || (any && (pin[q] || guard[q]))) -> ret = 1
        :: else -> skip
        fi;
        q++
       }
    :: atomic { q >= PIDS -> q = 0; break }
    od
}

/* SEALED -> FREE by who found READY under a guard or pin: block b. */
inline unseal(done)
{
    atomic { v = h[b] };
    atomic {
        if
        :: (v & 7) == SEALED -> cas_h(v, H(FREE, v), done)
        :: else -> skip
        fi;
        v = 0;
        done = 0
    }
}

/* Pin the record that the slot names, make it PUB if its owner has not yet, unlink it, retire it. */
inline retire(done)
{
    pin[_pid] = b + 1;
    atomic {
        g = named[b];
        if
        :: g -> v = h[b]; assert(GENERATION(v) == g && ((v & 7) == OWNED || (v & 7) == PUB)) /* P3 */
        :: else -> skip
        fi
    };
    if
    :: atomic { g != 0 && (v & 7) == OWNED -> cas_h(v, H(PUB, v), done); v = 0 }
    :: else -> skip
    fi;
    atomic {
        if
        :: g != 0 && named[b] == g -> named[b] = 0; done = 1 /* the CAS on the slot */
        :: else -> done = 0
        fi
    };
    if
    :: atomic { done -> v = h[b]; assert(GENERATION(v) == g && (v & 7) == PUB) }; /* P3 */
       atomic { cas_h(v, H(RETIRED, v), done) }
    :: else -> skip
    fi;
    atomic { pin[_pid] = 0; v = 0; g = 0; done = 0 }
}

proctype taker()
{
    byte w, b, v, q, g, n;
    bit done, seen, reused;

again:
    atomic {
        n < TAKES -> n++;
        if
        :: b = 0
#if NB > 1
        :: b = 1
#endif
        fi;
        w = span; /* a hint, as old as the scheduler likes */
        if
        :: IS(w) == READY -> skip
        :: else -> w = 0; b = 0; goto again
        fi
    };
    pin[_pid] = b + 1;
#ifndef BROKEN_TAKER_TRUSTS_HINT
    atomic {
        if
        :: span != w -> goto drop
        :: else -> w = 0
        fi
    };
#endif
    unseal(done);
    atomic {
        v = h[b];
        if
        :: (v & 7) != FREE -> goto drop
        :: else -> skip
        fi
    };
    atomic {
        cas_h(v, NEW(H(OWNED, v)), done);
        if
        :: done -> v = NEW(H(OWNED, v)); done = 0
        :: else -> goto drop
        fi
    };
owned:
    if
    :: atomic { /* not placed after all */
        cas_h(v, H(FREE, v), done);
        assert(done);
        goto drop
       }
    :: named[b] = GENERATION(v) /* placed, LIVE */
    fi;
    atomic { cas_h(v, H(PUB, v), done); v = 0; done = 0 }; /* or an unlinker did */
    pin[_pid] = 0;
    if
    :: goto drop /* leaves it there */
    :: retire(done)
    fi;
    /* free it */
    atomic {
        w = span;
        if
        :: MAY_WORK(w) -> skip
        :: else -> goto drop
        fi
    };
#ifndef BROKEN_FREE_UNGUARDED
    guard[_pid] = 1;
    atomic {
        if
        :: span != w -> goto drop
        :: else -> w = 0
        fi
    };
#endif
    atomic {
        v = h[b];
        if
        :: (v & 7) != RETIRED -> goto drop
        :: else -> skip
        fi
    };
    look_at_hazards(0, seen);
    if
    :: atomic { seen -> goto drop }
    :: atomic { !seen -> cas_h(v, H(FREE, v), done); goto drop }
    :: atomic { !seen && !reused && span != 0 -> w = span }
    fi;
reuse:
    atomic { reused = 1; seen = 0; guard[_pid] = 0 };
    pin[_pid] = b + 1;
#ifndef BROKEN_REUSE_TRUSTS_WORD
    atomic {
        if
        :: span != w || IS(w) != READY -> goto drop
        :: else -> skip
        fi
    };
#endif
    atomic {
        w = 0;
        cas_h(v, NEW(H(OWNED, v)), done);
        if
        :: done -> v = NEW(H(OWNED, v)); done = 0; goto owned
        :: else -> goto drop
        fi
    };
drop:
    atomic { pin[_pid] = 0; guard[_pid] = 0; w = 0; v = 0; b = 0; seen = 0; done = 0; goto again }
}

proctype drainer()
{
    byte w, b, v, q, g;
    bit done, seen;

again:
    atomic { COUNT(span) < COUNT_MAX && span != 0 -> w = span };
    atomic {
        if
        :: IS(w) == READY ->
            if
            :: span == w -> w = WORD(DRAIN, COUNT(w) + 1); span = w
            :: else -> w = 0; goto again
            fi
#ifdef NO_JOIN
        :: IS(w) == DRAIN -> goto call_off /* another's */
#else
        :: IS(w) == DRAIN -> skip /* join */
#endif
        :: IS(w) == CLOSED ->
            if
            :: goto close /* go on with it */
            :: goto call_off
            fi
        :: else -> w = 0; goto stop
        fi
    };
    b = 0;
block:
    guard[_pid] = 1;
#ifndef BROKEN_DRAINER_TRUSTS_WORD
    atomic {
        if
        :: span != w -> goto drop
        :: else -> skip
        fi
    };
#endif
    atomic {
        v = h[b];
        if
        :: (v & 7) == OWNED -> v = 0; goto call_off
        :: (v & 7) == SEALED -> v = 0; goto sealed
        :: (v & 7) == FREE -> goto seal
        :: (v & 7) == RETIRED -> goto reclaim
        :: (v & 7) == PUB && named[b] == 0 -> v = 0; goto call_off /* its unlinker is slow */
        :: (v & 7) == PUB && named[b] != 0 -> v = 0
        fi
    };
    retire(done); /* a copy of it elsewhere takes its slot */
    goto block;
reclaim:
    look_at_hazards(0, seen);
    atomic {
        if
        :: seen -> seen = 0; v = 0; goto call_off
        :: else -> skip
        fi
    };
seal:
    atomic {
        cas_h(v, H(SEALED, v), done);
        v = 0;
        if
        :: done -> done = 0
        :: else -> goto block
        fi
    };
sealed:
    atomic {
        b++;
        if
        :: b < NB -> goto block
        :: else -> b = 0
        fi
    };
#ifdef WITH_CLOSED
    atomic {
        if
        :: span == w -> w = WORD(CLOSED, COUNT(w) + 1); span = w
        :: else -> goto drop
        fi
    };
#endif
close:
#ifdef BROKEN_SEALS_BEFORE_HAZARDS
    b = 0;
    do
    :: atomic { b < NB && (h[b] & 7) == SEALED -> b++ }
    :: atomic { b < NB && (h[b] & 7) != SEALED -> b = 0; goto call_off }
    :: atomic { b >= NB -> b = 0; break }
    od;
#endif
#ifndef BROKEN_NO_HAZARD_SCAN
    look_at_hazards(1, seen);
    atomic {
        if
        :: seen -> seen = 0; goto call_off
        :: else -> skip
        fi
    };
#endif
#ifndef BROKEN_SEALS_BEFORE_HAZARDS
    do
    :: atomic { b < NB && (h[b] & 7) == SEALED -> b++ }
    :: atomic { b < NB && (h[b] & 7) != SEALED -> b = 0; goto call_off }
    :: atomic { b >= NB -> b = 0; break }
    od;
#endif
    atomic {
        if
        :: span == w ->
            span = WORD(CLAIMED, COUNT(w) + 1);
            do
            :: b < NB ->
                assert((h[b] & 7) == SEALED && !named[b]); /* P2 */
                if
                :: h[b] = H(FREE, h[b])
                :: h[b] = H(RETIRED, h[b])
                fi;
                b++
            :: else -> b = 0; break
            od;
            reformatted = 1
        :: else -> skip
        fi
    };
    goto drop;

call_off:
    atomic {
        if
#ifdef BROKEN_CALL_OFF_RESTORES_WORD
        :: span == w && IS(w) == CLOSED -> w = WORD(READY, COUNT(w) - 2); span = w
        :: span == w && IS(w) == DRAIN -> w = WORD(READY, COUNT(w) - 1); span = w
#else
        :: span == w && (IS(w) == DRAIN || IS(w) == CLOSED) -> w = WORD(READY, COUNT(w) + 1); span = w
#endif
        :: else -> goto drop
        fi
    };
#ifndef BROKEN_UNSEAL_UNGUARDED
    guard[_pid] = 1;
    atomic {
        if
        :: span != w -> goto drop
        :: else -> skip
        fi
    };
#else
    guard[_pid] = 0;
#endif
    b = 0;
    do
    :: b < NB -> unseal(done); b++
    :: atomic { b >= NB -> b = 0; break }
    od;
drop:
    atomic { guard[_pid] = 0; pin[_pid] = 0; w = 0; b = 0; v = 0; goto again };
stop:
    skip
}

init
{
    atomic {
        if
        :: skip
        :: h[0] = H(PUB, 8); named[0] = 1
        :: h[0] = H(RETIRED, 8)
        :: h[0] = H(SEALED, 8) /* of an evacuation called off */
        fi;
        run taker();
#if TAKERS > 1
        run taker();
#endif
        run drainer();
#if DRAINERS > 1
        run drainer();
#endif
#if DRAINERS > 2
        run drainer();
#endif
    }
}
