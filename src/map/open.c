/* SPDX-License-Identifier: MIT
 *
 * Creating, opening, closing, unlinking.
 */
#include "base/error.h"
#include "map/registry.h"
#include "map/segfile.h"
#include "base/os.h"
#include "memory/whole.h"
#include "tier/tier.h"

#define OPEN_FLAGS (SHOAL_RDONLY | SHOAL_FOREIGN)
#define MEETINGS 100u /* open_or_create: somebody keeps unlinking the map between our two looks */

static int map_file(int fd, const struct geometry *geometry, bool readonly, const char *name, struct shoal **ret_map)
{
    struct segment *s;
    int rc = segment_map(fd, geometry, readonly, &s);
    if (rc != 0) {
        os_close(fd);
        return rc;
    }
    struct tier *tier = NULL;
    rc = whole_open(s, name);
    if (rc == 0 && segment_has_store(s)) { /* its path was judged with the header; whoever may write to the map may change it */
        char store[STORE_PATH_BYTES];
        memcpy(store, s->header->store, sizeof store - 1);
        store[sizeof store - 1] = 0;
        rc = tier_open(s, store, name, &tier);
    }
    if (rc != 0) {
        segment_unmap(s);
        return rc;
    }
    return registry_open(s, tier, readonly, name, ret_map);
}

static int refuse_arguments(const char *what, const char *name, unsigned flags, struct shoal **ret_map)
{
    if (ret_map == NULL)
        return error_set(SHOAL_EINVAL, "%s: ret_map is NULL", what);
    if (name == NULL)
        return error_set(SHOAL_EINVAL, "%s: name is NULL; this version has no anonymous maps", what);
    if (flags & ~(unsigned)OPEN_FLAGS)
        return error_set(SHOAL_EINVAL, "%s: flags 0x%x are not known", what, flags & ~(unsigned)OPEN_FLAGS);
    return 0;
}

/* A map that is being made, whose file has no name yet. */
struct newborn {
    const char *name;
    struct shoal *map;
};

static int newborn_take(void *arg, int fd, const struct geometry *geometry)
{
    struct newborn *n = arg;
    return map_file(fd, geometry, false, n->name, &n->map);
}

static void newborn_leave(void *arg) { registry_close(((struct newborn *)arg)->map); }

int shoal_create(const char *name, const struct shoal_options *options, struct shoal **ret_map)
{
    struct newborn newborn = { .name = name };
    struct tier_origin origin;
    struct geometry planned;
    bool has_store = options != NULL && options->size == sizeof *options && options->store != NULL;
    int rc = refuse_arguments("shoal_create", name, 0, ret_map);
    if (rc == 0 && has_store)
        rc = geometry_plan(options, &planned); /* no store for a map that is refused */
    if (rc == 0 && has_store)
        rc = tier_prepare(options->store, &origin);
    if (rc == 0)
        rc = segfile_create(name, options, has_store ? &origin : NULL,
                            &(struct segfile_user){ newborn_take, newborn_leave, &newborn });
    if (rc == 0)
        *ret_map = newborn.map;
    return rc;
}

int shoal_open(const char *name, unsigned flags, struct shoal **ret_map)
{
    int fd, rc = refuse_arguments("shoal_open", name, flags, ret_map);
    struct geometry geometry;
    if (rc == 0)
        rc = segfile_open(name, flags, &fd, &geometry);
    return rc != 0 ? rc : map_file(fd, &geometry, (flags & SHOAL_RDONLY) != 0, name, ret_map);
}

int shoal_open_or_create(const char *name, const struct shoal_options *options, unsigned flags, struct shoal **ret_map)
{
    int rc = refuse_arguments("shoal_open_or_create", name, flags, ret_map);
    if (rc == 0 && (flags & SHOAL_RDONLY))
        rc = error_set(SHOAL_EINVAL, "shoal_open_or_create: SHOAL_RDONLY cannot create");
    for (uint32_t i = 0; rc == 0 && i < MEETINGS; i++) {
        rc = shoal_open(name, flags, ret_map);
        if (rc != SHOAL_ENOMAP)
            return rc;
        rc = shoal_create(name, options, ret_map);
        if (rc != SHOAL_EMAPEXISTS)
            return rc;
        rc = 0;
    }
    return rc != 0 ? rc : error_set(SHOAL_ENOMAP, "%s: appears and disappears", name);
}

void shoal_close(struct shoal *map)
{
    if (map != NULL)
        registry_close(map);
}

int shoal_unlink(const char *name)
{
    if (name == NULL)
        return error_set(SHOAL_EINVAL, "shoal_unlink: name is NULL");
    return segfile_unlink(name);
}
