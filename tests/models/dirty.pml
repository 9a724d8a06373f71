/* SPDX-License-Identifier: MIT
 *
 * Finding what is not in the store yet: the dirty bit of a group, and a sync that leaves nothing out.
 *
 * What is modelled
 *   One group of slots, which means another number after each change; WRITERS writers, WRITES changes each; SYNCERS
 *   syncers, SYNCS times each, one lock; up to DEATHS of them die, anywhere; who settles the dead.
 *
 *   writer:  a hazard on the record; change the slot; set the bit where it is not set; drop the hazard.
 *   settler: of a dead writer with a hazard: set the bit; drop the hazard.
 *   syncer:  of each writer that has a hazard: set the bit.  The lock.  Where `dirty` is set: set `syncing`, take `dirty`
 *            away.  Where either was set: look at the slots, publish, take `syncing` away.  Commit.  Unlock.
 *
 * What is asserted
 *   S1 what had taken effect when a sync began is durable when it returns, whoever died before or meanwhile
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef SYNCERS
#define SYNCERS 2
#endif
#ifndef SYNCS
#define SYNCS 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define PIDS (WRITERS + SYNCERS + 1)

byte slot, published, durable;
bit dirty, syncing;
bit hazard[WRITERS + 1]; /* writers are processes 1 .. WRITERS */
byte lock;
byte dead;
byte deaths;
#define LIVES provided (!(dead & (1 << _pid)))

proctype writer() LIVES
{
    byte n;
    do
    :: atomic { n < WRITES -> n++; hazard[_pid] = 1 };
#ifdef BROKEN_BIT_BEFORE_CHANGE
        dirty = 1;
        slot++;
#else
        slot++;
#ifdef BROKEN_HAZARD_DROPPED_FIRST
        hazard[_pid] = 0;
#endif
        if
        :: dirty
        :: else -> dirty = 1
        fi;
#endif
        hazard[_pid] = 0
    :: else -> break
    od
}

inline look_at_writers()
{
    do
    :: atomic { w < WRITERS && hazard[w + 1] -> w++ }; dirty = 1
    :: atomic { w < WRITERS && !hazard[w + 1] -> w++ }
    :: atomic { w == WRITERS -> w = 0; break }
    od
}

proctype syncer() LIVES
{
    byte n, want, v, w;
    bit some;
    do
    :: atomic { n < SYNCS -> n++; want = slot };
#if !defined(BROKEN_NOBODY_ASKED) && !defined(BROKEN_ASKED_LATE)
        look_at_writers();
#endif
        atomic { lock == 0 -> lock = _pid };
        if
        :: atomic { dirty -> some = 1 };
#ifndef BROKEN_NO_SYNCING
            syncing = 1;
#endif
#ifndef BROKEN_TAKEN_AWAY_LATE
            dirty = 0
#endif
        :: atomic { !dirty -> some = syncing }
        fi;
#ifdef BROKEN_ASKED_LATE
        look_at_writers();
#endif
        if
        :: atomic { some -> v = slot };
#ifdef BROKEN_DONE_BEFORE_PUBLISH
            syncing = 0;
#endif
            atomic { published = v; v = 0 };
#ifdef BROKEN_TAKEN_AWAY_LATE
            dirty = 0;
#endif
            syncing = 0
        :: else
        fi;
#ifdef BROKEN_COMMITS_WHAT_IS_NEW
        durable = (some -> published : durable);
#else
        durable = published;
#endif
        atomic { lock = 0; some = 0; assert(durable >= want); want = 0 } /* S1 */
    :: else -> break
    od
}

/* The kernel gives back the lock of the dead. */
proctype others()
{
    byte w = 1;
    do
    :: atomic {
        deaths < DEATHS ->
        deaths++;
        if
        :: !(dead & 2) -> dead = dead | 2
        :: !(dead & (1 << (WRITERS + 1))) -> dead = dead | (1 << (WRITERS + 1)); lock = (lock == WRITERS + 1 -> 0 : lock)
        :: else -> skip
        fi
       }
#ifdef BROKEN_SETTLER_DROPS_FIRST
    :: atomic { (dead & 2) && hazard[1] -> hazard[1] = 0 };
        dirty = 1
#elif defined(BROKEN_SETTLER_SAYS_NOTHING)
    :: atomic { (dead & 2) && hazard[1] -> hazard[1] = 0 }
#else
    :: atomic { (dead & 2) && hazard[1] -> dirty = 1 };
        hazard[1] = 0
#endif
    :: atomic { deaths == DEATHS && !((dead & 2) && hazard[1]) -> break }
    od
}

init
{
    atomic {
        byte i = 0;
        do
        :: i < WRITERS -> run writer(); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SYNCERS -> run syncer(); i++
        :: else -> break
        od;
        run others()
    }
}
