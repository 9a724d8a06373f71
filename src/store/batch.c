/* SPDX-License-Identifier: MIT
 *
 * Changes that wait (batch.h).
 */
#include "store/batch.h"

#include <string.h>

static const void *keep(struct batch *batch, const void *bytes, size_t n)
{
    uint8_t *to = batch->bytes + batch->used;
    if (n > 0)
        memcpy(to, bytes, n);
    batch->used += n;
    return to;
}

struct batch_change *batch_add(struct batch *batch, uint64_t hash, const struct bucket_item *item, bool removes)
{
    if (batch == NULL || batch->n == BATCH_CHANGES || item->key_bytes + item->value_bytes > BATCH_BYTES - batch->used)
        return NULL;
    struct batch_change *change = &batch->change[batch->n++];
    *change = (struct batch_change){ .hash = hash, .item = *item, .removes = removes };
    change->item.key = keep(batch, item->key, item->key_bytes);
    change->item.value = keep(batch, item->value, item->value_bytes);
    return change;
}

void batch_drop(struct batch *batch)
{
    batch->n = 0;
    batch->used = 0;
}
