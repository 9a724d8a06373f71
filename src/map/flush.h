/* SPDX-License-Identifier: MIT
 *
 * Syncing in the background.
 */
#ifndef SHOAL_MAP_FLUSH_H
#define SHOAL_MAP_FLUSH_H

struct flusher;

/* Ends the thread and forgets it; NULL is allowed.  Not by the thread itself, and under no lock that a sync takes. */
void flusher_end(struct flusher *flusher);
/* In a forked child, which has no such thread: what the parent's left here. */
void flusher_forget(struct flusher *flusher);

#endif
