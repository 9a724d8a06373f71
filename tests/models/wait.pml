/* SPDX-License-Identifier: MIT
 *
 * Waiting for a key to change: a "maybe waiters" bit per bucket in a read-mostly word, a sequence word
 * per bucket to sleep on, no counts.
 *
 * What is modelled
 *   One bucket, two keys in it, a waiter on each, WRITERS writers; writer 1 writes key 0, the others key 1,
 *   WRITES times each.  futex(WAIT) compares and goes to sleep in one
 *   step; futex(WAKE) wakes everybody.  Up to DEATHS writers die, anywhere.
 *   The re-read every 100 ms happens only if a writer has died: nothing else may need it.
 *
 *   waiter: load seq; set the bit; re-read the version; sleep while seq is what was loaded.
 *   writer: swing the slot; load the bits; if mine is set: clear it, seq+1, wake all.
 *
 * What is asserted
 *   W1 when nothing can move any more, no waiter sleeps on a key that has changed
 *   W2 a waiter returns only when its key has changed
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

bit mask;
byte seq;
bit changed[2];
bit asleep[2];
byte dead;
byte deaths;

#define WAKE atomic { asleep[0] = 0; asleep[1] = 0 }

proctype writer(bit key; byte n) provided (!(dead & (1 << _pid)))
{
    bit seen;

    do
#ifdef BROKEN_MASK_BEFORE_SWING
    :: atomic { n > 0 -> seen = mask };
       atomic { changed[key] = 1; if :: !seen -> n--; goto next :: else -> skip fi };
#else
    :: atomic { n > 0 -> changed[key] = 1 };
       atomic { seen = mask; if :: !seen -> n--; goto next :: else -> skip fi };
#endif
#if defined(BROKEN_SEQ_BEFORE_CLEAR)
       seq = (seq + 1) % 32;
       mask = 0;
#elif defined(BROKEN_WAKE_BEFORE_SEQ)
       mask = 0;
       WAKE;
       seq = (seq + 1) % 32;
#elif defined(BROKEN_NO_SEQ)
       mask = 0;
#elif defined(BROKEN_NO_CLEAR_NO_SEQ)
       skip;
#else
       mask = 0;
       seq = (seq + 1) % 32;
#endif
#ifndef BROKEN_WAKE_BEFORE_SEQ
       WAKE;
#endif
       atomic { n--; seen = 0 };
next:  skip
    :: n == 0 -> break
    od
}

#define RETURN_IF_CHANGED atomic { if :: changed[key] -> s = 0; goto woken :: else -> skip fi }

proctype waiter(bit key)
{
    byte s;

again:
#if defined(BROKEN_SEQ_AFTER_BIT)
    mask = 1;
    s = seq;
    RETURN_IF_CHANGED;
#elif defined(BROKEN_SEQ_AFTER_REREAD)
    mask = 1;
    RETURN_IF_CHANGED;
    s = seq;
#elif defined(BROKEN_BIT_AFTER_REREAD)
    s = seq;
    RETURN_IF_CHANGED;
    mask = 1;
#elif defined(BROKEN_BIT_SET_ONCE)
    s = seq;
    if
    :: s == 0 -> mask = 1
    :: else -> skip
    fi;
    RETURN_IF_CHANGED;
#else
    s = seq;
    mask = 1;
    RETURN_IF_CHANGED;
#endif
    atomic { /* the kernel */
        if
        :: seq == s -> asleep[key] = 1
        :: else -> skip
        fi;
        s = 0
    };
    atomic {
        if
        :: !asleep[key] -> skip
        :: asleep[key] && dead != 0 -> asleep[key] = 0 /* 100 ms */
        fi;
        goto again
    };

woken:
    assert(changed[key]) /* W2 */
}

proctype death()
{
    do
    :: deaths < DEATHS -> atomic {
        deaths++;
        if
        :: dead = dead | 8
        :: dead = dead | 16
#if WRITERS > 2
        :: dead = dead | 32
#endif
        fi
       }
    :: break
    od
}

proctype watch()
{
    timeout;
    assert(!(asleep[0] && changed[0])); /* W1 */
    assert(!(asleep[1] && changed[1]))
}

init
{
    atomic {
        run waiter(0); /* 1 */
        run waiter(1); /* 2 */
        run writer(0, WRITES); /* 3 */
        run writer(1, WRITES); /* 4 */
#if WRITERS > 2
        run writer(1, WRITES); /* 5 */
#endif
        run death();
        run watch()
    }
}
