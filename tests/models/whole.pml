/* SPDX-License-Identifier: MIT
 *
 * A map's file and a machine that may stop at any moment: while the disk says WHOLE it is as the memory is.
 *
 * What is modelled
 *   One file that was closed in an earlier life of the machine: a header with `life` (two words) and `whole`, and behind it
 *   one page of everything else.  USERS open it, attach, write, detach, close; ROUNDS times.  DEATHS of them die, anywhere.
 *   The kernel writes either page to the disk whenever it likes.  FAILURES flushes of everything fail: what the page held
 *   then is not written any more, until somebody writes to the page again.
 *   A failed flush and the FAILED that says so are one step: who dies between the two leaves a map that the next one may call
 *   whole.  The kernel tells the failure to whoever had the file open then, not to who comes later.
 *   A step is one access to shared memory, or one call to the kernel; a flush of everything is two, in either order.
 *
 *   open     load whole; where it says nothing: load life
 *   attach   lock; load whole; where WHOLE: store life; CAS whole: count + 1, WHOLE away; unless KNOWN: flush the header,
 *            CAS whole: KNOWN
 *   close    load whole; is anybody's lock held?; flush everything; CAS whole: WHOLE; flush the header
 *
 * What is asserted
 *   W1 where the header on disk says WHOLE, the other page on disk is as in memory: at every moment, so also for the machine
 *      that stops then
 *   W2 who opens in the present life is never refused
 *   W3 where nobody died and no flush failed, the disk says WHOLE in the end
 */
#ifndef USERS
#define USERS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef FAILURES
#define FAILURES 0
#endif

#define WHOLE 1
#define KNOWN 2
#define FAILED 4
#define ONE 8
#define SAYS(w) (((w) & (WHOLE | FAILED)) == WHOLE)
#ifdef BROKEN_NO_COUNT
#define COUNT(w) (w)
#else
#define COUNT(w) ((w) + ONE)
#endif
#ifdef BROKEN_KNOWN_AT_ONCE
#define NEXT(w) (COUNT((w) & 252) | KNOWN | ((w) & FAILED))
#else
#define NEXT(w) (COUNT((w) & 252) | ((w) & WHOLE -> 0 : (w) & KNOWN))
#endif

byte w = WHOLE, disk_w = WHOLE;
bool life0, life1;      /* is it the present one? */
byte data, disk_data;
byte lost;              /* what a failed flush dropped, 0 = nothing */
bool locked[USERS + 1], dead[USERS + 1];
byte deaths, failures, ended;

#define ANYBODY (locked[0] || locked[1] || locked[USERS - 1] || locked[USERS])

inline header_flush() { disk_w = w }
inline data_write() { d_step { if :: lost == 0 || lost != data + 1 -> disk_data = data :: else fi } }

inline attach()
{
#ifdef BROKEN_ADVANCE_FIRST
    d_step { v = w; w = NEXT(v) }
    locked[me] = true;
#else
    locked[me] = true;
#ifdef BROKEN_WRITE_FIRST
    data = data + 1;
#endif
    won = false;
    do
    :: !won ->
        v = w;
#ifndef BROKEN_LIFE_LATE
        if
        :: v & WHOLE -> life0 = true; life1 = true
        :: else
        fi;
#endif
        d_step { if :: w == v -> w = NEXT(v); won = true :: else fi }
    :: else -> break
    od;
#endif
#ifdef BROKEN_LIFE_LATE
    life0 = true; life1 = true;
#endif
    if
    :: NEXT(v) & KNOWN
#ifdef BROKEN_NO_HEADER_FLUSH
    :: else
#else
    :: else -> header_flush(); w = w | KNOWN /* a loop of CAS */
#endif
    fi
}

inline leave()
{
    if
#ifdef BROKEN_FAILED_FORGOTTEN
    :: failures < FAILURES -> d_step { failures++; lost = data + 1; failed = true }
#else
    :: failures < FAILURES -> d_step { failures++; lost = data + 1; failed = true; w = w | FAILED }
#endif
    :: true -> failed = false
    fi;
    if
    :: failed -> header_flush()
    :: else ->
#ifndef BROKEN_NO_FLUSH
        if
        :: data_write(); header_flush()
        :: header_flush(); data_write()
        fi;
#endif
        d_step { if :: w == v -> w = (v & ~KNOWN) | WHOLE; won = true :: else -> won = false fi }
        if
        :: won -> header_flush()
        :: else
        fi
    fi
}

inline close()
{
#ifdef BROKEN_LOOK_FIRST
    won = ANYBODY;
    v = w;
#else
    v = w;
    won = ANYBODY;
#endif
#ifdef BROKEN_NO_LOOK
    won = false;
#endif
    if
    :: (v & (WHOLE | FAILED)) || won
    :: else -> leave()
    fi
}

proctype user(byte me)
{
    byte v, round;
    bool won, failed;
    {
        do
        :: round < ROUNDS ->
            v = w;
            if
            :: SAYS(v)
            :: else -> assert(life0 && life1) /* W2 */
            fi;
            attach();
            data = data + 1;
            locked[me] = false;
            close();
            round++
        :: else -> break
        od;
        ended++
    } unless { dead[me] }
}

active proctype kernel()
{
    do
    :: disk_w = w
    :: data_write()
    od
}

active proctype fate()
{
    byte who = 1;
    do
    :: deaths < DEATHS ->
        if
        :: who < USERS -> who++
        :: d_step { !dead[who] -> dead[who] = true; locked[who] = false; deaths++ }
        fi
    :: break
    od
}

active proctype monitor()
{
    do
    :: d_step { SAYS(disk_w) && disk_data != data -> assert(false) } /* W1 */
    :: d_step { ended == USERS && deaths == 0 && failures == 0 && !SAYS(disk_w) -> assert(false) } /* W3 */
    od
}

init
{
    byte i = 1;
    atomic {
        do
        :: i <= USERS -> run user(i); i++
        :: else -> break
        od
    }
}
