/* SPDX-License-Identifier: MIT */
#include "fuzz/guard.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os.h"
#include "format/segment.h"
#include "lib/random.h"

#define GUARD_BEFORE ((uint64_t)SEGMENT_PAGE)
#define GUARD_BEHIND ((uint64_t)1 << (OFFSET_BITS + 3)) /* any offset that a slot can name */
#define MAPPINGS 8u
#define STEPS_MAX 1000000u /* for one call; on the segments tried here the longest takes some 20000 */

static struct {
    const uint8_t *at;
    uint64_t bytes;
} mapped[MAPPINGS];

static const char *call_most = "no call";
static uint64_t steps, steps_most, steps_max = STEPS_MAX, die_at, random_state = 1;

/* -- Points ---------------------------------------------------------------------------------------- */

void guard_call(const char *call)
{
    breach_call = call;
    steps = 0;
}

void guard_limit(uint64_t limit) { steps_max = limit; }
void guard_die_at(uint64_t n) { die_at = n; }

uint64_t guard_most(const char **ret_call)
{
    *ret_call = call_most;
    return steps_most;
}

/* A map that is being made is not mapped yet. */
static bool is_inside(const volatile void *where)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < MAPPINGS; i++) {
        if ((uint64_t)((const volatile uint8_t *)where - mapped[i].at) < mapped[i].bytes)
            return true;
        all += mapped[i].bytes;
    }
    return all == 0;
}

void shoal_point(enum shoal_point_kind kind, const volatile void *where);
void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    if (++steps > steps_most) {
        steps_most = steps;
        call_most = breach_call;
    }
    if (steps > steps_max)
        breach_at(__FILE__, __LINE__, "it ends", "%" PRIu64 " accesses and no answer", steps);
    if (!is_inside(where))
        breach_at(__FILE__, __LINE__, "it stays inside", "an access of kind %d outside of the segment", (int)kind);
    if (die_at != 0 && --die_at == 0)
        _exit(0);
}

/* -- The mapping -------------------------------------------------------------------------------------- */

void *__wrap_os_map(int fd, uint64_t bytes, bool writable);
void __wrap_os_unmap(void *at, uint64_t bytes);
int64_t __wrap_os_wall_ns(void);
void __wrap_os_random(void *buf, size_t bytes);
void __wrap_os_who(struct os_who *ret_who);

/* The linker sends the library's os_map here. */
void *__wrap_os_map(int fd, uint64_t bytes, bool writable)
{
    uint64_t all = GUARD_BEFORE + bytes + GUARD_BEHIND;
    uint8_t *room = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    void *at = mmap(room + GUARD_BEFORE, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED,
                    fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    uint32_t i = 0;
    while (i < MAPPINGS && mapped[i].bytes != 0)
        i++;
    hold(i < MAPPINGS, "more than %u maps are open", MAPPINGS);
    mapped[i].at = at;
    mapped[i].bytes = bytes;
    return at;
}

void __wrap_os_unmap(void *at, uint64_t bytes)
{
    for (uint32_t i = 0; i < MAPPINGS; i++)
        if (mapped[i].at == at)
            mapped[i].bytes = 0;
    (void)munmap((uint8_t *)at - GUARD_BEFORE, GUARD_BEFORE + bytes + GUARD_BEHIND);
}

/* -- The same in every run ------------------------------------------------------------------------------ */

int64_t __wrap_os_wall_ns(void) { return 1700000000000000000; }

void __wrap_os_random(void *buf, size_t bytes)
{
    uint8_t *to = buf;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)random_next(&random_state);
}

void __wrap_os_who(struct os_who *ret_who) { *ret_who = (struct os_who){ .pid = 1000, .start = 1, .command = "fuzz" }; }
