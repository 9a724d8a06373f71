/* SPDX-License-Identifier: MIT
 *
 * Adding up, printing, and the few things that must come out so on every machine.
 */
#include "baselines/table.h"

#include <string.h>

static uint64_t max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t missing(uint64_t room, uint64_t records)
{
    const uint64_t bytes = records * RUN_RECORD_BYTES;
    return room > bytes ? room - bytes : 0;
}

/* Without the recovery step first; with it, where that is done, as a second run of the same point. */
static void add_ledger(struct row *row, const struct run *run)
{
    const uint64_t bytes = missing(row->room, run->fits);
    if (!run->recover) {
        row->leaked_points += bytes > 0;
        row->leaked_max = max(row->leaked_max, bytes);
        row->leaked_sum += bytes;
    }
    if (run->recover || !run->scene->system->recover) {
        row->kept_points += bytes > 0;
        row->kept_max = max(row->kept_max, bytes);
        row->kept_sum += bytes;
    }
}

void table_add(struct row *row, const struct run *run)
{
    const bool ended = run->blocked == WATCH_ENDED;
    if (ended && run->found == FOUND_RIGHT)
        add_ledger(row, run);
    row->recovered += run->recoveries > 0;
    if (run->recover) /* counted by its first run */
        return;
    row->points++;
    row->strayed += run->strayed;
    row->asleep += run->blocked == WATCH_ASLEEP;
    row->spinning += run->blocked == WATCH_SPINNING;
    row->found[run->found]++;
    row->refused += ended && run->refused > 0;
    if (run->fate == FATE_STOP && ended && run->found == FOUND_RIGHT) {
        const uint64_t held = missing(row->room, run->fits_held);
        row->held_max = max(row->held_max, held);
        row->held_sum += held;
    }
}

uint64_t row_blocked(const struct row *row) { return row->asleep + row->spinning; }

uint64_t row_wrong(const struct row *row)
{
    uint64_t n = 0;
    for (int i = FOUND_RIGHT + 1; i < FOUND_N; i++)
        n += row->found[i];
    return n;
}

void row_join(struct row *sum, const struct row *row)
{
    sum->system = row->system;
    sum->fate = row->fate;
    sum->instructions += row->instructions;
    sum->points += row->points;
    sum->strayed += row->strayed;
    sum->asleep += row->asleep;
    sum->spinning += row->spinning;
    for (int i = 0; i < FOUND_N; i++)
        sum->found[i] += row->found[i];
    sum->recovered += row->recovered;
    sum->refused += row->refused;
    sum->fresh = max(sum->fresh, row->fresh);
    sum->room = max(sum->room, row->room);
    sum->leaked_points += row->leaked_points;
    sum->leaked_max = max(sum->leaked_max, row->leaked_max);
    sum->leaked_sum += row->leaked_sum;
    sum->kept_points += row->kept_points;
    sum->kept_max = max(sum->kept_max, row->kept_max);
    sum->kept_sum += row->kept_sum;
    sum->held_max = max(sum->held_max, row->held_max);
    sum->held_sum += row->held_sum;
}

/* -- Printing ------------------------------------------------------------------------------------------ */

static const char *fate_name(enum fate fate) { return fate == FATE_KILL ? "killed" : "stopped"; }

void table_tsv_head(FILE *to)
{
    fprintf(to, "system\tversion\toperation\tfate\tinstructions\tpoints\tblocked\tspinning\twrong");
    for (int i = FOUND_RIGHT + 1; i < FOUND_N; i++)
        fprintf(to, "\t%s", found_names[i]);
    fprintf(to, "\trecovered\trefused\tfresh_bytes\troom_bytes\tleaked_points\tleaked_max\tleaked_sum\tkept_points"
                "\tkept_max\tkept_sum\theld_max\n");
}

void table_tsv(FILE *to, const struct row *row)
{
    fprintf(to, "%s\t%s\t%s\t%s\t%llu\t%llu\t%llu\t%llu\t%llu", row->system->name, row->system->version(),
            victim_names[row->act], fate_name(row->fate), (unsigned long long)row->instructions,
            (unsigned long long)row->points, (unsigned long long)row_blocked(row), (unsigned long long)row->spinning,
            (unsigned long long)row_wrong(row));
    for (int i = FOUND_RIGHT + 1; i < FOUND_N; i++)
        fprintf(to, "\t%llu", (unsigned long long)row->found[i]);
    const uint64_t rest[] = { row->recovered,  row->refused,     row->fresh,    row->room,     row->leaked_points,
                              row->leaked_max, row->leaked_sum, row->kept_points, row->kept_max, row->kept_sum,
                              row->held_max };
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        fprintf(to, "\t%llu", (unsigned long long)rest[i]);
    fprintf(to, "\n");
}

static double share(uint64_t n, uint64_t of) { return of ? 100.0 * (double)n / (double)of : 0; }

void table_line_head(FILE *to)
{
    fprintf(to, "| system | kill points | survivors blocked | wrong | recovered | leaked: most, sum (bytes) | after "
                "the recovery step | stop points | survivors blocked | wrong | held while stopped, most (bytes) |\n"
                "|---|---|---|---|---|---|---|---|---|---|---|\n");
}

void table_line(FILE *to, const struct row *k, const struct row *s)
{
    fprintf(to, "| %s (%s) | %llu | %.1f %% | %llu | %llu | %llu, %llu | %llu, %llu ", k->system->title,
            k->system->version(), (unsigned long long)k->points, share(row_blocked(k), k->points),
            (unsigned long long)row_wrong(k), (unsigned long long)k->recovered, (unsigned long long)k->leaked_max,
            (unsigned long long)k->leaked_sum, (unsigned long long)k->kept_max, (unsigned long long)k->kept_sum);
    fprintf(to, "| %llu | %.1f %% | %llu | %llu of %llu |\n", (unsigned long long)s->points,
            share(row_blocked(s), s->points), (unsigned long long)row_wrong(s), (unsigned long long)s->held_max,
            (unsigned long long)s->room);
}

/* -- What must come out so --------------------------------------------------------------------------------- */

/* A stopped operation has two blocks at most, the old record's and the new one's.  A span (4 KiB in so small a
 * heap) with a block in it keeps its block size: two cannot serve the ledger's, however long the stop. */
#define SHOAL_HELD_MAX (2u * 4096u)
/* Runs whose victim took another way than the recorded one: they were killed somewhere, but not there. */
#define STRAYED_MAX(points) ((points) / 10u)

static uint32_t must(bool holds, const struct row *row, const char *what)
{
    if (!holds)
        printf("FAIL %s, %s of %s: %s\n", row->system->name, fate_name(row->fate),
               row->act < VICTIM_ACTS ? victim_names[row->act] : "all", what);
    return !holds;
}

static uint32_t judge_shoal(const struct row *row)
{
    return must(row_blocked(row) == 0, row, "a survivor was blocked") + must(row_wrong(row) == 0, row, "not right") +
           must(row->leaked_max == 0, row, "bytes were leaked") +
           must(row->room == row->fresh, row, "less room than in a fresh map where nothing happened") +
           must(row->recovered == 0, row, "had to recover") +
           must(row->held_max <= SHOAL_HELD_MAX, row, "a stopped process holds more than two spans");
}

/* Most of what an operation under a lock executes lies inside the lock: a seeded spread of points meets it. */
static uint32_t judge_other(const struct row *row)
{
    const char *name = row->system->name;
    const bool lmdb = strncmp(name, "lmdb", 4) == 0, robust = strcmp(name, "robust_mutex") == 0;
    const bool writes = row->act != VICTIM_GET;
    if (row->fate == FATE_STOP && (!lmdb || writes))
        return must(row_blocked(row) > 0, row, "no survivor was blocked: is the victim stopped?");
    if (row->fate == FATE_STOP)
        return must(row->held_max > 0, row, "a stopped reader held no pages: is it stopped?");
    if (robust || lmdb)
        return must(row_blocked(row) == 0, row, "a survivor was blocked by a robust lock") +
               must(row->recovered > 0 || (lmdb && writes), row, "nobody recovered: was the victim killed inside?");
    return must(row_blocked(row) > 0, row, "no survivor was blocked: was the victim killed inside?");
}

uint32_t table_judge(const struct row *rows, uint32_t n)
{
    uint32_t failures = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        failures += must(row->found[FOUND_HARNESS] == 0, row, "the test itself failed");
        failures += must(row->strayed <= STRAYED_MAX(row->points), row, "victims strayed from the recorded way");
        failures += strcmp(row->system->name, "shoal") == 0 ? judge_shoal(row) : judge_other(row);
    }
    return failures;
}
