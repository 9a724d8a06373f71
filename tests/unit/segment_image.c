/* SPDX-License-Identifier: MIT */
#include "unit/segment_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void segment_regions(struct segment *s, uint8_t *base)
{
    const struct geometry *g = &s->geo;
    s->base = base;
    s->header = (struct segment_header *)(void *)base;
    s->wait = (shared_u32 *)(void *)(base + g->wait_at);
    s->entries = (struct entry *)(void *)(base + g->entries_at);
    s->summary = (shared_u32 *)(void *)(base + g->summary_at);
    s->groups = (struct group *)(void *)(base + g->groups_at);
    s->spans = (shared_u64 *)(void *)(base + g->spans_at);
    s->slots_n = g->groups_all_n * GROUP_SLOTS;
    s->span_shift = (uint32_t)__builtin_ctzll(g->span_bytes);
    classes_plan(g->span_bytes, g->spans_n, &s->classes);
}

void image_open(struct image *image, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    image->bytes = (uint64_t)st.st_size;
    image->base = mmap(NULL, image->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(image->base, MAP_FAILED);
    close(fd);
    memset(&image->segment, 0, sizeof image->segment);
    memcpy(&image->segment.geo, &((struct segment_header *)(void *)image->base)->geometry, sizeof image->segment.geo);
    segment_regions(&image->segment, image->base);
}

void image_close(struct image *image)
{
    assert_int_equal(munmap(image->base, image->bytes), 0);
}

/* -- What must stay ------------------------------------------------------------------------------- */

void snapshot_take(struct snapshot *snapshot, const struct image *image)
{
    snapshot->image = image;
    snapshot->bytes = malloc(image->bytes);
    assert_non_null(snapshot->bytes);
    memcpy(snapshot->bytes, image->base, image->bytes);
}

static void assert_same(const struct snapshot *snapshot, uint64_t from, uint64_t to, const char *what)
{
    for (uint64_t i = from; i < to; i++)
        if (snapshot->bytes[i] != snapshot->image->base[i])
            fail_msg("%s: byte %llu of the segment was 0x%02x, is 0x%02x", what, (unsigned long long)i,
                     snapshot->bytes[i], snapshot->image->base[i]);
}

/* Blocks that held a record: all their bytes, H included. */
static void assert_same_records(const struct snapshot *snapshot)
{
    struct segment before = snapshot->image->segment;
    segment_regions(&before, snapshot->bytes);
    for (uint64_t i = 0; i < before.slots_n; i++) {
        uint64_t w = load_seq_u64(segment_slot(&before, i));
        struct block_place place = { 0 };
        if (w == 0)
            continue;
        assert_true(slot_is_live(w) && segment_locate(&before, slot_block(w), &place));
        assert_same(snapshot, place.block, place.block + place.bytes, "record");
    }
}

void assert_unchanged(struct snapshot *snapshot)
{
    const struct geometry *g = &snapshot->image->segment.geo;
    assert_same(snapshot, 0, offsetof(struct segment_header, entries_used), "header");
    assert_same(snapshot, sizeof(struct segment_header) - 3456, sizeof(struct segment_header), "header's end");
    assert_same(snapshot, g->wait_at, g->entries_at, "wait words");
    assert_same(snapshot, g->summary_at, g->groups_at, "summary");
    assert_same(snapshot, g->groups_at, g->spans_at, "groups");
    assert_same_records(snapshot);
    free(snapshot->bytes);
}

/* -- Damage ------------------------------------------------------------------------------------------- */

void image_write(const char *path, const void *bytes, size_t n, uint64_t at)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
    close(fd);
}

void image_write_header(const char *path, const struct geometry *geometry)
{
    struct segment_header header;
    geometry_header(geometry, "", &header);
    image_write(path, &header, offsetof(struct segment_header, wait_mask), 0);
}
