/* SPDX-License-Identifier: MIT
 *
 * A get, beside those who use its block again and again.
 *
 * What is modelled
 *   One slot, one block, one span.  A record is a key and a value, written one after the other.  Generations are
 *   given once each; the slot shows the lowest bit of one, so every second record has the same slot word.
 *   WRITERS insert, in the block whenever it is free, give up what they began (or die and are settled, which
 *   is the same here), and delete.  CUTTERS cut the free span up for another class and back: meanwhile payload
 *   lies where the block's header was, and looks like any header.  A GET looks for key 0, once.
 *   A step is one access to shared memory.
 *
 *   insert   H FREE -> OWNED(g); key; value; slot FREE -> TENT -> LIVE; H OWNED -> PUB
 *   delete   slot LIVE -> FREE; H OWNED -> PUB; H PUB -> RETIRED -> FREE: no hazard is in the way, a get sets none
 *   get      slot; span; H; where it is OWNED the slot; key; value; slot; H's generation; span
 *
 * What is asserted
 *   G1 what a get returns is the value of the record that was in the slot at its last look at the slot
 *   G2 a get says "another key" only where another key was in the slot then
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef CUTTERS
#define CUTTERS 1
#endif
#ifndef RECORDS
#define RECORDS 4
#endif

#define FREE 0
#define OWNED 1
#define PUB 2
#define RETIRED 3
#define STATE(h) ((h) & 3)
#define GENERATION(h) ((h) >> 2)
#define H(g, state) (((g) << 2) | (state))
#define TAG(g) ((g) & 1)

#define TENT 2
#define LIVE 4
#define OURS(span) (((span) & 1) == 0) /* its class is the block's */

byte slot, span, h;
byte key, value;
byte given;              /* generations */
byte in_slot;            /* ghost: the generation that is LIVE, 0 = none */
bit key_of[RECORDS + 1]; /* ghost */

proctype writer()
{
    byte mine, g;
    bit k;

    do
    :: atomic { given < RECORDS && h == H(GENERATION(h), FREE) && OURS(span) ->
           given++;
           mine = given;
           h = H(mine, OWNED);
           if :: k = 0 :: k = 1 fi;
           key_of[mine] = k
       };
       key = k;
       value = mine;
       if
       :: atomic { slot == 0 -> slot = TENT | TAG(mine) };
          atomic { slot = LIVE | TAG(mine); in_slot = mine };
          atomic {
              if :: h == H(mine, OWNED) -> h = H(mine, PUB) :: else -> skip fi;
              mine = 0;
              k = 0
          }
       :: atomic { h = H(mine, FREE); mine = 0; k = 0 } /* given up, or dead and settled */
       fi
    :: atomic { (slot & LIVE) != 0 -> g = in_slot; slot = 0; in_slot = 0 };
       atomic { if :: h == H(g, OWNED) -> h = H(g, PUB) :: else -> skip fi };
       atomic { assert(h == H(g, PUB)); h = H(g, RETIRED) };
       atomic { h = H(g, FREE); g = 0 }
    :: break
    od
}

/* Only while the span is empty, which evacuation sees to. */
proctype cutter()
{
    byte was;

    do
    :: atomic { span < 4 && OURS(span) && STATE(h) == FREE -> was = h; span++ };
       do /* somebody's payload */
       :: atomic { if :: h = 0 :: h = H(1, PUB) :: h = H(2, PUB) :: h = H(3, OWNED) :: h = H(4, PUB) fi }
       :: atomic { if :: key = 0 :: key = 1 fi; value = 0 }
       :: break
       od;
       atomic { h = was; span++; was = 0 }
    :: break
    od
}

proctype get()
{
    byte w, s, seen, v, there;
    bit k;

    atomic { w = slot; if :: w & LIVE -> skip :: else -> goto end fi };
    atomic { s = span; if :: OURS(s) -> skip :: else -> goto end fi };
    atomic {
        seen = h;
        if
        :: (STATE(seen) == OWNED || STATE(seen) == PUB) && TAG(GENERATION(seen)) == (w & 1) -> skip
        :: else -> goto end
        fi
    };
#ifndef BROKEN_NO_LOOK_WHILE_OWNED
    if
    :: atomic { STATE(seen) == OWNED ->
           if :: slot == w -> skip :: else -> goto end fi
       }
    :: else -> skip
    fi;
#endif
    k = key;
    if
    :: k == 0 -> v = value
    :: else -> skip
    fi;
#ifdef BROKEN_GENERATION_BEFORE_SLOT
    atomic { if :: GENERATION(h) == GENERATION(seen) -> skip :: else -> goto end fi };
#endif
    atomic {
#ifndef BROKEN_NO_SECOND_SLOT
        if :: slot == w -> skip :: else -> goto end fi;
#endif
        there = in_slot
    };
#if !defined(BROKEN_NO_SECOND_GENERATION) && !defined(BROKEN_GENERATION_BEFORE_SLOT)
    atomic { if :: GENERATION(h) == GENERATION(seen) -> skip :: else -> goto end fi };
#endif
#ifndef BROKEN_NO_SECOND_SPAN
    atomic { if :: span == s -> skip :: else -> goto end fi };
#endif
    atomic {
        if
        :: k == 0 -> assert(there != 0 && key_of[there] == 0 && v == there) /* G1 */
        :: else -> assert(there == 0 || key_of[there] == 1)                 /* G2 */
        fi
    };
end:
    atomic { w = 0; s = 0; seen = 0; v = 0; there = 0; k = 0 }
}

init
{
    atomic {
        run writer();
#if WRITERS > 1
        run writer();
#endif
#if WRITERS > 2
        run writer();
#endif
#if CUTTERS > 0
        run cutter();
#endif
        run get()
    }
}
