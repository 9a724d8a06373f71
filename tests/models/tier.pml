/* SPDX-License-Identifier: MIT
 *
 * The table above the store: what is copied down, evicted and promoted, and what an operation that finds no
 * entry in the table asks before it answers or commits (rules T1-T6 of the design).
 *
 * What is modelled
 *   Keys 1 and 2 share the home group and one spill bit.  slot[] is what its bound covers.  A slot holds
 *   state | record.  A record has a key, a kind, the version below that it was computed from, and two clean
 *   marks, bits of its H: "what a BELOW slot means by this record is below", "what a TOMB slot means by it".
 *   They are set by the holder of the store's lock, once, and never cleared; a promotion is born with the first.
 *   The store is what its published root says: key -> version.  A version is the value that was written with
 *   it, and no two values have the same.  Its lock is the kernel's: free when its holder is dead.
 *
 *   find     the slots; none: the spill bit; set: the store.  get, a failing add or delete: that is the answer
 *   swing    update LIVE -> LIVE, BELOW -> BELOW, TOMB -> BELOW; delete LIVE -> FREE, BELOW -> TOMB
 *   insert   place TENT; scan the other slots; the spill bit; where it is set, the store; then CAS to
 *            ABRT if that is not what the record was computed from (a clear bit says: absent below),
 *            else a delete to TOMB, a promotion to BELOW, all others to BELOW if the bit was set, else LIVE.
 *            put was computed from nothing and does not ask the store
 *   scan     an entry of the key, TOMB included: abort self.  A TENT: of a promotion: kill it; at a lower index:
 *            resolve that one first; at a higher index: kill it.  A promotion aborts itself for any of them
 *   T1       LIVE -> BELOW, by anybody, at any time
 *   copy     lock; the slot BELOW or TOMB, and naming the record still; spill bit, for BELOW; publish; mark;
 *            unlock.  Dies anywhere, and the next one comes
 *   evict    BELOW or TOMB, with its own mark -> FREE        recompute   under the lock: bit = any key below
 *   move     (EVACUATION) a copy of the record in another block, the same state, the mark or none
 *   death    of the owner of a TENT, anywhere; settled: TENT -> ABRT -> FREE
 *
 * What is asserted
 *   T-A at every moment, per key: the table's entry, else the store, is what the key's mutations have made of
 *       it: nothing is lost by eviction, by death or by a promotion, and nothing deleted comes back
 *   T-B at most one entry in effect (LIVE, BELOW, TOMB) per key
 *   T-C what get answers was the key's value, what add and delete refuse was so, at some moment of the call
 *   T-D what changes a key depending on its value was computed from the value that it replaces
 *   T-E an owner tells committed from killed; nothing of who was settled takes effect
 *   T-F a promotion kills nobody: a write waits for no read
 *   with -DLOOP: no infinite run without a completed operation, once there is no more copying
 *
 * Steps
 *   A step is one access to shared memory, or one look at the store: its pages are copied on write and the
 *   horizon excludes reuse, so what is read is what was there when the root was loaded.  Merged are:
 *   loading a slot, setting the hazard, reading key and value (read.pml); finding a FREE slot and the CAS on
 *   it: any FREE one, more than first-fit can do; writing pages and publishing: nobody reads pages before;
 *   evicting, because a mark is never cleared; recomputing, because nobody else changes the store or sets the
 *   bit; taking the lock and the first look under it, with COPIERS=1 (the record may have been chosen long
 *   before: the choice binds nothing); the settler's, which slot.pml has.
 *   A record's number is reused when no slot, hazard, store or reader has it; what nothing names is forgotten.
 *
 * Size: NS slots, NP workers of N_OPS operations each, COPIERS, DEATHS of workers; TWO_KEYS adds operations on
 * key 2 and its entry below; BATCH: one publish for up to two entries.  W1.. fix scripts.
 *
 * Not needed for what is asserted, and left to choice: SPILL_AFTER_PUBLISH (the bit after the publish, before
 * the mark), STORE_BEFORE_SPILL (the root before the bit, both after the slots), LIKE_OTHERS
 * (a promotion is resolved like any other record, helpers and the lowest index included; costs T-F).
 */
#ifndef NS
#define NS 2
#endif
#ifndef NP
#define NP 2
#endif
#ifndef COPIERS
#define COPIERS 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef COPIES
#define COPIES 2
#endif
#define NR 7
#define COPIER1 (NP + 1)
#define PIDS (NP + COPIERS + 1)

/* slot = state | record */
#define FREE 0
#define TENT 1
#define ABRT 2
#define LIVE 3
#define BELOW 4
#define TOMB 5
#define W(state, r) (((state) << 3) | (r))
#define STATE(w) ((w) >> 3)
#define REC(w) ((w) & 7)
#define EFFECT(w) (STATE(w) >= LIVE)
#define KEY(r) ((key2 >> (r)) & 1)
#define IS(set, r) (((set) >> (r)) & 1)
#define BIT(r) (1 << (r))

/* A record stands for its value, a copy (a promotion, a moved record) for the one that it copies. */
#define VAL(r) (IS(promo, r) -> base[r] : (r))
#define VALUE(w) (STATE(w) == TOMB -> 0 : VAL(REC(w)))

byte slot[NS];
byte key2;               /* bit r: record r is of key 2 */
byte dep, del, promo;    /* kinds of records: add, incr, delete; delete; promotion.  None: put */
byte base[NR + 1];       /* the version below that the record was computed from */
byte clean_b, clean_t;   /* clean marks, in H */
bit spill;               /* of the home group */
byte store[2];           /* what readers see below: key -> version, 0 = absent */
#ifdef ROOT_WORD
byte file[2];            /* what the newest meta says */
#define USED_FILE (BIT(file[0]) | BIT(file[1]))
#define ADOPTED (store[0] == file[0] && store[1] == file[1])
#define ADOPT store[0] = file[0]; store[1] = file[1]; check()
#else
#define USED_FILE 0
#endif
byte lock;               /* the store's: who holds it */
#ifdef LOOP
byte copies;
#endif
#ifdef EVACUATION
byte moves;
#endif
#ifdef BATCH
byte look2;
#define USED_FIRST BIT(look2)
#else
#define USED_FIRST 0
#endif
byte own[NP + 1], aim[NP + 1], val[NP + 1], look[PIDS]; /* hazards; val: a version that was read below */
#if DEATHS
byte dead, dying, deaths;
#define RUNS provided (dying == 0 || dying == _pid)
#define DEATH dying == _pid -> dying = 0
#else
#define RUNS
#endif

/* Ghosts */
byte cur[2];             /* the key's value, 0 = absent */
byte seen[NP + 1];       /* get: values during the call; add: 1 = was present; delete: 1 = was absent */
byte want[NP + 1];       /* which of them, and of which key */
byte committed, buried;  /* records: took effect; the owner was settled */
byte u, m, n; /* of one step */

/* A script: octal digits, pairs of (operation, key), the first lowest. */
#define NONE 0
#define GET 1
#define PUT 2
#define ADD 3
#define DEL 4
#define INC 5
#define PROMO 6
#define KEY2 8

#define HOLDS(i, k) (EFFECT(slot[i]) && KEY(REC(slot[i])) == (k))
#if NS > 2
#define HOLD_3RD(k) HOLDS(2, k)
#define VALUE_3RD(k) (HOLDS(2, k) -> VALUE(slot[2]) : store[k])
#define USED_3RD BIT(REC(slot[2]))
#define FREE_3RD slot[2] == 0
#else
#define HOLD_3RD(k) 0
#define VALUE_3RD(k) store[k]
#define USED_3RD 0
#define FREE_3RD false
#endif
#define TOP(k) (HOLDS(0, k) -> VALUE(slot[0]) : (HOLDS(1, k) -> VALUE(slot[1]) : VALUE_3RD(k)))

#if NP > 2
#define USED_WORKER3 (BIT(own[3]) | BIT(aim[3]) | BIT(val[3]) | BIT(look[3]))
#else
#define USED_WORKER3 0
#endif
#if COPIERS > 1
#define USED_COPIER2 BIT(look[COPIER1 + 1])
#else
#define USED_COPIER2 0
#endif
#define KEEP(r) base[r] = (IS(u, r) -> base[r] : 0)
#define REACH(r) u = u | (IS(u, r) -> BIT(base[r]) : 0)

/* What nothing names is forgotten; u = the rest. */
inline forget()
{
    u = BIT(REC(slot[0])) | BIT(REC(slot[1])) | USED_3RD | BIT(store[0]) | BIT(store[1]);
    u = u | BIT(own[1]) | BIT(aim[1]) | BIT(val[1]) | BIT(look[1]);
    u = u | BIT(own[2]) | BIT(aim[2]) | BIT(val[2]) | BIT(look[2]);
    u = u | USED_WORKER3 | BIT(look[COPIER1]) | USED_COPIER2 | USED_FIRST | USED_FILE | 1;
    REACH(1); REACH(2); REACH(3); REACH(4); REACH(5); REACH(6); REACH(7);
    KEEP(1); KEEP(2); KEEP(3); KEEP(4); KEEP(5); KEEP(6); KEEP(7);
    key2 = key2 & u; dep = dep & u; del = del & u; promo = promo & u;
    clean_b = clean_b & u; clean_t = clean_t & u;
    committed = committed & u; buried = buried & u;
    seen[1] = seen[1] & u;
    seen[2] = seen[2] & u;
#if NP > 2
    seen[3] = seen[3] & u;
#endif
}

inline collect() { d_step { forget(); u = 0 } }

/* m = a record that nothing names */
inline allocate()
{
    d_step {
        forget();
        m = 1;
        do
        :: m <= NR && IS(u, m) -> m++
        :: else -> break
        od;
        assert(m <= NR);
        u = 0
    }
}

inline check()
{
    assert(HOLDS(0, 0) + HOLDS(1, 0) + HOLD_3RD(0) <= 1); /* T-B */
    assert(HOLDS(0, 1) + HOLDS(1, 1) + HOLD_3RD(1) <= 1);
    assert(TOP(0) == cur[0] && TOP(1) == cur[1]); /* T-A */
    collect()
}

/* What a call that is under way may answer */
#define GET_WANTS(k) (8 | (k))
#define ADD_WANTS(k) (16 | (k))
#define DEL_WANTS(k) (24 | (k))
#define WITNESS(p, k) \
    seen[p] = seen[p] | (want[p] == GET_WANTS(k) -> BIT(cur[k]) : \
        (want[p] == ADD_WANTS(k) -> (cur[k] != 0) : (want[p] == DEL_WANTS(k) -> (cur[k] == 0) : 0)))
inline set_current(k, v)
{
    d_step {
        cur[k] = v;
        WITNESS(1, k);
        WITNESS(2, k);
#if NP > 2
        WITNESS(3, k);
#endif
    }
}

#define ANSWER_GET(v) assert(IS(seen[_pid], v)) /* T-C */
#define ANSWER_OTHER assert(seen[_pid] & 1)

/* No entry in the table; val is what is below.  Answers, or goes on to insert. */
inline decide()
{
    if
    :: op == GET ->
        ANSWER_GET(val[_pid]);
        want[_pid] = 0;
        seen[_pid] = 0;
        if
#ifndef NO_PROMOTION
        :: val[_pid] != 0 -> op = PROMO; goto insert
#endif
        :: goto done
        fi
    :: op == ADD && val[_pid] != 0 -> ANSWER_OTHER; goto done
    :: op == DEL && val[_pid] == 0 -> ANSWER_OTHER; goto done
    :: else -> goto insert
    fi
}

/* The next slot to scan for the record at target */
#define NEXT_SLOT(j) ((j) == target -> (j) + 1 : (j))

proctype worker(short script) RUNS
{
    byte op, i, w, mine, target, to;
    bit k, s;

    {
    i = 0;
done:
#ifdef LOOP
    skip;
progress_done:
#endif
    atomic {
        i = 0; w = 0; mine = 0; s = 0; target = 0;
        own[_pid] = 0;
        aim[_pid] = 0;
        val[_pid] = 0;
        seen[_pid] = 0;
        collect();
        op = script & 7;
        k = (script >> 3) & 1;
#ifndef LOOP /* then for ever */
        script = script >> 4;
#endif
        want[_pid] = (op == GET -> GET_WANTS(k) : (op == ADD -> ADD_WANTS(k) : (op == DEL -> DEL_WANTS(k) : 0)));
        WITNESS(_pid, k);
        if :: op == NONE -> goto stop :: else -> skip fi
    };

    /* -- the table -- */
find:
#ifdef BROKEN_STORE_BEFORE_SLOTS
    atomic { val[_pid] = store[k] };
#endif
#ifdef BROKEN_SPILL_BEFORE_SLOTS
    atomic { s = spill };
#endif
find_at:
    atomic {
        w = slot[i];
        if
#ifdef BROKEN_GET_SKIPS_TOMB
        :: HOLDS(i, k) && (op != GET || STATE(w) != TOMB) -> skip
        :: HOLDS(i, k) && op == GET && STATE(w) == TOMB -> w = 0; i++; goto found_none
#else
        :: HOLDS(i, k) -> skip
#endif
        :: !HOLDS(i, k) -> w = 0; i++; goto found_none
        fi;
        if
        :: op == GET -> ANSWER_GET(VALUE(w)); goto done
        :: op == ADD && STATE(w) != TOMB -> ANSWER_OTHER; goto done
        :: op == DEL && STATE(w) == TOMB -> ANSWER_OTHER; goto done
        :: else -> look[_pid] = REC(w); goto swing
        fi;
found_none:
        if
        :: i < NS -> goto find_at
        :: else -> i = 0; if :: op == PUT -> goto insert :: else -> goto ask fi
        fi
    };

    /* -- an entry: update, or delete -- */
swing:
    atomic {
        look[_pid] = 0;
        if
        :: slot[i] == w && op == DEL ->
            assert(cur[k] == VALUE(w)); /* T-D: take */
#ifdef BROKEN_DELETE_FREES_BELOW
            slot[i] = 0;
#else
            slot[i] = (STATE(w) == LIVE -> 0 : W(TOMB, REC(w)));
#endif
            set_current(k, 0);
            check();
            goto done
        :: slot[i] == w && op != DEL ->
            assert(op == PUT || cur[k] == VALUE(w)); /* T-D */
            allocate();
            key2 = key2 | (k << m);
#ifdef BROKEN_UPDATE_TO_LIVE
            slot[i] = W((STATE(w) == TOMB -> BELOW : LIVE), m);
#elif defined(BROKEN_TOMB_TO_LIVE)
            slot[i] = W((STATE(w) == BELOW -> BELOW : LIVE), m);
#else
            slot[i] = W((STATE(w) == LIVE -> LIVE : BELOW), m);
#endif
#ifdef BROKEN_UPDATE_KEEPS_MARK
            clean_b = clean_b | (IS(clean_b, REC(w)) << m);
#endif
            set_current(k, m);
            m = 0;
            check();
            goto done
        :: else -> w = 0; i = 0; goto find
        fi
    };

    /* -- no entry: the spill bits, then the store -- */
ask:
#ifdef BROKEN_STORE_BEFORE_SLOTS
    atomic {
        val[_pid] = (spill -> val[_pid] : 0);
        decide()
    };
#elif defined(BROKEN_ADD_ASKS_NOBODY)
    atomic {
        s = spill && op != ADD;
        if :: !s -> val[_pid] = 0; decide() :: else -> s = 0 fi
    };
#elif defined(BROKEN_DELETE_ASKS_NOBODY)
    atomic {
        s = spill && op != DEL;
        if :: !s -> val[_pid] = 0; decide() :: else -> s = 0 fi
    };
#else
#ifdef STORE_BEFORE_SPILL
    atomic { val[_pid] = store[k] };
    atomic { val[_pid] = (spill -> val[_pid] : 0); decide() };
#endif
    atomic {
#ifndef BROKEN_SPILL_BEFORE_SLOTS
        s = spill;
#endif
        if :: !s -> val[_pid] = 0; decide() :: else -> s = 0 fi
    };
#endif
    atomic { val[_pid] = store[k]; decide() };

    /* -- insert: place in a FREE slot -- */
insert:
    atomic {
        if
        :: slot[0] == 0 -> i = 0
        :: slot[1] == 0 -> i = 1
        :: FREE_3RD -> i = 2
        :: else -> goto done /* full */
        fi;
        allocate();
        slot[i] = W(TENT, m);
        key2 = key2 | (k << m);
        if
        :: op == PUT -> skip
        :: op == ADD || op == INC -> dep = dep | BIT(m)
        :: op == DEL -> dep = dep | BIT(m); del = del | BIT(m)
        :: op == PROMO -> promo = promo | BIT(m); clean_b = clean_b | BIT(m)
        fi;
        base[m] = val[_pid];
        val[_pid] = 0;
        own[_pid] = m;
        aim[_pid] = m;
        m = 0;
        mine = i;
        target = i;
        i = 0
    };

    /* -- resolve the TENT at target: my own, or one that I met -- */
resolve:
#ifdef BROKEN_SPILL_BEFORE_SCAN
    atomic { s = spill };
#endif
#ifdef BROKEN_CHECK_BEFORE_SCAN
    atomic { to = (spill && store[k] != base[aim[_pid]] || !spill && base[aim[_pid]] -> ABRT : 0) };
#endif
#ifdef BROKEN_PROMOTION_REREADS_EARLY
    atomic {
        to = (IS(promo, aim[_pid]) && (!spill || store[k] != base[aim[_pid]]) -> ABRT : 0);
        if :: to == ABRT -> goto commit :: else -> skip fi
    };
#endif
scan_at:
    atomic {
        i = NEXT_SLOT(i);
        if
        :: i >= NS -> i = 0; goto scanned
        :: else -> w = slot[i]
        fi;
        if
        :: !(STATE(w) == TENT || EFFECT(w)) || KEY(REC(w)) != k -> w = 0; i++; i = NEXT_SLOT(i)
#ifdef BROKEN_SCAN_SKIPS_TOMB
        :: STATE(w) == TOMB && KEY(REC(w)) == k -> w = 0; i++; i = NEXT_SLOT(i)
        :: EFFECT(w) && STATE(w) != TOMB && KEY(REC(w)) == k -> to = ABRT; w = 0; i = 0; goto commit
#else
        :: EFFECT(w) && KEY(REC(w)) == k -> to = ABRT; w = 0; i = 0; goto commit
#endif
        :: STATE(w) == TENT && KEY(REC(w)) == k ->
            if
#if defined(BROKEN_PROMOTION_KILLS) || defined(LIKE_OTHERS)
            :: i < target -> target = i; aim[_pid] = REC(w); w = 0; i = 0; goto resolve
            :: else -> look[_pid] = REC(w); goto kill
#elif defined(BROKEN_PROMOTION_IGNORED)
            :: IS(promo, aim[_pid]) -> to = ABRT; w = 0; i = 0; goto commit
            :: !IS(promo, aim[_pid]) && IS(promo, REC(w)) -> w = 0; i++; i = NEXT_SLOT(i)
            :: !IS(promo, aim[_pid]) && !IS(promo, REC(w)) && i < target ->
                target = i; aim[_pid] = REC(w); w = 0; i = 0; goto resolve
            :: !IS(promo, aim[_pid]) && !IS(promo, REC(w)) && i > target -> look[_pid] = REC(w); goto kill
#else
            :: IS(promo, aim[_pid]) -> to = ABRT; w = 0; i = 0; goto commit
            :: !IS(promo, aim[_pid]) && !IS(promo, REC(w)) && i < target ->
                target = i; aim[_pid] = REC(w); w = 0; i = 0; goto resolve
            :: !IS(promo, aim[_pid]) && (IS(promo, REC(w)) || i > target) -> look[_pid] = REC(w); goto kill
#endif
            fi
        fi;
        if
        :: i < NS -> goto scan_at
        :: else -> i = 0
        fi
    };
scanned:
    atomic { /* the spill bits */
#ifndef BROKEN_SPILL_BEFORE_SCAN
        s = spill;
#endif
#ifdef BROKEN_CHECK_BEFORE_SCAN
        if :: to == ABRT -> s = 0; goto commit :: else -> goto choose fi;
#endif
#if defined(BROKEN_NO_CHECK)
        if :: !IS(promo, aim[_pid]) -> goto choose :: else -> skip fi;
#elif defined(BROKEN_HELPERS_DO_NOT_CHECK)
        if :: aim[_pid] != own[_pid] -> goto choose :: else -> skip fi;
#elif defined(BROKEN_PROMOTION_DOES_NOT_REREAD) || defined(BROKEN_PROMOTION_REREADS_EARLY)
        if :: IS(promo, aim[_pid]) -> goto choose :: else -> skip fi;
#endif
        if
        :: !IS(dep, aim[_pid]) && !IS(promo, aim[_pid]) -> goto choose
        :: (IS(dep, aim[_pid]) || IS(promo, aim[_pid])) && !s ->
            if :: base[aim[_pid]] == 0 -> goto choose :: else -> to = ABRT; goto commit fi
        :: else -> skip
        fi
    };
    atomic { /* the store: is it what the record was computed from? */
        if
        :: store[k] == base[aim[_pid]] -> skip
        :: else -> s = 0; to = ABRT; goto commit
        fi;
choose:
        if
#ifdef BROKEN_DELETE_COMMITS_TO_FREE
        :: IS(del, aim[_pid]) -> to = FREE
#else
        :: IS(del, aim[_pid]) -> to = TOMB
#endif
        :: IS(promo, aim[_pid]) -> to = BELOW
        :: else ->
#ifdef BROKEN_COMMIT_TO_LIVE
            to = LIVE
#else
            to = (s -> BELOW : LIVE)
#endif
        fi;
#ifdef BROKEN_PROMOTION_TO_LIVE
        if :: IS(promo, aim[_pid]) -> to = LIVE :: else -> skip fi;
#endif
        s = 0
    };
commit:
    atomic {
        if
        :: slot[target] == W(TENT, aim[_pid]) && to == ABRT -> slot[target] = W(ABRT, aim[_pid])
        :: slot[target] == W(TENT, aim[_pid]) && to != ABRT ->
            assert(!IS(buried, aim[_pid])); /* T-E */
            slot[target] = (to == FREE -> 0 : W(to, aim[_pid]));
            committed = committed | BIT(aim[_pid]);
            if
            :: IS(promo, aim[_pid]) -> skip
            :: else ->
                assert(!IS(dep, aim[_pid]) || cur[k] == base[aim[_pid]]); /* T-D */
                m = (to == TOMB || to == FREE -> 0 : aim[_pid]);
                set_current(k, m);
                m = 0;
                base[aim[_pid]] = 0;
                dep = dep & ~BIT(aim[_pid]);
                del = del & ~BIT(aim[_pid])
            fi;
            check()
        :: else -> skip
        fi;
        to = 0;
        goto resolved
    };

kill: /* the rival at i */
    atomic {
        if
        :: slot[target] == W(TENT, aim[_pid]) -> skip
        :: else -> w = 0; look[_pid] = 0; i = 0; goto resolved
        fi
    };
    atomic {
        if
        :: slot[i] == w -> slot[i] = W(ABRT, REC(w));
#ifndef LIKE_OTHERS
            assert(!IS(promo, aim[_pid])) /* T-F */
#endif
        :: else -> skip
        fi;
        look[_pid] = 0;
        w = 0;
        goto scan_at
    };

resolved:
    atomic { /* my own word: to be resolved still, killed, or committed */
        if
        :: slot[mine] == W(TENT, own[_pid]) -> aim[_pid] = own[_pid]; target = mine; goto resolve
        :: slot[mine] == W(ABRT, own[_pid]) -> assert(!IS(committed, own[_pid])) /* T-E */
        :: else -> assert(IS(committed, own[_pid])); committed = committed & ~BIT(own[_pid]); goto done
        fi;
        aim[_pid] = 0;
        target = 0
    };
    atomic {
        slot[mine] = 0;
        own[_pid] = 0;
        mine = 0;
        collect();
        if
        :: op == PROMO -> goto done
        :: else -> goto find
        fi
    };

stop:
    false
    } unless {
#if DEATHS
        atomic {
            DEATH;
            op = 0; i = 0; w = 0; mine = 0; k = 0; s = 0; target = 0; to = 0; script = 0;
            aim[_pid] = 0; val[_pid] = 0; look[_pid] = 0; want[_pid] = 0; seen[_pid] = 0;
            collect()
        }
#else
        false
#endif
    };
    false
}

#ifdef BROKEN_WITHOUT_LOCK
#define LOCK_FREE true
#else
#define LOCK_FREE lock == 0
#endif

inline mark(x)
{
    clean_t = (STATE(x) == TOMB -> clean_t | BIT(REC(x)) : clean_t);
    clean_b = (STATE(x) == TOMB -> clean_b : clean_b | BIT(REC(x)))
}

/* Copies entries down, again and again; may die anywhere: then the next one begins. */
proctype copier() RUNS
{
    byte i, w;
#ifdef BATCH
    byte first;
#define FORGET_FIRST first = 0; look2 = 0
#else
#define FORGET_FIRST skip
#endif
#define DIE \
    lock = (lock == _pid -> 0 : lock); i = 0; w = 0; look[_pid] = 0; FORGET_FIRST; collect(); goto again

#ifdef BROKEN_NO_MARK
#define COPIED(x) EFFECT(x)
#else
#define COPIED(x) (STATE(x) == BELOW || STATE(x) == TOMB)
#endif

again:
#if COPIERS > 1
    atomic { /* which, before the lock */
        if
        :: COPIED(slot[0]) -> i = 0
        :: COPIED(slot[1]) -> i = 1
#if NS > 2
        :: COPIED(slot[2]) -> i = 2
#endif
        fi;
        w = slot[i];
        look[_pid] = REC(w)
    };
#ifdef BROKEN_RECHECK_BEFORE_LOCK
    atomic {
        if
        :: COPIED(slot[i]) && REC(slot[i]) == REC(w) -> w = slot[i]
        :: else -> DIE
        fi
    };
#endif
    if
    :: atomic { LOCK_FREE -> lock = _pid }
    :: atomic { DIE }
    fi;
#if !defined(BROKEN_NO_RECHECK) && !defined(BROKEN_RECHECK_BEFORE_LOCK)
    if
    :: atomic {
        if
        :: COPIED(slot[i]) && REC(slot[i]) == REC(w) -> w = slot[i]; i = 0
        :: else -> DIE
        fi
       }
    :: atomic { DIE }
    fi;
#endif
#else
    atomic { /* the lock, and what the slot names under it */
        if
        :: LOCK_FREE && COPIED(slot[0]) -> w = slot[0]
        :: LOCK_FREE && COPIED(slot[1]) -> w = slot[1]
#if NS > 2
        :: LOCK_FREE && COPIED(slot[2]) -> w = slot[2]
#endif
        fi;
#ifdef LOOP
        copies++;
        copies <= COPIES;
#endif
        lock = _pid;
        look[_pid] = REC(w)
    };
#ifdef BATCH
    goto write;
another:
    atomic {
        if
        :: COPIED(slot[0]) -> w = slot[0]
        :: COPIED(slot[1]) -> w = slot[1]
#if NS > 2
        :: COPIED(slot[2]) -> w = slot[2]
#endif
        :: true -> DIE
        fi;
        look[_pid] = REC(w)
    };
write:
#endif
#endif
#ifdef BROKEN_CLEAN_BEFORE_PUBLISH
    if
    :: atomic { mark(w) }
    :: atomic { DIE }
    fi;
#endif
#if !defined(SPILL_AFTER_PUBLISH) && !defined(BROKEN_SPILL_AFTER_CLEAN)
    if
    :: atomic { spill = (STATE(w) != TOMB -> 1 : spill) }
    :: atomic { DIE }
    fi;
#endif
#ifdef BATCH
    if
    :: atomic { first == 0 -> first = w; look2 = REC(w); w = 0; goto another }
    :: skip
    fi;
#endif
#ifdef BROKEN_RECOMPUTE_BEFORE_PUBLISH
    if
    :: atomic { spill = (store[0] || store[1]) }
    :: skip
    fi;
#endif
#ifdef ROOT_WORD
#define STORE file
#else
#define STORE store
#endif
    if
    :: atomic {
#ifdef BATCH
        if :: first != 0 -> m = KEY(REC(first)); n = VALUE(first); STORE[m] = n :: else -> skip fi;
#endif
        m = KEY(REC(w));
        n = VALUE(w);
        STORE[m] = n;
        m = 0;
        n = 0;
#ifdef BROKEN_CLEAR_FOR_TOMB
        spill = (STATE(w) == TOMB -> 0 : spill);
#endif
        check()
       }
    :: atomic { DIE }
    fi;
#ifdef ROOT_WORD
    if
    :: atomic { ADOPT }
    :: atomic { DIE }
    fi;
#endif
#ifdef BATCH
    if
    :: atomic { if :: first != 0 -> mark(first) :: else -> skip fi; first = 0; look2 = 0; collect() }
    :: atomic { DIE }
    fi;
#endif
#ifdef SPILL_AFTER_PUBLISH
    if
    :: atomic { spill = (STATE(w) != TOMB -> 1 : spill) }
    :: atomic { DIE }
    fi;
#endif
#ifdef BROKEN_MARK_WHAT_SLOT_NAMES
    if
    :: atomic { COPIED(slot[0]) && KEY(REC(slot[0])) == KEY(REC(w)) -> mark(slot[0]); DIE }
    :: atomic { COPIED(slot[1]) && KEY(REC(slot[1])) == KEY(REC(w)) -> mark(slot[1]); DIE }
    :: atomic { DIE }
    fi;
#elif !defined(BROKEN_CLEAN_BEFORE_PUBLISH)
    if
#ifndef BROKEN_SPILL_AFTER_CLEAN
    :: atomic { mark(w); DIE }
#else
    :: atomic { mark(w) }
#endif
    :: atomic { DIE }
    fi;
#endif
#ifdef BROKEN_SPILL_AFTER_CLEAN
    if
    :: atomic { spill = (STATE(w) != TOMB -> 1 : spill) }
    :: atomic { DIE }
    fi;
#endif
#if defined(BROKEN_SPILL_AFTER_CLEAN) || defined(BROKEN_CLEAN_BEFORE_PUBLISH)
    atomic { DIE }
#endif
}

/* Is the record that the slot names copied down in this state? */
#ifdef BROKEN_ONE_MARK
#define CLEAN(x) (STATE(x) == BELOW || STATE(x) == TOMB) && (IS(clean_b, REC(x)) || IS(clean_t, REC(x)))
#elif defined(BROKEN_EVICT_DIRTY)
#define CLEAN(x) (STATE(x) == BELOW || STATE(x) == TOMB && IS(clean_t, REC(x)))
#elif defined(BROKEN_EVICT_DIRTY_TOMB)
#define CLEAN(x) (STATE(x) == BELOW && IS(clean_b, REC(x)) || STATE(x) == TOMB)
#else
#define CLEAN(x) (STATE(x) == BELOW && IS(clean_b, REC(x)) || STATE(x) == TOMB && IS(clean_t, REC(x)))
#endif

#define TENT_OF(r) (slot[0] == W(TENT, r) || slot[1] == W(TENT, r))

#ifdef EVACUATION
inline move(j)
{
    allocate();
    key2 = key2 | (KEY(REC(slot[j])) << m);
    promo = promo | BIT(m);
    base[m] = VAL(REC(slot[j]));
    if
    :: clean_b = clean_b | (IS(clean_b, REC(slot[j])) << m); clean_t = clean_t | (IS(clean_t, REC(slot[j])) << m)
    :: skip
    fi;
    slot[j] = W(STATE(slot[j]), m);
    m = 0;
    check()
}
#endif

/* Whoever evicts, recomputes the spill bits, dies, settles. */
proctype others() RUNS
{
    do
#ifndef BROKEN_NO_MARK
    :: atomic { STATE(slot[0]) == LIVE -> slot[0] = W(BELOW, REC(slot[0])) }
    :: atomic { STATE(slot[1]) == LIVE -> slot[1] = W(BELOW, REC(slot[1])) }
#if NS > 2
    :: atomic { STATE(slot[2]) == LIVE -> slot[2] = W(BELOW, REC(slot[2])) }
#endif
#endif
    :: atomic { CLEAN(slot[0]) -> slot[0] = 0; check() }
    :: atomic { CLEAN(slot[1]) -> slot[1] = 0; check() }
#if NS > 2
    :: atomic { CLEAN(slot[2]) -> slot[2] = 0; check() }
#endif
#ifdef ROOT_WORD
    :: atomic { lock == 0 && !ADOPTED -> ADOPT }
    :: atomic { lock == 0 && !ADOPTED -> file[0] = store[0]; file[1] = store[1]; collect() }
#endif
#ifdef BROKEN_RECOMPUTE_WITHOUT_LOCK
    :: atomic { spill != (store[0] || store[1]) -> spill = !spill }
#else
    :: atomic { lock == 0 && spill != (store[0] || store[1]) -> spill = !spill }
#endif
#ifdef EVACUATION
    :: atomic { moves < EVACUATION && EFFECT(slot[0]) -> moves++; move(0) }
    :: atomic { moves < EVACUATION && EFFECT(slot[1]) -> moves++; move(1) }
#endif
#if DEATHS
    :: atomic { deaths < DEATHS && own[1] && !(dead & 2) -> deaths++; dead = dead | 2; dying = 1 }
    :: atomic { deaths < DEATHS && own[2] && !(dead & 4) -> deaths++; dead = dead | 4; dying = 2 }
#if NP > 2
    :: atomic { deaths < DEATHS && own[3] && !(dead & 8) -> deaths++; dead = dead | 8; dying = 3 }
#endif
    :: atomic {
        dying == 0 && dead ->
        m = (dead & 2 -> 1 : (dead & 4 -> 2 : 3));
        n = own[m];
        if
        :: n != 0 && slot[0] == W(TENT, n) -> slot[0] = W(ABRT, n)
        :: n != 0 && slot[1] == W(TENT, n) -> slot[1] = W(ABRT, n)
        :: n != 0 && slot[0] == W(ABRT, n) -> slot[0] = 0
        :: n != 0 && slot[1] == W(ABRT, n) -> slot[1] = 0
#if NS > 2
        :: n != 0 && slot[2] == W(TENT, n) -> slot[2] = W(ABRT, n)
        :: n != 0 && slot[2] == W(ABRT, n) -> slot[2] = 0
#endif
        :: else -> if :: n != 0 -> own[m] = 0; buried = buried | BIT(n) :: else -> skip fi; dead = dead & ~BIT(m)
        fi;
        m = 0;
        n = 0;
        collect()
       }
#endif
    od
}

inline choose(o)
{
    if
    :: o = (o << 4) | GET
    :: o = (o << 4) | PUT
    :: o = (o << 4) | ADD
    :: o = (o << 4) | DEL
    :: o = (o << 4) | INC
#ifdef TWO_KEYS
    :: o = (o << 4) | KEY2 | GET
    :: o = (o << 4) | KEY2 | PUT
    :: o = (o << 4) | KEY2 | DEL
#endif
    fi
}

init
{
    short a, b, c;
    byte r;
    atomic {
        /* what is there at first: key 1 */
        if
        :: skip
        :: slot[0] = W(LIVE, 1); cur[0] = 1
        :: slot[0] = W(BELOW, 1); cur[0] = 1; store[0] = 2; spill = 1
        :: slot[0] = W(TOMB, 1); cur[0] = 0; store[0] = 2; spill = 1
        :: store[0] = 2; cur[0] = 2; spill = 1
        fi;
        /* key 2 */
        if
        :: skip
#ifdef TWO_KEYS
        :: store[1] = 3; cur[1] = 3; spill = 1; key2 = BIT(3)
#endif
        fi;
#ifdef ROOT_WORD
        file[0] = store[0];
        file[1] = store[1];
#endif
#ifdef W1
        a = W1;
        b = W2;
#if NP > 2
        c = W3;
#endif
#else
        choose(a);
#if N_OPS > 1
        choose(a);
#endif
        choose(b);
#if N_OPS > 1
        choose(b);
#endif
        a >= b;
#if NP > 2
        choose(c);
        b >= c;
#endif
#endif
        run worker(a);
        run worker(b);
#if NP > 2
        run worker(c);
#endif
        run copier();
#if COPIERS > 1
        run copier();
#endif
        run others();
        a = 0;
        b = 0;
        c = 0
    }
}
