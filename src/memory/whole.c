/* SPDX-License-Identifier: MIT */
#include "memory/whole.h"

#include <errno.h>

#include "base/error.h"
#include "base/os.h"
#include "memory/attach.h"

int whole_open(struct segment *s, const char *name)
{
    const struct segment_header *h = s->header;
    if (segment_has_store(s) || !os_file_outlives(s->file))
        return 0;
    static_assert(sizeof s->life == OS_BOOT_BYTES, "a boot id");
    int why = os_boot((uint8_t *)s->life);
    if (why != 0) {
        errno = why;
        return error_os("%s: the machine's boot id", name);
    }
    s->outlives = true;
    if (whole_is_set(load_seq_u64(&h->whole))) /* [attached] */
        return 0;
    /* relaxed: behind the load of whole, which its writer changed later */
    if (load_relaxed_u64(&h->life[0]) == s->life[0] && load_relaxed_u64(&h->life[1]) == s->life[1])
        return 0;
    return error_set(SHOAL_ECORRUPT, "%s: was not closed when the machine stopped, so that its pages are of different times; "
                     "bring out what is sound by `shoal salvage`, then remove it", name);
}

/* All who do this store the same. */
static void life_store(struct segment *s)
{
    for (int i = 0; i < 2; i++)
        store_relaxed_u64(&s->header->life[i], s->life[i]); /* relaxed: before the CAS on whole */
}

int whole_enter(struct segment *s)
{
    shared_u64 *whole = &s->header->whole;
    uint64_t w;
    if (!s->outlives)
        return 0;
    do {
        w = load_seq_u64(whole); /* [attached] */
        if (w & WHOLE)
            life_store(s);
    } while (!cas_u64(whole, w, whole_next(w))); /* [attached] */
    if (whole_next(w) & WHOLE_KNOWN)
        return 0;
    if (os_flush(s->header, SEGMENT_PAGE) != 0)
        return -1; /* the next one's CAS makes the page dirty again, so that his flush means something */
    do
        w = load_seq_u64(whole);                                               /* [attached] */
    while (!(w & WHOLE_KNOWN) && !cas_u64(whole, w, w | WHOLE_KNOWN)); /* [attached] */
    return 0;
}

void whole_leave(struct segment *s)
{
    shared_u64 *whole = &s->header->whole;
    if (!s->outlives || s->readonly || os_file_unlinked(s->file))
        return;
    if (segment_predecessor(s) != 0) /* what is not moved yet lies in another file */
        return;
    uint64_t v = load_seq_u64(whole); /* [attached] */
    if ((v & (WHOLE | WHOLE_FAILED)) != 0 || attach_is_anybody_here(s))
        return;
    if (os_flush(s->base, s->geo.segment_bytes) != 0)
        (void)fetch_or_u64(whole, WHOLE_FAILED);                                  /* [attached] */
    else if (!cas_u64(whole, v, (v & ~(uint64_t)WHOLE_KNOWN) | WHOLE)) /* [attached] */
        return;
    (void)os_flush(s->header, SEGMENT_PAGE); /* where that fails, the disk says "not whole" for longer than it must */
}
