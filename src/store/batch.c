/* SPDX-License-Identifier: MIT
 *
 * Puts that wait (batch.h).
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

bool batch_add(struct batch *batch, uint64_t hash, const struct bucket_item *item)
{
    if (batch == NULL || batch->n == BATCH_PUTS || item->key_bytes + item->value_bytes > BATCH_BYTES - batch->used)
        return false;
    struct batch_put *put = &batch->put[batch->n++];
    *put = (struct batch_put){ hash, *item };
    put->item.key = keep(batch, item->key, item->key_bytes);
    put->item.value = keep(batch, item->value, item->value_bytes);
    return true;
}

void batch_drop(struct batch *batch)
{
    batch->n = 0;
    batch->used = 0;
}
