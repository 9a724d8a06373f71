/* SPDX-License-Identifier: MIT
 *
 * The directory and its buckets (page.h: N1..N3) as the holder of the store's lock changes them.
 *
 * Nodes stay in memory, also from one transaction to the next.  Buckets are there only while they are changed; a changed
 * one has its page when it is written, and until then its entry has none.  What leads to something changed is changed
 * too.  After a failure the tree is good for tree_drop alone.
 */
#ifndef SHOAL_STORE_TREE_H
#define SHOAL_STORE_TREE_H

#include "store/bucket.h"
#include "store/queue.h"
#include "store/space.h"

struct tree_node;

struct tree {
    const struct pager *pager;
    struct space *space;
    struct queue *queue;    /* of pages to be written, and the cache that they go to */
    struct cache *cache;
    uint64_t seed;          /* of the hash of keys */
    uint64_t txn;
    struct page_ref root_ref;
    unsigned root_level;
    struct tree_node *root; /* NULL: not read yet */
    uint64_t nodes_n;       /* in memory */
    uint64_t changed_n;     /* buckets in memory */
    struct bucket *scratch;      /* the last one that was looked at, and was not changed; NULL: no memory for one yet */
    struct page_ref scratch_ref; /* its name; page 0: none */
    bool scratch_taken;          /* from the cache, which gets it back */
};

void tree_open(struct tree *tree, const struct pager *pager, struct space *space, struct queue *queue,
               const struct page_meta *meta);
int tree_make(struct tree *tree, const struct pager *pager, struct space *space, struct queue *queue, uint64_t seed,
              uint64_t txn);
void tree_drop(struct tree *tree);

/* The same store under another root, or one's own new one.  Nothing is changed. */
void tree_follow(struct tree *tree, const struct page_meta *meta);

void tree_begin(struct tree *tree, uint64_t txn);

/* The bucket of a hash, to be read until the next call; NULL: an empty one. */
int tree_look(struct tree *tree, uint64_t hash, const struct bucket **ret_bucket);
/* Hints: tree_change of that hash follows, of a record of about so many bytes.  First its entry in the directory is asked for,
 * where that can be told: NULL, it cannot.  Until something is changed it tells the rest, each step of which asks for what the
 * next one reads. */
struct tree_child;
enum tree_step { TREE_PLACE, TREE_BUCKET, TREE_RECORD };
const struct tree_child *tree_expect_entry(const struct tree *tree, uint64_t hash);
void tree_expect(const struct tree *tree, const struct tree_child *entry, uint64_t hash, enum tree_step step, uint32_t bytes);
/* The same, to be changed until then; in the same memory, where it was looked at last. */
int tree_change(struct tree *tree, uint64_t hash, struct bucket **ret_bucket);
/* bucket_add and bucket_replace, of one to be changed. */
enum bucket_added tree_add(struct bucket *bucket, uint64_t hash, const struct bucket_item *item);
bool tree_replace(struct bucket *bucket, uint32_t i, const struct bucket_item *old, uint64_t hash,
                  const struct bucket_item *item);
/* The bucket of this hash, which is changed, is too full: two of it. */
int tree_divide(struct tree *tree, uint64_t hash);
/* Something left it: joined with its neighbour where both are sparse. */
int tree_shrink(struct tree *tree, uint64_t hash);

/* The same without anything having left: as far as neighbours fit into one. */
int tree_join(struct tree *tree, uint64_t hash);

/* Where the hash's bucket lies. */
struct tree_place {
    uint64_t bucket; /* its page; 0: it has none, or none yet */
    uint64_t nodes;  /* of the pages on the way there, the last one in the file */
    uint64_t next;   /* the hash behind its range; 0: it is the last */
};
int tree_place(struct tree *tree, uint64_t hash, struct tree_place *ret_place);
/* The nodes on the way get other pages. */
int tree_change_nodes(struct tree *tree, uint64_t hash);

/* The hash of a record that lies in a bucket. */
uint64_t tree_item_hash(uint64_t seed, const struct bucket_item *item);

/* A record in a changed bucket is not what its checksum says. */
int tree_bad_record(const struct tree *tree);

/* Writes the changed buckets, which need memory no longer. */
int tree_write_buckets(struct tree *tree);
/* Puts everything into the queue, and says in the meta where the root is. */
int tree_write(struct tree *tree, struct page_meta *io_meta);

#endif
