/* SPDX-License-Identifier: MIT
 *
 * The store's file: publish and commit, death of the holder anywhere, death of the machine, recovery.
 *
 * What is modelled
 *   PAGES pages.  A root leads to two of them, and says how each page is used; a transaction rewrites one or both, so
 *   that roots share pages.  Three places for metas.  What is in the kernel's cache (mem), and what of it is on disk
 *   (disk): any page may be written back at any time, torn in between; a flush writes all.
 *   The HOLDER changes, publishes, commits, for ever; when it dies another one takes the lock.  A READER goes from the
 *   root word to a page.  A page's identity is its number and its transaction; a ghost tells apart what happens to have
 *   the same.  (That no number is used twice, after deaths of holders and machine, is more than S1 to S3 need: it makes
 *   lost and stale writes known.)
 *
 *   With PIN somebody keeps a root as it is: under the lock he pins the published one, and lets it go, or dies, at any
 *   time.  Pages are freed by their transaction: one that a pinned root leads to is held, and what is held waits for the
 *   pin as for the durable root.
 *
 *   publish   pages; meta; root word
 *   commit    pages; flush; meta, marked as flushed; flush; durable word; root word
 *   lock      in a new life of the machine: choose a meta; take over a meta that is newer than the root word
 *
 * What is asserted
 *   S1 the root that counts leads to what was written under it, at any time, in whatever life of the machine
 *   S2 after a death of the machine nothing that a commit returned for is lost
 *   S4 what the pinned root leads to is what was written under it
 *   S3 a reader who meets a page of another identity than he was led to finds the root word changed; who meets the same
 *      identity has the very bytes
 */
#ifndef PAGES
#define PAGES 5
#endif
#ifndef TRANSACTIONS
#define TRANSACTIONS 4
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef POWERS
#define POWERS 1
#endif
#define JUMP 1 /* TRANSACTIONS are few: one that was never begun is far enough */

#define FREE 0
#define USED 1
#define HELD 2
#define NEW 3

#define WORD(txn, place) ((txn) * 4 + (place))
#define TXN(word) ((word) / 4)
#define PLACE(word) ((word) % 4)

typedef Meta {
    byte txn;           /* 0: torn, or never written */
    bit flushed;
    byte boot;
    byte page[2], txn_of[2], ghost[2];
    byte use[PAGES];
    byte last;          /* the durable transaction when it was written */
};

Meta mem[3], disk[3];
byte mem_txn[PAGES], mem_ghost[PAGES], disk_txn[PAGES], disk_ghost[PAGES];

/* The board. */
byte root, durable, started;
bit ready;

byte boot;              /* the machine's life */
byte life;              /* the holder's */
byte ghost;             /* transactions that were begun, ever */
byte acked;             /* the last commit that returned */
byte kills, powers;
#ifdef PIN
#ifndef PINS
#define PINS 1
#endif
byte pinned;            /* the transaction; 0: none */
byte pinned_page[2], pinned_txn[2], pinned_ghost[2];
bit busy;               /* the holder is between its look at the pin and the root word */
byte pins;

/* S4 */
inline pinned_is_whole()
{
    for (c : 0 .. 1) {
        assert(pinned == 0 || (mem_txn[pinned_page[c]] == pinned_txn[c] && mem_ghost[pinned_page[c]] == pinned_ghost[c]))
    }
}
#endif

inline meta_copy(to, from)
{
    to.txn = from.txn; to.flushed = from.flushed; to.boot = from.boot; to.last = from.last;
    to.page[0] = from.page[0]; to.page[1] = from.page[1];
    to.txn_of[0] = from.txn_of[0]; to.txn_of[1] = from.txn_of[1];
    to.ghost[0] = from.ghost[0]; to.ghost[1] = from.ghost[1];
    for (c : 0 .. PAGES - 1) { to.use[c] = from.use[c] }
}

/* S1 */
inline root_is_whole(word)
{
    assert(mem[PLACE(word)].txn == TXN(word));
    for (c : 0 .. 1) {
        assert(mem_txn[mem[PLACE(word)].page[c]] == mem[PLACE(word)].txn_of[c]);
        assert(mem_ghost[mem[PLACE(word)].page[c]] == mem[PLACE(word)].ghost[c])
    }
}

inline flush_all()
{
    for (i : 0 .. PAGES - 1) { disk_txn[i] = mem_txn[i]; disk_ghost[i] = mem_ghost[i] }
    for (i : 0 .. 2) { meta_copy(disk[i], mem[i]) }
}

/* In another life of the machine.  S2. */
inline recover()
{
    best = 3; newest = 0;
    for (i : 0 .. 2) {
        if
        :: mem[i].txn > newest -> newest = mem[i].txn
        :: else
        fi;
        if
#ifdef BROKEN_TRUSTS_UNFLUSHED
        :: mem[i].txn > 0 &&
#else
        :: mem[i].txn > 0 && (mem[i].flushed || mem[i].boot == boot) &&
#endif
           (best == 3 || mem[i].txn > mem[best].txn) -> best = i
        :: else
        fi
    }
    assert(best < 3);
    assert(mem[best].txn >= acked);
    root = WORD(mem[best].txn, best);
    durable = root;
    started = newest + JUMP;
    root_is_whole(root);
    ready = 1
}

/* A meta that is newer than the root word: its holder died before he could say so. */
inline take_over()
{
    best = 3;
    for (i : 0 .. 2) {
        if
        :: mem[i].txn > TXN(root) && mem[i].boot == boot -> best = i
        :: else
        fi
    }
}

#ifdef PIN
#define UNPINNED(txn) (pinned == 0 || (txn) <= pinned)
#else
#define UNPINNED(txn) true
#endif

/* What another durable root makes of a map that was written before. */
inline settle_uses()
{
    if
#ifdef BROKEN_HELD_IS_FREE
    :: true ->
#else
    :: TXN(root) <= TXN(durable) ->
#endif
        for (i : 0 .. PAGES - 1) {
            if
#ifdef BROKEN_RELEASE_BY_DURABLE
            :: mine.use[i] == HELD -> mine.use[i] = FREE
#else
            :: mine.use[i] == HELD && UNPINNED(TXN(root)) -> mine.use[i] = FREE
#endif
#ifndef BROKEN_NEW_FOR_EVER
#ifdef BROKEN_NEW_BY_PIN
            :: mine.use[i] == NEW && UNPINNED(TXN(root)) -> mine.use[i] = USED
#else
            :: mine.use[i] == NEW -> mine.use[i] = USED
#endif
#endif
            :: else
            fi
        }
    :: else
    fi
}

/* Does no pinned root lead to a page of this transaction? */
#if defined(PIN) && !defined(BROKEN_PINNED_IS_FREE)
#define KEPT_FOR_NOBODY(txn) (pinned == 0 || (txn) > pinned)
#else
#define KEPT_FOR_NOBODY(txn) true
#endif

/* One of the two pages anew. */
inline rewrite(which)
{
    atomic {
        take = PAGES;
        for (i : 0 .. PAGES - 1) {
            if
            :: mine.use[i] == FREE -> take = i
            :: else
            fi
        }
        if
        :: take < PAGES ->
            mine.use[take] = NEW;
            if
#ifdef BROKEN_AT_ONCE
            :: mine.use[mine.page[which]] == NEW -> mine.use[mine.page[which]] = FREE
#else
            :: mine.use[mine.page[which]] == NEW && KEPT_FOR_NOBODY(mine.txn_of[which]) ->
                later = later | (1 << mine.page[which])
#endif
            :: else -> mine.use[mine.page[which]] = HELD
            fi;
            mine.page[which] = take;
            mine.txn_of[which] = mine.txn;
            mine.ghost[which] = who
        :: else /* a larger file would have one */
        fi
    }
    if
    :: take < PAGES -> atomic {
           mem_txn[take] = mine.txn; mem_ghost[take] = who;
#ifdef PIN
           pinned_is_whole();
#endif
           root_is_whole(root) }
    :: else
    fi
}

proctype holder()
{
    Meta mine;
    byte own, who, best, newest, take, later, place, i, c;
    bit commit;

again:
    atomic { own = life; best = 0; newest = 0; take = 0; later = 0; place = 0; commit = 0; who = 0; i = 0; c = 0 }
    {
        if
        :: atomic { !ready -> recover() }
        :: ready
        fi;
        if
#ifndef BROKEN_NO_TAKE_OVER
        :: atomic { started > TXN(root) -> take_over() };
           if
           :: best < 3 ->
#ifndef BROKEN_TAKE_OVER_WITHOUT_FLUSH
               if
               :: atomic { mem[best].flushed -> flush_all() };
                  atomic { durable = WORD(mem[best].txn, best);
                           if :: mem[best].txn > acked -> acked = mem[best].txn :: else fi }
               :: !mem[best].flushed
               fi;
#endif
               atomic { root = WORD(mem[best].txn, best); root_is_whole(root) }
           :: best == 3
           fi
#endif
        :: else
        fi;
        if
        :: ghost < TRANSACTIONS -> skip
        :: else -> goto over
        fi;
        atomic {
#ifdef PIN
            busy = 1;
#endif
            ghost++;
            who = ghost;
            meta_copy(mine, mem[PLACE(root)]);
            mine.txn = started + 1;
            started = mine.txn;
            settle_uses();
            if :: commit = 0 :: commit = 1 fi;
        }
        if
        :: rewrite(0)
        :: rewrite(1)
        :: rewrite(0); rewrite(1)
        fi;
        atomic {
            for (i : 0 .. PAGES - 1) {
                if
                :: later & (1 << i) -> mine.use[i] = FREE
                :: else
                fi
            }
            mine.flushed = commit; mine.boot = boot; mine.last = TXN(durable);
            place = 0;
            do
#ifdef BROKEN_OVER_DURABLE
            :: place == PLACE(root) -> place++
#elif defined(BROKEN_OVER_ROOT)
            :: place == PLACE(durable) -> place++
#else
            :: place == PLACE(root) || place == PLACE(durable) -> place++
#endif
            :: else -> break
            od
        }
#ifndef BROKEN_NO_FIRST_FLUSH
        if
        :: atomic { commit -> flush_all() }
        :: !commit
        fi;
#endif
#ifdef BROKEN_ROOT_FIRST
        root = WORD(mine.txn, place);
#endif
        mem[place].txn = 0;                    /* half of it */
        atomic { meta_copy(mem[place], mine) };
#ifdef BROKEN_ACK_EARLY
        if :: commit -> acked = mine.txn :: !commit fi;
#endif
        if
        :: atomic { commit -> flush_all() }
        :: !commit
        fi;
#ifdef BROKEN_ROOT_BEFORE_DURABLE
        root = WORD(mine.txn, place);
#endif
        if
        :: commit -> durable = WORD(mine.txn, place)
        :: !commit
        fi;
        atomic { root = WORD(mine.txn, place); root_is_whole(root)
#ifdef PIN
                 ; busy = 0
#endif
        };
        atomic { if :: commit -> acked = mine.txn :: else fi };
        goto again
    } unless { life != own };
    goto again;
over:
    skip
}

proctype reader()
{
    byte seen, place, page, want, whose, at, c;
    do
    :: atomic { ready -> at = boot; seen = root; place = PLACE(seen) };
       atomic { /* one read of a page; its checksum makes it one */
           want = 0;
           if
           :: mem[place].txn == TXN(seen) -> page = mem[place].page[0]; want = mem[place].txn_of[0]; whose = mem[place].ghost[0]
           :: else -> assert(root != seen || at != boot || !ready) /* S3 */
           fi
       };
       atomic {
           if
           :: want > 0 && at == boot ->
              if
              :: mem_txn[page] == want -> assert(mem_ghost[page] == whose)
              :: else -> assert(root != seen || !ready)
              fi
           :: else
           fi;
           seen = 0; place = 0; page = 0; want = 0; whose = 0; at = 0
       }
    od
}

/* What of the cache goes to disk by itself. */
proctype kernel()
{
    byte i, c;
    do
    :: atomic {
           select(i : 0 .. PAGES - 1);
           if
           :: disk_txn[i] != mem_txn[i] || disk_ghost[i] != mem_ghost[i] ->
              if
              :: disk_txn[i] = 0; disk_ghost[i] = 0 /* torn */
              :: disk_txn[i] = mem_txn[i]; disk_ghost[i] = mem_ghost[i]
              fi
           :: else
           fi;
           i = 0 }
    :: atomic {
           select(i : 0 .. 2);
           if
           :: disk[i].txn != mem[i].txn ->
              if
              :: disk[i].txn = 0
              :: meta_copy(disk[i], mem[i])
              fi
           :: else
           fi;
           i = 0; c = 0 }
    od
}

#ifdef PIN
/* A dead holder's lock is free, but whoever has it next takes over first what there is; the pinner waits for that. */
#define NEWER(i) (mem[i].txn > TXN(root) && mem[i].boot == boot)
proctype pinner()
{
    byte c;
    do
#ifdef BROKEN_PIN_WITHOUT_LOCK
    :: atomic { pins < PINS && pinned == 0 && ready ->
#else
    :: atomic { pins < PINS && pinned == 0 && ready && !busy && !NEWER(0) && !NEWER(1) && !NEWER(2) ->
#endif
           pins++;
           pinned = TXN(root);
           for (c : 0 .. 1) {
               pinned_page[c] = mem[PLACE(root)].page[c];
               pinned_txn[c] = mem[PLACE(root)].txn_of[c];
               pinned_ghost[c] = mem[PLACE(root)].ghost[c]
           }
           c = 0 }
    :: atomic { pinned != 0 -> pinned = 0 }
    :: pins == PINS && pinned == 0 -> break
    od
}
#endif

proctype fate()
{
    byte i, c;
    do
    :: atomic { kills < KILLS -> kills++; life++
#ifdef PIN
                ; busy = 0
#endif
       }
    :: atomic { powers < POWERS ->
           powers++; life++; boot++; ready = 0;
#ifdef PIN
           busy = 0; pinned = 0;
#endif
           for (i : 0 .. PAGES - 1) { mem_txn[i] = disk_txn[i]; mem_ghost[i] = disk_ghost[i] }
           for (i : 0 .. 2) { meta_copy(mem[i], disk[i]) }
           i = 0; c = 0 }
    :: kills == KILLS && powers == POWERS -> break
    od
}

init {
    byte i, c;
    atomic {
        mem[0].txn = 1; mem[0].flushed = 1; mem[0].last = 1;
        mem[0].page[1] = 1;
        mem[0].txn_of[0] = 1; mem[0].txn_of[1] = 1;
        mem[0].use[0] = USED; mem[0].use[1] = USED;
        mem_txn[0] = 1; mem_txn[1] = 1;
        flush_all();
        root = WORD(1, 0); durable = root; started = 1; acked = 1; ready = 1;
        run holder(); run kernel(); run fate();
#ifdef PIN
        run pinner();
#endif
#ifndef NO_READER
        run reader()
#endif
    }
}
