/* SPDX-License-Identifier: MIT
 *
 * Between the store and its files: every call of store/file.h passes here (linked with --wrap), is written into a log,
 * and may be made to fail.  So do the sources of chance and of the machine's life, so that a run can be had again.
 */
#ifndef TESTS_IMAGES_RECORD_H
#define TESTS_IMAGES_RECORD_H

#include "images/log.h"

/* -- What is recorded -------------------------------------------------------------------------------- */

/* The store in this directory, into this log, from now on.  Nothing of it is open.  Calls on files of other directories
 * are counted and may fail, and are not written down. */
void record_into(struct log *log, const char *directory);
void record_mark(enum log_kind kind, uint32_t state, bool is_commit);

/* Which life of the machine it is; what the store asks of chance begins anew with it. */
void record_boot(uint32_t boot);
void record_seed(uint64_t seed);

/* Files and directories that the store has open; *ret_name: of one of them. */
uint32_t record_open_n(const char **ret_name);

/* -- What fails -------------------------------------------------------------------------------------- */

enum record_call {
    CALL_OPEN_DIRECTORY,
    CALL_OPEN,
    CALL_OPEN_OR_MAKE,
    CALL_MAKE,
    CALL_RENAME,
    CALL_READ,
    CALL_WRITE,
    CALL_FLUSH,
    CALL_FLUSH_DIRECTORY,
    CALL_RESIZE,
    CALL_SIZE,
    CALL_BOOT,
    CALL_KINDS
};
extern const char *const record_call_names[CALL_KINDS];

enum record_how { FAIL_NOT, FAIL_EIO, FAIL_ENOSPC, FAIL_SHORT, FAIL_KINDS };
extern const char *const record_how_names[FAIL_KINDS];

/* Counts calls from 0 again and lets that one fail in this way.  FAIL_SHORT: of a write half is written, then it fails;
 * of a read half comes, as at the end of a file. */
void record_fail(uint64_t call, enum record_how how);
/* Can a call of this kind fail so? */
bool record_can_fail(enum record_call call, enum record_how how);
uint64_t record_calls_n(void);
enum record_call record_kind_of(uint64_t call); /* one that was counted */

#define RECORD_OTHER "another's"
struct record_failed {
    bool is; /* the call has come */
    enum record_call call;
    char name[NAME_BYTES]; /* the file's name then; "" for a directory; RECORD_OTHER for a file of another one */
};
const struct record_failed *record_failed(void);

#endif
