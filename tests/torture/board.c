/* SPDX-License-Identifier: MIT
 *
 * The record outside the map, and the judgement after everybody's death.
 */
#include "torture/board.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/act.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/ledger.h"

#define JUDGE_S 60u

/* -- Tags ------------------------------------------------------------------------------------------- */

uint64_t tag_make(uint32_t slot, uint32_t key, uint32_t size_i, uint64_t sequence)
{
    return (uint64_t)slot << 56 | (uint64_t)key << 48 | (uint64_t)size_i << 44 | (sequence & 0xfffffffffffu);
}
uint32_t tag_slot(uint64_t tag) { return (uint32_t)(tag >> 56); }
uint32_t tag_key(uint64_t tag) { return (uint32_t)(tag >> 48) & 0xff; }
uint64_t tag_sequence(uint64_t tag) { return tag & 0xfffffffffffu; }
uint32_t tag_bytes(uint64_t tag)
{
    static const uint32_t sizes[TAG_SIZES] = { 8, 24, 100, 104, 300, 6000 };
    return sizes[(tag >> 44 & 15) % TAG_SIZES];
}

int board_own_key(uint32_t slot_i, uint32_t key_i, char key[24]) { return snprintf(key, 24, "own%u.%03u", slot_i, key_i); }
int board_counter_key(uint32_t counter_i, char key[24]) { return snprintf(key, 24, "counter%u", counter_i); }
int board_contested_key(uint32_t key_i, char key[24]) { return snprintf(key, 24, "shared%u", key_i); }

/* -- The board ---------------------------------------------------------------------------------------- */

struct board *board_new(const char *name, uint32_t slots_n, uint64_t seed)
{
    require(slots_n <= BOARD_SLOTS, "%u slots", slots_n);
    struct board *board = child_memory(sizeof *board);
    snprintf(board->name, sizeof board->name, "%s", name);
    board->slots_n = slots_n;
    board->seed = seed;
    return board;
}

/* -- Doubts ---------------------------------------------------------------------------------------------- */

bool board_doubtful(const struct board_slot *slot, uint32_t key)
{
    return slot->doubt[key].from < slot->doubt[key].to;
}

void board_certain(struct board_slot *slot, uint32_t key)
{
    *(volatile uint32_t *)&slot->doubt[key].from = slot->doubt[key].to;
}

/* A later call began when the earlier one's process was dead: what it did came behind. */
bool board_seen(struct board *board, struct board_slot *slot, uint32_t key, uint64_t tag)
{
    struct board_doubt *doubt = &slot->doubt[key];
    if (tag == slot->own[key])
        return true;
    uint32_t i = doubt->from;
    while (i < doubt->to && doubt->tag[i] != tag)
        i++;
    if (i == doubt->to)
        return false;
    board->older_seen += i + 1 < doubt->to;
    *(volatile uint64_t *)&slot->own[key] = tag;
    *(volatile uint32_t *)&doubt->from = i + 1;
    return true;
}

void board_say(const struct board_slot *slot, uint32_t key, char text[BOARD_SAY_BYTES])
{
    const struct board_doubt *doubt = &slot->doubt[key];
    int n = snprintf(text, BOARD_SAY_BYTES, "acknowledged %llx, perhaps", (unsigned long long)slot->own[key]);
    for (uint32_t i = doubt->from; i < doubt->to; i++)
        n += snprintf(text + n, BOARD_SAY_BYTES - (size_t)n, " %llx", (unsigned long long)doubt->tag[i]);
}

static void doubt_add(struct board *board, struct board_slot *slot, uint32_t key, uint64_t tag)
{
    struct board_doubt *doubt = &slot->doubt[key];
    if (doubt->from == doubt->to)
        doubt->from = doubt->to = 0;
    else
        board->doubts_on_doubts++;
    require(doubt->to < BOARD_DOUBTS, "own%u of a slot is in doubt %u times", key, doubt->to);
    doubt->tag[doubt->to++] = tag;
}

void board_bury(struct board *board, uint32_t slot_i)
{
    struct board_slot *slot = &board->slot[slot_i];
    if (slot->intent == INTENT_OWN)
        doubt_add(board, slot, slot->intent_key, slot->intent_tag);
    else if (slot->intent == INTENT_COUNTER)
        slot->counted_maybe[slot->intent_key]++;
    slot->intent = INTENT_NONE;
    slot->pid = 0;
}

void board_create_map(struct board *board, const struct shoal_options *options)
{
    struct shoal *map = NULL;
    shm_unlink(board->name);
    const pid_t pid = child_fork(); /* this process stays without a map */
    int status = 0;
    if (pid == 0) {
        int code = shoal_create(board->name, options, &map);
        require(code == 0, "create: %d %s", code, shoal_error_text());
        board->fresh_fill = ledger_fill(map);
        shoal_close(map);
        shm_unlink(board->name);
        code = shoal_create(board->name, options, &map);
        require(code == 0, "create: %d %s", code, shoal_error_text());
        shoal_close(map);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    require(status == 0, "creating the map: status 0x%x", status);
}

/* -- The judgement --------------------------------------------------------------------------------------- */

/* 0 = absent; fails on a torn or foreign value. */
static uint64_t read_tag(struct shoal *map, const char *key, int key_bytes)
{
    static uint8_t buf[VALUE_MAX];
    size_t bytes = 0;
    uint64_t tag = 0;
    const int code = shoal_get(map, key, (size_t)key_bytes, buf, sizeof buf, &bytes);
    if (code == SHOAL_MISSING)
        return 0;
    require(code == 0, "get %s: %d %s", key, code, shoal_error_text());
    require(value_read(buf, bytes, &tag) && bytes == tag_bytes(tag), "C: %s is torn: tag %llx, %zu bytes", key,
            (unsigned long long)tag, bytes);
    return tag;
}

static uint64_t judge_own(struct board *board, struct shoal *map)
{
    uint64_t n = 0;
    for (uint32_t s = 0; s < board->slots_n; s++) {
        struct board_slot *slot = &board->slot[s];
        for (uint32_t k = 0; k < BOARD_OWN; k++) {
            char key[24], known[BOARD_SAY_BYTES];
            const uint64_t tag = read_tag(map, key, board_own_key(s, k, key));
            board_say(slot, k, known); /* before it is settled */
            require(board_seen(board, slot, k, tag), "C: %s is %llx; %s", key, (unsigned long long)tag, known);
            board_certain(slot, k);
            n += tag != 0;
        }
    }
    return n;
}

static uint64_t judge_counters(struct board *board, struct shoal *map)
{
    uint64_t n = 0;
    for (uint32_t c = 0; c < BOARD_COUNTERS; c++) {
        char key[24];
        uint64_t least = board->counter_base[c], most, value = 0;
        size_t bytes = 0;
        for (uint32_t s = 0; s < board->slots_n; s++)
            least += board->slot[s].counted[c];
        most = least;
        for (uint32_t s = 0; s < board->slots_n; s++)
            most += board->slot[s].counted_maybe[c];
        const int code = shoal_get(map, key, (size_t)board_counter_key(c, key), &value, sizeof value, &bytes);
        require(code == 0 ? bytes == 8 : code == SHOAL_MISSING, "get %s: %d", key, code);
        require(value >= least && value <= most, "C: %s is %llu; acknowledged %llu, at most %llu", key,
                (unsigned long long)value, (unsigned long long)least, (unsigned long long)most);
        board->counter_base[c] = value;
        for (uint32_t s = 0; s < board->slots_n; s++)
            board->slot[s].counted[c] = board->slot[s].counted_maybe[c] = 0;
        n += code == 0;
    }
    return n;
}

static uint64_t judge_contested(struct board *board, struct shoal *map)
{
    uint64_t n = 0;
    for (uint32_t k = 0; k < BOARD_CONTESTED; k++) {
        char key[24];
        const uint64_t tag = read_tag(map, key, board_contested_key(k, key));
        require(tag == 0 || (tag_key(tag) == k && tag_slot(tag) < board->slots_n &&
                             tag_sequence(tag) <= board->slot[tag_slot(tag)].sequence),
                "%s holds %llx, which nobody wrote there", key, (unsigned long long)tag);
        n += tag != 0;
    }
    return n;
}

static void judge_whole(struct board *board, struct shoal *map)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t count = 0, exact = 0;
    int code = shoal_reap(map, &reaped);
    require(code == 0 && reaped.undecided == 0, "reap: %d, %u undecided", code, reaped.undecided);
    code = shoal_check(map, &report);
    require(code == 0 && report.quiet == 1, "check: %d %s (quiet %u)", code, report.text, report.quiet);
    require(report.slots_tentative == 0 && report.unreferenced == 0 && report.blocks_owned == 0,
            "C: left behind: %llu tentative slots, %llu unreferenced, %llu owned blocks",
            (unsigned long long)report.slots_tentative, (unsigned long long)report.unreferenced,
            (unsigned long long)report.blocks_owned);
    code = shoal_stats(map, &stats);
    require(code == 0 && stats.dead == 0 && stats.attached == 1, "stats: %d, %u attached, %u dead", code,
            stats.attached, stats.dead);
    const uint64_t n = judge_own(board, map) + judge_counters(board, map) + judge_contested(board, map);
    require(shoal_count(map, 0, &count, NULL) == 0 && shoal_count(map, SHOAL_EXACT, &exact, NULL) == 0, "count");
    require(count == n && exact == n, "C: %llu keys, count says %llu, a walk %llu", (unsigned long long)n,
            (unsigned long long)count, (unsigned long long)exact);
}

static bool in_a_child(struct board *board, bool ledger)
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        struct shoal *map = NULL;
        fail_into(board->text, sizeof board->text);
        alarm(JUDGE_S);
        const int code = shoal_open(board->name, 0, &map);
        require(code == 0, "the judge's open: %d %s", code, shoal_error_text());
        judge_whole(board, map);
        if (ledger)
            ledger_require(map, board->fresh_fill);
        shoal_close(map);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (status != 0 && !board->text[0])
        snprintf(board->text, sizeof board->text, "the judge ended with status 0x%x", status);
    return status == 0;
}

bool board_judge(struct board *board) { return in_a_child(board, false); }
bool board_ledger(struct board *board) { return in_a_child(board, true); }
