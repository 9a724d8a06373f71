/* SPDX-License-Identifier: MIT
 *
 * Scenarios about one key, or a few.
 */
#include <string.h>

#include "kill/scenario.h"
#include "lib/fail.h"
#include "map/registry.h"
#include "memory/retire.h"

#define BIG 9000u /* more than two spans: a run of its own */
#define CROWD 6u  /* with key 0's neighbours 1, 2: more than a group's slots */

/* -- Setups ------------------------------------------------------------------------------------------- */

/* The home group of key 0 is full, key 0 not yet there. */
static void crowd(struct stage *stage, struct shoal *map, int fd)
{
    for (uint32_t i = 0; i < CROWD; i++) {
        const uint32_t key_i = stage_add_key(stage, fd, true);
        stage->keys[key_i].steady = true;
        stage_put(stage, map, key_i, 200 + i, 16);
    }
}

/* And key 0 came last: it lies in the next group. */
static void crowd_then_key(struct stage *stage, struct shoal *map, int fd)
{
    crowd(stage, map, fd);
    stage_put(stage, map, 0, 100, 100);
}

/* Until the heap is full of 100-byte values; then all but every eighth go again, so that every span is
 * sparse and none is empty. */
static void sparse_heap(struct stage *stage, struct shoal *map, int fd)
{
    uint8_t value[100];
    const uint32_t first = stage->keys_n;
    for (;;) {
        const uint32_t i = stage_add_key(stage, fd, false);
        struct stage_key *key = &stage->keys[i];
        value_make(value, 1000 + i, sizeof value);
        const int code = shoal_put(map, key->text, key->bytes, value, sizeof value);
        require(code == 0 || code == SHOAL_EFULL, "setup: %d %s", code, shoal_error_text());
        if (code == SHOAL_EFULL)
            break;
        key->cell = (struct cell){ .tag = 1000 + i, .bytes = sizeof value, .writes = 1, .present = 1 };
    }
    for (uint32_t i = first; i < stage->keys_n; i++) {
        struct stage_key *key = &stage->keys[i];
        if (i % 8 == 0 || !key->cell.present)
            continue;
        require(shoal_delete(map, key->text, key->bytes) == 0, "setup: delete");
        key->cell = (struct cell){ .writes = 2 };
    }
}

/* Not a byte left for another record of 100 bytes. */
static void full_heap(struct stage *stage, struct shoal *map, int fd)
{
    for (bool full = false; !full;) {
        uint8_t value[100];
        const uint32_t i = stage_add_key(stage, fd, false);
        struct stage_key *key = &stage->keys[i];
        value_make(value, 1000 + i, sizeof value);
        const int code = shoal_put(map, key->text, key->bytes, value, sizeof value);
        full = code == SHOAL_EFULL;
        require(code == 0 || full, "setup: %d %s", code, shoal_error_text());
        if (!full)
            key->cell = (struct cell){ .tag = 1000 + i, .bytes = sizeof value, .writes = 1, .present = 1 };
    }
}

/* The victim has a block that it has retired, and will take again: as in a large heap, where it does not give it back at once. */
static void prepare_again(struct run *run)
{
    struct call call;
    victim_prepare(run);
    require(call_begin(run->map, &call) == 0 && call_attach(&call) == 0, "attach: %s", shoal_error_text());
    call.a->retired_most = UINT64_MAX;
    victim_warm(run);
    retire_look(call.a);
    require(call.a->retired_ready != 0, "nothing is there to be taken again");
    call_end(&call);
}

/* -- The table -------------------------------------------------------------------------------------------- */

#define PUT_NEW(name_, bytes_) \
    { .name = name_, .attacks = "A B C", .shape = SHAPE_SMALL, .acts = { { .kind = ACT_PUT, .tag = 7, .bytes = bytes_ } }, \
      .acts_n = 1 }
#define HOT .shape = SHAPE_SMALL, .hot_present = true, .hot_bytes = 100
#define ONE(...) .acts = { { __VA_ARGS__ } }, .acts_n = 1

const struct scenario scenarios_of_keys[] = {
    PUT_NEW("put_new", 100),
    PUT_NEW("put_new_empty", 0),
    { .name = "put_same_size", .attacks = "A B C", HOT, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "put_again", .attacks = "A B C", HOT, .prepare = prepare_again, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "put_larger", .attacks = "A B C", HOT, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 200) },
    { .name = "put_smaller", .attacks = "A B C", HOT, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 16) },
    { .name = "put_first_of_process", .attacks = "A B C", HOT, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100),
      .flags = SCENE_NO_LIFE },
    { .name = "put_twice", .attacks = "A B C", .shape = SHAPE_SMALL,
      .acts = { { .kind = ACT_PUT, .tag = 7, .bytes = 100 }, { .kind = ACT_PUT, .tag = 8, .bytes = 16 } }, .acts_n = 2 },
    { .name = "put_big_new", .attacks = "A B C", .shape = SHAPE_ROOMY, ONE(.kind = ACT_PUT, .tag = 7, .bytes = BIG) },
    { .name = "put_big_over_small", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = 100,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = BIG) },
    { .name = "put_small_over_big", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = BIG,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "put_big_over_big", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = BIG,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = BIG) },
    { .name = "delete_big", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = BIG,
      ONE(.kind = ACT_DELETE) },
    { .name = "put_extras", .attacks = "A B C", .hot_present = true, .hot_bytes = 100,
      .shape = { .capacity = 300, .heap_bytes = 40 << 10, .threads = 8, .flags = SHOAL_MTIME | SHOAL_CHECKSUM },
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "add_new", .attacks = "A B C", .shape = SHAPE_SMALL, ONE(.kind = ACT_ADD, .tag = 7, .bytes = 100) },
    { .name = "add_existing", .attacks = "A B C", HOT, ONE(.kind = ACT_ADD, .tag = 7, .bytes = 100) },
    { .name = "replace_existing", .attacks = "A B C", HOT, ONE(.kind = ACT_REPLACE, .tag = 7, .bytes = 100) },
    { .name = "replace_missing", .attacks = "A B C", .shape = SHAPE_SMALL, ONE(.kind = ACT_REPLACE, .tag = 7, .bytes = 100) },
    { .name = "delete", .attacks = "A B C", HOT, ONE(.kind = ACT_DELETE) },
    { .name = "delete_missing", .attacks = "A B C", .shape = SHAPE_SMALL, ONE(.kind = ACT_DELETE) },
    { .name = "delete_if", .attacks = "A B C", HOT, ONE(.kind = ACT_DELETE_SEEN) },
    { .name = "delete_reinsert", .attacks = "A B C", HOT,
      .acts = { { .kind = ACT_DELETE }, { .kind = ACT_ADD, .tag = 7, .bytes = 100 } }, .acts_n = 2 },
    { .name = "insert_delete", .attacks = "A B C", .shape = SHAPE_SMALL,
      .acts = { { .kind = ACT_ADD, .tag = 7, .bytes = 100 }, { .kind = ACT_DELETE } }, .acts_n = 2 },
    { .name = "chain_put_beyond", .attacks = "A B C", .shape = SHAPE_SMALL, .setup = crowd,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "chain_update_beyond", .attacks = "A B C", .shape = SHAPE_SMALL, .setup = crowd_then_key,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 200) },
    { .name = "chain_delete_beyond", .attacks = "A B C", .shape = SHAPE_SMALL, .setup = crowd_then_key,
      ONE(.kind = ACT_DELETE) },
    { .name = "chain_delete_reinsert", .attacks = "A B C", .shape = SHAPE_SMALL, .setup = crowd_then_key,
      .acts = { { .kind = ACT_DELETE }, { .kind = ACT_PUT, .tag = 7, .bytes = 16 } }, .acts_n = 2 },
    { .name = "incr_new", .attacks = "A B C", .shape = SHAPE_SMALL, ONE(.kind = ACT_INCR, .tag = 5), .favour = ACT_INCR },
    { .name = "incr_existing", .attacks = "A B C", .shape = SHAPE_SMALL, .hot_number = true,
      ONE(.kind = ACT_INCR, .tag = 5), .favour = ACT_INCR },
    { .name = "incr_refused", .attacks = "A B C", HOT, ONE(.kind = ACT_INCR, .tag = 5) },
    { .name = "put_with_absent", .attacks = "A B C", .shape = SHAPE_SMALL,
      ONE(.kind = ACT_PUT_ABSENT, .tag = 7, .bytes = 100) },
    { .name = "put_with_version", .attacks = "A B C", HOT, ONE(.kind = ACT_PUT_SEEN, .tag = 7, .bytes = 100) },
    { .name = "put_with_stale_version", .attacks = "A B C", HOT,
      .acts = { { .kind = ACT_PUT, .tag = 6, .bytes = 100 }, { .kind = ACT_PUT_SEEN, .tag = 7, .bytes = 100 } },
      .acts_n = 2 },
    { .name = "update_store", .attacks = "A B C", HOT, ONE(.kind = ACT_UPDATE_STORE, .tag = 3, .bytes = 100),
      .favour = ACT_UPDATE_STORE },
    { .name = "update_new", .attacks = "A B C", .shape = SHAPE_SMALL, ONE(.kind = ACT_UPDATE_STORE, .tag = 3, .bytes = 100) },
    { .name = "update_remove", .attacks = "A B C", HOT, ONE(.kind = ACT_UPDATE_REMOVE) },
    { .name = "update_keep", .attacks = "A B C", HOT, ONE(.kind = ACT_UPDATE_KEEP) },
    { .name = "take", .attacks = "A B C", HOT, ONE(.kind = ACT_TAKE) },
    { .name = "take_short", .attacks = "A B C", HOT, ONE(.kind = ACT_TAKE_SHORT) },
    { .name = "get_hit", .attacks = "A B D", HOT, ONE(.kind = ACT_GET) },
    { .name = "get_miss", .attacks = "A B D", .shape = SHAPE_SMALL, ONE(.kind = ACT_GET) },
    { .name = "get_big", .attacks = "A B D", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = BIG,
      ONE(.kind = ACT_GET) },
    { .name = "view", .attacks = "A B C", HOT, ONE(.kind = ACT_VIEW) },
    { .name = "view_big", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = BIG,
      ONE(.kind = ACT_VIEW) },
    { .name = "full_heap_put", .attacks = "C H", .shape = SHAPE_TIGHT, .setup = full_heap, .flags = SCENE_FULL,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "full_heap_update", .attacks = "C H", .shape = SHAPE_TIGHT, .hot_present = true, .hot_bytes = 100,
      .setup = full_heap, .flags = SCENE_FULL, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "full_heap_delete", .attacks = "C H", .shape = SHAPE_TIGHT, .hot_present = true, .hot_bytes = 100,
      .setup = full_heap, .flags = SCENE_FULL, ONE(.kind = ACT_DELETE) },
    { .name = "sparse_heap_evacuate", .attacks = "A C H", .shape = SHAPE_TIGHT, .setup = sparse_heap,
      .flags = SCENE_FULL, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 1000) },
    { .name = "sparse_heap_big", .attacks = "A C H", .shape = SHAPE_TIGHT, .setup = sparse_heap, .flags = SCENE_FULL,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = BIG) },
    { .name = "forked_child_put", .attacks = "A B C", HOT, .flags = SCENE_FORKED,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "heal_put_by_put", .attacks = "A B C", .shape = SHAPE_SMALL, .flags = SCENE_CORPSE,
      .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 100 }, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "heal_put_by_delete", .attacks = "A B C", .shape = SHAPE_SMALL, .flags = SCENE_CORPSE,
      .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 100 }, ONE(.kind = ACT_DELETE) },
    { .name = "heal_update_by_put", .attacks = "A B C", HOT, .flags = SCENE_CORPSE,
      .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 200 }, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "heal_delete_by_add", .attacks = "A B C", HOT, .flags = SCENE_CORPSE,
      .corpse_act = { .kind = ACT_DELETE }, ONE(.kind = ACT_ADD, .tag = 7, .bytes = 100) },
    { .name = "heal_incr_by_incr", .attacks = "A B C", .shape = SHAPE_SMALL, .hot_number = true,
      .flags = SCENE_CORPSE, .corpse_act = { .kind = ACT_INCR, .tag = 10 }, ONE(.kind = ACT_INCR, .tag = 5),
      .favour = ACT_INCR },
};
const uint32_t scenarios_of_keys_n = sizeof scenarios_of_keys / sizeof scenarios_of_keys[0];
