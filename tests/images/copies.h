/* SPDX-License-Identifier: MIT
 *
 * Backups and restored stores being made, and what may be found of them at any time.
 */
#ifndef TESTS_IMAGES_COPIES_H
#define TESTS_IMAGES_COPIES_H

#include "images/contents.h"
#include "images/image.h"

#define COPIES_KEYS 24u

struct copies_work {
    const char *name;
    bool restores;    /* else it backs up */
    bool is_there;    /* the directory, before */
    bool unfinished;  /* with what an earlier one left that died half-way */
    bool older;       /* with a whole backup of what the store was before */
    bool uncommitted; /* the store's latest changes are published only */
};
extern const struct copies_work copies_works[];
extern const uint32_t copies_works_n;

/* The two sides; what is written to the copy is recorded. */
struct copies {
    struct image from, to;
    struct log log;
    struct store *store; /* from's, open for writing where it is backed up */
    uint64_t marks[COPIES_KEYS], older[COPIES_KEYS];
    uint64_t number;     /* of the latest value */
    uint64_t pages;      /* a hash of from's file of pages */
};

/* What the work begins with: the store or backup that is copied, and the disk that the copy is to be on.  0 or WRONG. */
int copies_begin(struct copies *copies, const struct copies_work *work, struct disk *ret_base);
void copies_end(struct copies *copies);

/* Upon that disk, with an empty log: what is copied is open, nothing of the copy is.  0 or a code. */
int copies_open(struct copies *copies, const struct copies_work *work, const struct disk *base);
/* The call.  0 or its code; LOG_RETURNED stands behind it in the log when it has succeeded. */
int copies_do(struct copies *copies, const struct copies_work *work);
void copies_close(struct copies *copies);

/* What is copied is as it was. */
int copies_judge_source(const struct copies *copies, const struct copies_work *work);
/* The copy is not there, and says so; or it is whole.  is_whole: it must be. */
int copies_judge(const struct copies *copies, const struct copies_work *work, const char *path, bool is_whole,
                 bool *ret_there);
/* Another call, upon whatever is in that directory, makes a whole one, which can be used.  is_there: it is whole already. */
int copies_go_on(struct copies *copies, const struct copies_work *work, const char *path, bool is_there);

#endif
