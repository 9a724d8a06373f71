/* SPDX-License-Identifier: MIT
 *
 * Syncing in the background.
 */
#ifndef SHOAL_MAP_FLUSH_H
#define SHOAL_MAP_FLUSH_H

struct flusher;
struct shoal;

/* Ends the handle's thread, where it has one, and forgets it.  Not by the thread itself, and under no lock that a sync takes. */
void flusher_stop(struct shoal *map);
/* In a forked child, which has no such thread: what the parent's left here. */
void flusher_forget(struct flusher *flusher);

#endif
