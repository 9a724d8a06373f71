/* SPDX-License-Identifier: MIT
 *
 * Every invariant, while others write: what seems to contradict is looked at again, and reported only if
 * the words that led there have not changed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"
#include "map/move.h"
#include "table/move.h"
#include "memory/count.h"
#include "memory/settle.h"
#include "table/walk.h"
#include "tier/tier.h"

#define PROGRESS_GROUPS 1024u
#define PROGRESS_SPANS 64u

struct course {
    shoal_progress_fn *progress; /* may be NULL */
    void *arg;
    int ended; /* what it answered: of its own, since it may be any number */
};

struct checker {
    const struct segment *segment;
    struct course *course;
    struct shoal_report *report;
    const char *store_name;
    void *value;
    uint64_t value_room;
    uint8_t key[SHOAL_KEY_MAX + 1];
};

static int course_ask(uint64_t done, uint64_t total, void *arg)
{
    struct course *course = arg;
    course->ended = course->progress(done, total, course->arg);
    return course->ended;
}

static bool has_ended(struct checker *c, uint64_t done, uint64_t total)
{
    return c->course->progress != NULL && course_ask(done, total, c->course) != 0;
}

__attribute__((format(printf, 2, 3))) static void problem(struct checker *c, const char *format, ...)
{
    if (c->report->problems++ != 0)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->report->text, sizeof c->report->text, format, args);
    va_end(args);
}

/* -- Slots ------------------------------------------------------------------------------------------ */

static void slot_report(struct checker *c, uint64_t slot_i, uint64_t w, const char *what)
{
    problem(c, "group %llu slot %llu (word %016llx): %s", (unsigned long long)(slot_i / GROUP_SLOTS),
            (unsigned long long)(slot_i % GROUP_SLOTS), (unsigned long long)w, what);
}

static void slot_problem(struct checker *c, uint64_t slot_i, uint64_t w, const char *what)
{
    if (load_seq_u64(segment_slot(c->segment, slot_i)) == w) /* [slot-publish] */
        slot_report(c, slot_i, w, what);
}

/* Of a record that was read there.  Its slot's word comes back when the block has been used anew often enough, its version
 * does not: where that is the same, the record was in the slot all the time, and so when the contradiction was seen. */
static void record_problem(struct checker *c, uint64_t slot_i, uint64_t w, const struct read_sink *sink, const char *what)
{
    const struct segment *s = c->segment;
    struct read_sink again = { .buf = NULL };
    if (read_slot(s, segment_slot(s, slot_i), w, false, NULL, &again) == READ_MATCH && again.version == sink->version)
        slot_report(c, slot_i, w, what);
}

/* Is the key in a slot before this one too?  Only the later one of a pair reports. */
static bool has_twin_before(struct checker *c, const struct probe *p, uint64_t slot_i)
{
    const struct segment *s = c->segment;
    for (uint64_t i = p->home * GROUP_SLOTS; i < slot_i; i++) {
        const shared_u64 *slot = segment_slot(s, i);
        uint64_t w = load_seq_u64(slot); /* [slot-publish] */
        struct read_sink sink = { .buf = NULL };
        if (slot_is_in_effect(w) && slot_finger(w) == p->finger && read_slot(s, slot, w, false, p, &sink) == READ_MATCH &&
            load_seq_u64(slot) == w) /* [slot-publish] */
            return true;
    }
    return false;
}

static void check_record(struct checker *c, uint64_t slot_i, uint64_t w, const struct read_sink *sink)
{
    const struct segment *s = c->segment;
    struct probe p = probe_make(s, c->key, sink->key_bytes);
    uint64_t group = slot_i / GROUP_SLOTS;
    if (sink->slot_i != slot_i)
        record_problem(c, slot_i, w, sink, "its record names another slot");
    if (slot_finger(w) != p.finger)
        record_problem(c, slot_i, w, sink, "fingerprint is not the key's");
    if (group < p.home || group - p.home > META_BOUND(load_seq_u64(&s->groups[p.home].meta))) /* [meta] */
        record_problem(c, slot_i, w, sink, "lies outside its home's bound (T1)");
    else if (has_twin_before(c, &p, slot_i))
        record_problem(c, slot_i, w, sink, "key is in two slots (T2)");
    if ((load_seq_u32(&s->summary[group / RUN_GROUPS]) & SUMMARY_USED) == 0) /* [meta] */
        record_problem(c, slot_i, w, sink, "its run's summary says unused (T3)");
}

static int check_entry(struct checker *c, uint64_t slot_i)
{
    const struct segment *s = c->segment;
    const shared_u64 *slot = segment_slot(s, slot_i);
    for (uint32_t rounds = 0; rounds < READ_ROUNDS; rounds++) {
        uint64_t w = load_acquire_u64(slot); /* [slot-publish] */
        struct read_sink sink = { .buf = c->value, .buf_bytes = c->value_room, .key_buf = c->key };
        if (!slot_is_in_effect(w))
            return 0;
        switch (read_slot(s, slot, w, false, NULL, &sink)) {
        case READ_AGAIN:
            continue;
        case READ_CORRUPT:
            slot_problem(c, slot_i, w, "leads to no sound record");
            return 0;
        default:
            break;
        }
        if (sink.value_bytes > c->value_room) { /* the checksum wants the whole value */
            int rc = grow(&c->value, &c->value_room, sink.value_bytes, "check: value");
            if (rc != 0)
                return rc;
            continue;
        }
        check_record(c, slot_i, w, &sink);
        c->report->slots_live++; /* deletions too: their records are as live */
        return 0;
    }
    return 0; /* busy for so long: not broken */
}

/* TENT and ABRT name a block that its maker, alive or dead, still owns. */
static void check_tentative(struct checker *c, uint64_t slot_i, uint64_t w)
{
    const struct segment *s = c->segment;
    struct block_place place;
    c->report->slots_tentative++;
    if (!segment_locate(s, slot_block(w), &place)) {
        slot_problem(c, slot_i, w, "is tentative and leads to no block");
        return;
    }
    uint64_t h = load_acquire_u64(segment_block(s, place.block)); /* [block-state] */
    if ((h_state(h) != BLOCK_OWNED || (h_generation(h) & TAG_MASK) != slot_tag(w)) &&
        load_seq_u64(segment_slot(s, slot_i)) == w && load_seq_u64(segment_block(s, place.block)) == h) /* [slot-publish] */
        slot_report(c, slot_i, w, "is tentative, but nobody owns its record");
}

static int check_slots(struct checker *c)
{
    const struct segment *s = c->segment;
    c->report->groups = s->geo.groups_all_n;
    for (uint64_t i = 0; i < s->slots_n; i++) {
        uint64_t w = load_acquire_u64(segment_slot(s, i)); /* [slot-publish] */
        if (i % ((uint64_t)PROGRESS_GROUPS * GROUP_SLOTS) == 0 && has_ended(c, i / GROUP_SLOTS, s->geo.groups_all_n))
            return c->course->ended;
        if (w == 0)
            continue;
        enum slot_state state = slot_state(w);
        if (state == SLOT_TENT || state == SLOT_ABRT) {
            check_tentative(c, i, w);
        } else if (state == SLOT_LIVE || (segment_has_store(s) && slot_is_in_effect(w))) {
            int rc = check_entry(c, i);
            if (rc != 0)
                return rc;
        } else {
            slot_problem(c, i, w, "is in a state that this map never uses");
        }
    }
    return 0;
}

/* -- Blocks ------------------------------------------------------------------------------------------- */

/* Counts of one run, kept only if the run stood still. */
struct run_count {
    uint64_t blocks, free, live, owned, retired, unreferenced, bad;
};

static void count_block(const struct segment *s, uint64_t block, struct run_count *n)
{
    uint64_t h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
    bool named = segment_is_referenced(s, block, h);
    n->blocks++;
    n->bad += h_owner(h) >= s->geo.entries_n || h_state(h) > BLOCK_SEALED;
    switch (h_state(h)) {
    case BLOCK_PUB:
        n->live += named;
        n->unreferenced += !named;
        break;
    case BLOCK_OWNED:
        n->owned++;
        break;
    case BLOCK_RETIRED:
        n->retired++;
        break;
    default:
        n->free++;
        break;
    }
}

static void check_run(struct checker *c, uint32_t span_i, uint64_t word)
{
    const struct segment *s = c->segment;
    struct run_count n = { 0 };
    uint32_t class_i = span_class(word), blocks_n = segment_blocks_n(s, class_i);
    for (uint32_t i = 0; i < blocks_n; i++)
        count_block(s, segment_block_at(s, span_i, class_i, i), &n);
    for (uint32_t j = 1; j < span_run(word); j++) {
        uint64_t rest = load_seq_u64(&s->spans[span_i + j]); /* [span-ready] */
        n.bad += span_state(rest) != SPAN_CONT || span_run(rest) != j;
    }
    if (load_seq_u64(&s->spans[span_i]) != word) /* [span-ready] */
        return;
    if (n.bad != 0)
        problem(c, "span %u (word %016llx): %llu of its headers or parts contradict it", span_i,
                (unsigned long long)word, (unsigned long long)n.bad);
    c->report->blocks += n.blocks;
    c->report->blocks_free += n.free;
    c->report->blocks_live += n.live;
    c->report->blocks_owned += n.owned;
    c->report->blocks_retired += n.retired;
    c->report->unreferenced += n.unreferenced;
}

static int check_spans(struct checker *c)
{
    const struct segment *s = c->segment;
    for (uint32_t i = 0, next = 0; i < s->geo.spans_n;) {
        if (i >= next) {
            if (has_ended(c, i, s->geo.spans_n))
                return c->course->ended;
            next = i + PROGRESS_SPANS;
        }
        uint64_t word = load_acquire_u64(&s->spans[i]); /* [span-ready] */
        enum span_state state = span_state(word);
        if (segment_run_begins(s, i, word)) {
            check_run(c, i, word);
            i += span_run(word);
            continue;
        }
        if (state != SPAN_FREE && state != SPAN_CLAIMED && state != SPAN_CONT &&
            load_seq_u64(&s->spans[i]) == word) /* [span-ready] */
            problem(c, "span %u: word %016llx describes no run", i, (unsigned long long)word);
        i++;
    }
    return 0;
}

/* -- Counts --------------------------------------------------------------------------------------------- */

static void check_counts(struct checker *c)
{
    struct shoal_report *r = c->report;
    if (r->slots_live != r->counted)
        problem(c, "counters say %llu keys, %llu slots are live", (unsigned long long)r->counted,
                (unsigned long long)r->slots_live);
    if (r->slots_live != r->blocks_live)
        problem(c, "%llu slots are live, but %llu blocks hold records that a slot names",
                (unsigned long long)r->slots_live, (unsigned long long)r->blocks_live);
}

/* -- Store ------------------------------------------------------------------------------------------------ */

/* With file and page, which some of the texts have already. */
static void store_problem(void *arg, const struct store_fault *fault)
{
    struct checker *c = arg;
    if (strncmp(fault->text, c->store_name, strlen(c->store_name)) == 0)
        problem(c, "%s", fault->text);
    else
        problem(c, "%s, page %llu: %s", c->store_name, (unsigned long long)fault->page, fault->text);
}

/* Reads all of it.  Faults count as problems; what keeps it from being read at all is an answer. */
static int check_store(struct checker *c, struct call *call)
{
    uint64_t n;
    call_pin(call);
    c->store_name = store_name(call->map->tier->store);
    int rc = store_check_with(call->map->tier->store, store_problem, c, c->course->progress != NULL ? course_ask : NULL,
                              c->course, &n);
    return rc == SHOAL_ECORRUPT ? 0 : rc;
}

static int check_once(struct shoal *map, struct course *course, struct shoal_report *ret_report)
{
    struct call call;
    int rc = move_call_begin(map, &call);
    if (rc != 0)
        return rc;
    struct checker *c = calloc(1, sizeof *c);
    if (c == NULL) {
        call_end(&call);
        errno = ENOMEM;
        return error_os("check");
    }
    struct shoal_report *report = ret_report;
    c->segment = call.segment;
    c->course = course;
    c->report = report;
    uint64_t print = count_fingerprint(c->segment), activity = settle_activity(c->segment);
    bool at_rest = count_is_at_rest(c->segment);
    rc = check_slots(c);
    if (rc == 0)
        rc = check_spans(c);
    if (rc == 0 && call.map->tier != NULL)
        rc = check_store(c, &call);
    report->counted = (uint64_t)count_sum(c->segment);
    report->quiet = at_rest && count_fingerprint(c->segment) == print && settle_activity(c->segment) == activity &&
                    report->slots_tentative == 0 && report->blocks_owned == 0 && report->unreferenced == 0;
    if (rc == 0 && report->quiet)
        check_counts(c);
    free(c->value);
    free(c);
    if (course->ended == 0 && segment_has_successor(call.segment)) /* what has moved meanwhile looked like a contradiction */
        rc = TABLE_MOVED;
    call_end(&call);
    return rc;
}

int shoal_check(struct shoal *map, struct shoal_report *ret_report) { return shoal_check_with(map, ret_report, NULL, NULL); }

int shoal_check_with(struct shoal *map, struct shoal_report *ret_report, shoal_progress_fn *progress, void *arg)
{
    struct course course = { .progress = progress, .arg = arg };
    if (ret_report == NULL || ret_report->size != sizeof *ret_report)
        return error_set(SHOAL_EINVAL, "shoal_check: ret_report is NULL or not initialised");
    struct shoal_report report;
    int rc;
    do {
        report = (struct shoal_report)SHOAL_REPORT_INIT;
        rc = check_once(map, &course, &report);
    } while (rc == TABLE_MOVED && course.ended == 0);
    if (rc != 0)
        return rc;
    *ret_report = report;
    return report.problems == 0 ? 0 : error_set(SHOAL_ECORRUPT, "check: %llu problems; first: %s",
                                                (unsigned long long)report.problems, report.text);
}
