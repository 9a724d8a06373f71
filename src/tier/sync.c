/* SPDX-License-Identifier: MIT
 *
 * Everything that is not in the store yet, and then the disk (tier.h).
 *
 * `dirty` has a bit for each group whose slots changed their meaning; a writer sets it behind the change.  The holder of
 * the store's lock moves the bits of a word to `syncing`, before he looks at the slots, and takes them away from there
 * when what he found is published and marked.  He may die anywhere: what he did not finish has its bit in one of them.
 * Who has changed a slot and not yet set the bit, or died there, has a hazard or a name on the record meanwhile: those are
 * looked at first, so what took effect before the call is found.
 *
 * Many callers at once: the first copies for all, the others find nothing left, and a commit has nothing to do where the
 * root is durable.
 */
#include <stdlib.h>

#include "base/error.h"
#include "memory/settle.h"
#include "tier/copy.h"

#define PASS_COPIES 8u     /* batches under one hold of the lock, so that others come between */
#define KEY_GROUPS 256u    /* groups that a durable write of one key takes along */
#define WORDS_AT_ONCE 256u

struct word {
    uint64_t word_i, bits;
};

struct pass {
    struct tier *tier;
    struct attachment *a;
    struct copies *copies;
    struct word words[WORDS_AT_ONCE]; /* whose slots were all looked at, and are clean when `copies` are */
    uint32_t words_n;
    uint32_t batches;
    int code; /* a single record could not be copied: the others are not held up by it */
};

/* -- Groups ---------------------------------------------------------------------------------------- */

/* What was found is published, or committed, and marked; then the bits that stood for it go.  They stay in `syncing` where a
 * record of this batch could not be copied. */
static int flush_copies(struct pass *p, int end(struct store *store))
{
    bool any = p->copies->n > 0 || end == store_commit;
    int rc = any ? copy_down(p->tier, p->a, p->copies, end) : 0;
    for (uint32_t i = 0; rc == 0 && i < p->words_n; i++)
        (void)fetch_and_u64(&p->tier->segment->syncing[p->words[i].word_i], ~p->words[i].bits); /* [dirty] */
    p->copies->n = 0;
    p->copies->bytes = 0;
    p->words_n = 0;
    p->batches += any;
    if (rc != SHOAL_ECORRUPT)
        return rc;
    p->code = rc;
    return 0;
}

static int take_group(struct pass *p, uint64_t group)
{
    const struct segment *s = p->tier->segment;
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        struct mutate_found f;
        uint64_t slot_i = group * GROUP_SLOTS + i;
        if (!slot_is_in_effect(load_seq_u64(segment_slot(s, slot_i)))) /* [slot-publish] */
            continue;
        int rc = mutate_find_in(p->a, HAZARD_SPARE, slot_i, &f);
        if (rc < 0)
            p->code = rc;
        if (rc != 0 || copy_is_clean(&f))
            continue;
        copies_add(s, p->copies, &f);
        if (copies_are_full(p->copies) && (rc = flush_copies(p, store_publish)) != 0)
            return rc;
    }
    return 0;
}

/* The word's bits, and what they stand for: among the copies, or clean, when it returns 0. */
static int take_word(struct pass *p, uint64_t word_i)
{
    const struct segment *s = p->tier->segment;
    int before = p->code;
    p->code = 0;
    shared_u64 *dirty = &s->dirty[word_i], *syncing = &s->syncing[word_i];
    uint64_t bits = load_seq_u64(dirty), rest = load_seq_u64(syncing); /* [dirty] */
    if (bits != 0) {
        (void)fetch_or_u64(syncing, bits); /* [dirty] dies here: both have it */
        (void)fetch_and_u64(dirty, ~bits); /* [dirty] */
    }
    int rc = 0;
    for (uint64_t left = bits | rest; rc == 0 && left != 0; left &= left - 1) {
        uint64_t group = word_i * 64 + (uint64_t)__builtin_ctzll(left);
        rc = group < s->geo.groups_all_n ? take_group(p, group) : 0;
    }
    if (rc == 0 && p->code == 0 && (bits | rest) != 0) {
        p->words[p->words_n++] = (struct word){ word_i, bits | rest };
        rc = p->words_n == WORDS_AT_ONCE ? flush_copies(p, store_publish) : 0;
    }
    p->code = before != 0 ? before : p->code;
    return rc;
}

static void mark_under_way(const struct segment *s)
{
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++)
        settle_set_dirty(s, &s->entries[i]);
}

/* -- Calls ---------------------------------------------------------------------------------------------- */

static void pass_empty(struct pass *p)
{
    p->words_n = p->batches = 0;
    p->copies->n = 0;
    p->copies->bytes = 0;
}

/* On a full disk once more, in the room that the store's file has (store_abort).  What was taken is still marked. */
static bool pass_again(struct pass *p, int rc)
{
    if (rc != SHOAL_EFULL)
        return false;
    store_abort(p->tier->store);
    pass_empty(p);
    return true;
}

static int pass_locked(struct pass *p, uint64_t *io_word)
{
    const struct segment *s = p->tier->segment;
    int rc = 0;
    p->batches = 0;
    while (rc == 0 && *io_word < s->geo.dirty_n && p->batches < PASS_COPIES) {
        rc = take_word(p, *io_word);
        *io_word += rc == 0;
    }
    return rc == 0 ? flush_copies(p, *io_word == s->geo.dirty_n ? store_commit : store_publish) : rc;
}

/* Words from *io_word on, as long as one may hold the lock. */
static int pass(struct pass *p, uint64_t *io_word)
{
    uint64_t first = *io_word;
    int rc = store_lock(p->tier->store, COPY_LOCK_MS);
    if (rc != 0)
        return rc;
    rc = pass_locked(p, io_word);
    if (pass_again(p, rc)) {
        *io_word = first;
        rc = pass_locked(p, io_word);
    }
    store_unlock(p->tier->store);
    return rc;
}

static int pass_begin(struct tier *tier, struct attachment *a, struct pass *ret)
{
    ret->tier = tier;
    ret->a = a;
    ret->code = 0;
    ret->copies = malloc(sizeof *ret->copies);
    if (ret->copies == NULL)
        return error_os("sync");
    pass_empty(ret);
    return 0;
}

static int pass_end(struct pass *p, int rc)
{
    hazard_clear(p->a, HAZARD_SPARE);
    free(p->copies);
    return rc != 0 ? rc : p->code;
}

int tier_sync(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg)
{
    struct pass p;
    const struct geometry *geo = &tier->segment->geo;
    int rc = pass_begin(tier, a, &p);
    if (rc != 0)
        return rc;
    mark_under_way(tier->segment);
    for (uint64_t word = 0; rc == 0 && word < geo->dirty_n;) {
        rc = progress != NULL ? progress(word * 64, geo->groups_all_n, arg) : 0;
        if (rc == 0)
            rc = pass(&p, &word);
    }
    return pass_end(&p, rc);
}

int tier_backup(struct tier *tier, struct attachment *a, const char *directory, shoal_progress_fn *progress, void *arg)
{
    int rc = tier_sync(tier, a, NULL, NULL);
    return rc == 0 ? store_backup(tier->store, directory, progress, arg) : rc;
}

/* The key's entry, if it has one, and dirty groups from there on: those of others who wait for the same lock, and who will
 * see for themselves what could not be copied. */
static int key_pass(struct pass *p, const struct probe *probe)
{
    const struct segment *s = p->tier->segment;
    struct mutate_found f;
    int rc = mutate_find(p->a, probe, HAZARD_SPARE, &f);
    if (rc == 0 && !copy_is_clean(&f)) {
        copies_add(s, p->copies, &f);
        rc = flush_copies(p, store_publish);
    }
    rc = rc == SHOAL_MISSING ? 0 : rc;
    int own = p->code;
    uint64_t taken = 0;
    for (uint64_t i = 0; rc == 0 && i < s->geo.dirty_n && taken < KEY_GROUPS; i++) {
        taken += (uint64_t)__builtin_popcountll(load_seq_u64(&s->dirty[i])); /* [dirty] */
        rc = take_word(p, i);
    }
    if (rc == 0)
        rc = flush_copies(p, store_commit);
    p->code = own;
    return rc;
}

int tier_sync_key(struct tier *tier, struct attachment *a, const struct probe *probe)
{
    struct pass p;
    int rc = pass_begin(tier, a, &p);
    if (rc == 0)
        rc = store_lock(tier->store, COPY_LOCK_MS);
    if (rc == 0) {
        rc = key_pass(&p, probe);
        if (pass_again(&p, rc))
            rc = key_pass(&p, probe);
        store_unlock(tier->store);
    }
    return pass_end(&p, rc);
}
