/* SPDX-License-Identifier: MIT
 *
 * wordcount_bystander: a program of its own that uses the same map until wordcount kills it.
 *                                              wordcount_bystander MAP LEDGER-FD READY-FD
 * It stores, replaces and deletes keys of its own and counts noise keys up, as fast as it can, and
 * writes each call into the ledger before and after.  One byte on READY-FD says that LIFE_OPERATIONS
 * calls of this life are done.  It never ends by itself.
 */
#include "wordcount.h"

#include <shoal/shoal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int write_own(struct shoal *map, struct ledger *ledger, int index)
{
    char key[32];
    unsigned char value[VALUE_MAX];
    size_t key_bytes = own_key(index, key);
    uint64_t number = atomic_load(&ledger->number) + 1;
    atomic_store(&ledger->number, number);
    atomic_store(&ledger->begun[index], number);
    int code = is_delete(number) ? shoal_delete(map, key, key_bytes)
                                 : shoal_put(map, key, key_bytes, value, value_of(number, value));
    if (code >= 0)
        atomic_store(&ledger->done[index], number);
    return code;
}

static int add_noise(struct shoal *map, struct ledger *ledger, int index)
{
    char key[32];
    size_t key_bytes = noise_key(index, key);
    int64_t sum;
    atomic_store(&ledger->noise_begun[index], atomic_load(&ledger->noise_done[index]) + 1);
    int code = shoal_incr(map, key, key_bytes, 1, &sum);
    if (code == SHOAL_OK)
        atomic_store(&ledger->noise_done[index], sum);
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "wordcount_bystander: started by wordcount, not by hand\n");
        return 2;
    }
    struct shoal *map;
    int ready = atoi(argv[3]);
    struct ledger *ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
    int code = shoal_open(argv[1], 0, &map);
    if (ledger == MAP_FAILED || code != SHOAL_OK) {
        fprintf(stderr, "wordcount_bystander: %s\n", code ? shoal_error_text() : "no ledger");
        return 1;
    }
    unsigned seed = (unsigned)atomic_load(&ledger->number) + 1;
    for (uint64_t operations = 1;; operations++) {
        int pick = rand_r(&seed);
        code = pick % 4 ? write_own(map, ledger, pick / 4 % OWN_KEYS) : add_noise(map, ledger, pick / 4 % NOISE_KEYS);
        if (code < 0)
            break;
        if (operations == LIFE_OPERATIONS && write(ready, "", 1) != 1)
            return 1;
    }
    fprintf(stderr, "wordcount_bystander: %s\n", shoal_error_text());
    return 1;
}
