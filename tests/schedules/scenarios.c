/* SPDX-License-Identifier: MIT
 *
 * The scenarios.  Values are unique in each, so that what a get answers tells whose it is.  A value 0 stands for
 * one of many zeros, which a stale look at a reused span takes for free blocks; a value 4 for what it takes for
 * sealed ones.
 */
#include <string.h>

#include "schedules/scenario.h"

#define PUT(k, v) { OP_PUT, KEY_##k, v }
#define ADD(k, v) { OP_ADD, KEY_##k, v }
#define DELETE(k) { OP_DELETE, KEY_##k, 1 }
#define TAKE(k) { OP_TAKE, KEY_##k, 1 }
#define GET(k) { OP_GET, KEY_##k, 1 }
#define GET_MANY(k) { OP_GET_MANY, KEY_##k, 1 }
#define GETV(k) { OP_GETV, KEY_##k, 1 }
#define DELETE_IF(k, v) { OP_DELETE_IF, KEY_##k, v }
#define WAIT(k, v) { OP_WAIT, KEY_##k, v }
#define WALK { OP_WALK, 0, 1 }
#define RECLAIM { OP_RECLAIM, 0, 1 }
#define KEEP { OP_KEEP, 0, 1 }
#define READY { OP_READY, 0, 1 }
#define INCR(k, v) { OP_INCR, KEY_##k, v }
#define REAP { OP_REAP, 0, 1 }
#define SWEEP { OP_SWEEP, 0, 1 }
#define SETTLE { OP_SETTLE, 0, 1 }
#define CHECK { OP_CHECK, 0, 1 }
#define STATS { OP_STATS, 0, 1 }
#define ATTACH { OP_ATTACH, 0, 1 }
#define DETACH { OP_DETACH, 0, 1 }
#define EVACUATE { OP_EVACUATE, 0, 1 }
#define FLUSH { OP_FLUSH, 0, 1 }
#define FILL(n) { OP_FILL, 0, n }
#define FILL_ALL { OP_FILL, 0, FILL_MOST + 1 }
#define UNFILL(i) { OP_UNFILL, 0, i }
#define WRAP { OP_WRAP, 0, 1 }
#define DIE { OP_DIE, 0, 1 }
#define LOOK { OP_LOOK, 0, 1 }

#define TINY 104u  /* 32 blocks in a span */
#define SMALL 232u /* 16 blocks in a span */
#define LARGE 488u /* 8 */
#define HALF 2000u /* 2 */

const struct scenario scenarios[] = {
    { .name = "insert_insert", .about = "two insert one key, one reads it", .value_bytes = SMALL,
      .ops = { { PUT(A, 1) }, { PUT(A, 2) }, { GET(A), GET(A) } } },
    { .name = "insert_three", .about = "three insert one key", .value_bytes = SMALL,
      .ops = { { PUT(A, 1) }, { ADD(A, 2) }, { PUT(A, 3) } } },
    { .name = "insert_delete", .about = "insert against delete and add", .value_bytes = SMALL,
      .ops = { { PUT(A, 1), GET(A) }, { DELETE(A), GET(A) }, { ADD(A, 2) } } },
    { .name = "insert_higher", .about = "rivals in two slots, and a lower one becomes free", .value_bytes = SMALL,
      .setup = { { 0, FILL(3) } },
      .ops = { { PUT(A, 1) }, { PUT(A, 2) }, { UNFILL(0), GET(A) } } },
    { .name = "bound", .about = "raising and lowering one bound, other keys of the home", .value_bytes = SMALL,
      .setup = { { 0, FILL(7) }, { 0, PUT(C, 9) } },
      .ops = { { PUT(A, 1) }, { DELETE(C) }, { GET(A), GET(A) } } },
    { .name = "bound_rivals", .about = "two insert one key beyond the bound while it is lowered", .value_bytes = SMALL,
      .setup = { { 0, FILL(7) }, { 0, PUT(C, 9) } },
      .ops = { { PUT(A, 1) }, { PUT(A, 2) }, { DELETE(C) } } },
    { .name = "bound_free", .about = "rivals on either side of a group's end", .value_bytes = SMALL,
      .setup = { { 0, FILL(7) } },
      .ops = { { PUT(A, 1), GET(A) }, { UNFILL(3) }, { PUT(A, 2), GET(A) } } },
    { .name = "finger", .about = "two keys of one home and one fingerprint", .value_bytes = SMALL,
      .ops = { { PUT(A, 1), DELETE(A) }, { PUT(B, 2), GET(A) }, { GET(B), GET(A) } } },
    { .name = "update_update", .about = "two replace, one reads", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { PUT(A, 2) }, { GET(A), GET(A) } } },
    { .name = "update_delete", .about = "replace against delete, one reads", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { DELETE(A) }, { GET(A), GET(A) } } },
    { .name = "reinsert", .about = "delete and insert again under a replacing one (ABA)", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { DELETE(A), PUT(A, 1) }, { PUT(A, 2) }, { TAKE(A) } } },
    { .name = "read_reuse", .about = "a reader while blocks are freed and used again", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { GET(A), GET(A) }, { PUT(A, 1), PUT(A, 2) }, { PUT(B, 3) } } },
    { .name = "read_many", .about = "the same by a batch, which sees the slot before it reads", .quick = 50, .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { GET_MANY(A), GET_MANY(A) }, { PUT(A, 1), PUT(A, 2) }, { PUT(B, 3) } } },
    { .name = "read_many_behind", .about = "a batch whose key lies behind its home, and comes to lie in it", .quick = 50,
      .value_bytes = SMALL, .setup = { { 0, FILL(7) }, { 0, PUT(A, 9) } },
      .ops = { { GET_MANY(A), GET_MANY(A) }, { UNFILL(3), DELETE(A) }, { PUT(A, 1) } } },
    { .name = "read_apart", .about = "a reader that is not attached, while blocks are used again", .value_bytes = SMALL,
      .apart = 1, .setup = { { 1, PUT(A, 9) } },
      .ops = { { GET(A), GET(A) }, { PUT(A, 1), PUT(A, 2) }, { DELETE(A) } } },
    { .name = "tag_take", .about = "the slot's word comes back while one takes: what a hazard prevents",
      .value_bytes = SMALL, .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { TAKE(A) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_get", .about = "the slot's word comes back under a reader: H's generation tells",
      .value_bytes = SMALL, .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { GET(A), TAKE(A) }, { DELETE(A), PUT(A, 1) }, { PUT(B, 1) } } },
    { .name = "tag_get_half", .about = "the slot's word comes back, with a record that is being written",
      .value_bytes = TINY, .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { GET(A) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "general_get_half", .about = "the same by the general way", .quick = 50, .value_bytes = TINY, .general = true,
      .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { GET(A) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "general_update", .about = "two replace, one reads, by the general way", .quick = 50, .value_bytes = SMALL,
      .general = true, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { PUT(A, 2) }, { GET(A), GET(A) } } },
    { .name = "tag_getv", .about = "the same, and the version that was read is used", .quick = 50, .value_bytes = TINY,
      .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { GETV(A), DELETE_IF(A, 0) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_put", .about = "the slot's word comes back while one replaces", .quick = 50, .value_bytes = TINY,
      .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { PUT(A, 2) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_put_other", .about = "the same, with another key of the home and fingerprint", .quick = 50, .value_bytes = TINY,
      .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { PUT(A, 2) }, { DELETE(A), PUT(B, 1) } } },
    { .name = "tag_add", .about = "the slot's word comes back while one adds, and takes",
      .quick = 50, .value_bytes = TINY,
      .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { ADD(A, 2), TAKE(A) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_incr", .about = "the slot's word comes back while one counts", .quick = 50, .value_bytes = TINY,
      .setup = { { 0, INCR(A, 9) }, { 1, WRAP } },
      .ops = { { INCR(A, 100) }, { DELETE(A), INCR(A, 1) } } },
    { .name = "tag_walk", .about = "the slot's word comes back under a walk and a check",
      .quick = 50, .value_bytes = TINY,
      .keys_go = true, .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { WALK, CHECK }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_evacuate", .about = "the slot's word comes back while its span is emptied",
      .quick = 50, .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 2, FLUSH }, { 1, WRAP } },
      .ops = { { EVACUATE }, { DELETE(A), PUT(A, 1) } } },
    { .name = "ready_take", .about = "the slot's word comes back with a block that was not freed in between", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) }, { 1, KEEP }, { 1, WRAP } },
      .ops = { { TAKE(A) }, { DELETE(A), READY, PUT(A, 1) } } },
    { .name = "ready_get", .about = "the same under a reader, and one who puts another key", .quick = 50, .value_bytes = TINY,
      .setup = { { 0, PUT(A, 9) }, { 1, KEEP }, { 1, WRAP } },
      .ops = { { GET(A), GET(A) }, { DELETE(A), READY, PUT(A, 1) } } },
    { .name = "ready_sweep", .about = "a sweep frees what its owner is about to take again", .quick = 50, .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 0, KEEP } },
      .ops = { { DELETE(A), READY, PUT(A, 1) }, { SWEEP, PUT(B, 2) }, { TAKE(B) } } },
    { .name = "ready_freed", .about = "what somebody else has freed, used and retired meanwhile is no more to be taken", .quick = 50,
      .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 0, KEEP }, { 0, DELETE(A) }, { 0, READY }, { 1, SWEEP }, { 1, PUT(A, 2) }, { 0, WRAP } },
      .ops = { { PUT(A, 1) }, { DELETE(A) }, { TAKE(A) } } },
    { .name = "ready_reap", .about = "one dies taking again what he has retired, one reaps, one goes on", .quick = 50, .value_bytes = LARGE,
      .kills = 1, .killable = 1, .setup = { { 0, PUT(A, 9) }, { 0, KEEP } },
      .ops = { { PUT(A, 1), READY, PUT(A, 3) }, { REAP }, { PUT(A, 2) } } },
    { .name = "ready_evacuate", .about = "the span of such a block is emptied and cut up anew", .quick = 30,
      .value_bytes = HALF, .faked_bytes = 3000,
      .setup = { { 0, FLUSH }, { 1, FILL(2) }, { 1, PUT(A, 9) }, { 1, PUT(B, 8) }, { 1, KEEP }, { 1, DELETE(A) }, { 1, DELETE(B) }, { 1, READY } },
      .ops = { { EVACUATE, PUT(C, 0) }, { PUT(A, 1) } } },
    { .name = "incr", .about = "three add to one number", .value_bytes = SMALL,
      .ops = { { INCR(A, 1) }, { INCR(A, 10) }, { INCR(A, 100) } } },
    { .name = "take", .about = "two take what one puts", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { TAKE(A) }, { TAKE(A) }, { PUT(A, 1) } } },
    { .name = "retire_adopt", .about = "retiring against a sweep that adopts", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1), PUT(A, 2) }, { SWEEP }, { TAKE(A) } } },
    { .name = "reap_inserter", .about = "one dies, another inserts too, one reaps", .value_bytes = LARGE,
      .kills = 1, .killable = 1,
      .ops = { { PUT(A, 1) }, { REAP }, { PUT(A, 2) } } },
    { .name = "reap_updater", .about = "one dies replacing or deleting, one reaps, one goes on", .value_bytes = LARGE,
      .kills = 1, .killable = 1, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1), DELETE(A) }, { REAP }, { PUT(A, 2) } } },
    { .name = "reap_reap", .about = "two reap the same dead one", .value_bytes = LARGE,
      .kills = 1, .killable = 1, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { REAP }, { REAP } } },
    { .name = "reap_reaper", .about = "who reaps dies too", .value_bytes = LARGE,
      .kills = 2, .killable = 3, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { REAP }, { REAP } } },
    { .name = "attach_reuse", .about = "one attaches, with a dead one's index perhaps, one reaps", .value_bytes = LARGE,
      .kills = 1, .killable = 1, .apart = 2, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { ATTACH, PUT(A, 2) }, { REAP } } },
    { .name = "attach_reaped", .about = "one dies, another attaches there, one reaps and looks whether that was all",
      .value_bytes = LARGE, .kills = 1, .killable = 1, .apart = 2,
      .ops = { { PUT(A, 1) }, { ATTACH }, { REAP, GET(A), ADD(A, 2) } } },
    { .name = "detach", .about = "one ends, one reaps", .value_bytes = LARGE, .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1), DETACH }, { REAP }, { PUT(A, 2) } } },
    { .name = "detach_stats", .about = "one ends and begins again while another asks who is dead", .value_bytes = LARGE,
      .ops = { { DETACH, ATTACH }, { STATS } } },
    { .name = "evacuate_put", .about = "emptying a span against replace and delete", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 2, FLUSH } },
      .ops = { { EVACUATE }, { PUT(A, 1) }, { DELETE(A) } } },
    { .name = "evacuate_get", .about = "emptying a span against a reader", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 2, FLUSH } },
      .ops = { { EVACUATE }, { GET(A), GET(A) }, { PUT(B, 1) } } },
    { .name = "general_evacuate_get", .about = "the same by the general way", .quick = 50, .value_bytes = LARGE, .general = true,
      .setup = { { 0, PUT(A, 9) }, { 2, FLUSH } },
      .ops = { { EVACUATE }, { GET(A), GET(A) }, { PUT(B, 1) } } },
    { .name = "evacuate_evacuate", .about = "two empty one span", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 2, FLUSH } },
      .ops = { { EVACUATE }, { EVACUATE }, { PUT(A, 1) } } },
    { .name = "evacuate_reuse", .about = "an emptied span is cut up anew while another empties it",
      .value_bytes = LARGE, .setup = { { 0, PUT(A, 9) }, { 0, DELETE(A) }, { 0, FLUSH } },
      .ops = { { EVACUATE, PUT(D, 0) }, { EVACUATE } } },
    { .name = "evacuate_thirds", .about = "the same, and the new records lie across where the old ones began",
      .value_bytes = LARGE, .faked_bytes = 1330, .quick = 30,
      .setup = { { 0, PUT(A, 9) }, { 0, DELETE(A) }, { 0, FLUSH } },
      .ops = { { EVACUATE, PUT(D, 0), PUT(D, 0) }, { EVACUATE } } },
    { .name = "evacuate_take", .about = "blocks are taken by hints from a span that is emptied and cut up anew",
      .value_bytes = HALF, .faked_bytes = 3000, .quick = 30,
      .setup = { { 0, FLUSH }, { 1, FILL(2) }, { 1, PUT(A, 9) }, { 1, PUT(B, 8) }, { 1, DELETE(A) }, { 1, DELETE(B) } },
      .ops = { { EVACUATE, PUT(C, 0) }, { PUT(A, 1) } } },
    { .name = "tag_delete_if", .about = "the version is of a record that the slot no longer names",
      .value_bytes = SMALL, .setup = { { 0, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { DELETE_IF(A, 9) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "attach_tag", .about = "who has just attached takes, beside a scan of all hazards",
      .value_bytes = LARGE, .apart = 1, .setup = { { 1, PUT(A, 9) }, { 1, WRAP } },
      .ops = { { ATTACH, TAKE(A) }, { DELETE(A), PUT(A, 1) } } },
    { .name = "tag_settle", .about = "the slot's word comes back, ABRT, while one settles a dead one's block",
      .value_bytes = LARGE, .setup = { { 2, FILL(1) }, { 2, PUT(A, 9) }, { 0, WRAP }, { 2, DIE }, { 0, LOOK } },
      .ops = { { PUT(A, 2) }, { SETTLE }, { UNFILL(0), ADD(A, 1) } } },
    { .name = "sweep_reuse", .about = "a span is emptied and cut up anew under a sweep", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 0, DELETE(A) }, { 0, FLUSH } },
      .ops = { { EVACUATE, PUT(D, 4) }, { SWEEP } } },
    { .name = "summary", .about = "a run of groups becomes empty, and not", .value_bytes = SMALL, .keys_go = true,
      .setup = { { 0, PUT(C, 9) } },
      .ops = { { PUT(A, 1) }, { DELETE(C) }, { WALK } } },
    { .name = "walk", .about = "a walk beside delete, insert and replace", .value_bytes = SMALL, .keys_go = true,
      .setup = { { 0, FILL(3) }, { 0, PUT(A, 9) }, { 0, PUT(B, 8) }, { 0, PUT(D, 7) } },
      .ops = { { WALK }, { DELETE(A), PUT(A, 1) }, { PUT(B, 2) } } },
    { .name = "walk_evacuate", .about = "a walk while a span is emptied", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) }, { 0, PUT(B, 8) }, { 2, FLUSH } },
      .ops = { { WALK }, { EVACUATE }, { PUT(A, 1) } } },
    { .name = "wait_change", .about = "one waits for what two change", .value_bytes = SMALL,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { WAIT(A, 9) }, { PUT(A, 1) }, { DELETE(A) } } },
    { .name = "wait_insert", .about = "one waits for a key that two insert", .value_bytes = SMALL,
      .ops = { { WAIT(A, 0) }, { PUT(A, 1) }, { ADD(A, 2) } } },
    { .name = "wait_two", .about = "two wait for one change", .value_bytes = SMALL, .setup = { { 0, PUT(A, 9) } },
      .ops = { { WAIT(A, 9) }, { WAIT(A, 9) }, { PUT(A, 1) } } },
    { .name = "full_adopt", .about = "the heap is full; one deletes, one puts, one sweeps", .value_bytes = HALF,
      .may_be_full = true, .setup = { { 1, FILL_ALL } },
      .ops = { { PUT(A, 1) }, { UNFILL(0) }, { SWEEP } } },
    { .name = "full_rivals", .about = "two want what one deletes in a full heap", .value_bytes = HALF,
      .may_be_full = true, .setup = { { 2, FILL_ALL } },
      .ops = { { PUT(A, 1) }, { PUT(B, 2) }, { UNFILL(0) } } },
    { .name = "full_update", .about = "replacing in a full heap, beside a reader", .value_bytes = HALF,
      .may_be_full = true, .setup = { { 0, PUT(A, 9) }, { 0, FILL_ALL } },
      .ops = { { PUT(A, 1) }, { GET(A), GET(A) }, { UNFILL(0) } } },
    { .name = "full_evacuate", .about = "in a full heap a larger record moves others, beside a reader of theirs",
      .value_bytes = HALF, .faked_bytes = 3000, .quick = 40,
      .setup = { { 0, PUT(A, 9) }, { 0, FILL_ALL }, { 0, UNFILL(0) }, { 0, UNFILL(2) } },
      .ops = { { PUT(D, 0) }, { GET(A), GET(A) } } },
    { .name = "check", .about = "every invariant is looked at while others write", .value_bytes = LARGE,
      .setup = { { 0, PUT(A, 9) } },
      .ops = { { PUT(A, 1) }, { DELETE(A) }, { CHECK } } },
};
const uint32_t scenarios_n = sizeof scenarios / sizeof scenarios[0];

const struct scenario *scenario_find(const char *name)
{
    for (uint32_t i = 0; i < scenarios_n; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}
