/* SPDX-License-Identifier: MIT */
#include "fuzz/edit.h"

#include "fuzz/guard.h"
#include "table/record.h"

/* What is left of the script. */
struct script {
    const uint8_t *at;
    size_t n;
    bool cut;
};

static uint8_t byte_of(struct script *s)
{
    if (s->n == 0) {
        s->cut = true;
        return 0;
    }
    s->n--;
    return *s->at++;
}

static uint32_t two_bytes_of(struct script *s)
{
    uint32_t low = byte_of(s);
    return low | (uint32_t)byte_of(s) << 8;
}

static uint64_t word_of(struct script *s)
{
    uint64_t w = 0;
    for (uint32_t i = 0; i < 8; i++)
        w |= (uint64_t)byte_of(s) << (8 * i);
    return w;
}

static uint64_t place_of(const struct image *image, uint32_t region, uint32_t word_i)
{
    enum region r = (enum region)(region % REGIONS);
    return region_at(image, r, word_i % region_words(image, r));
}

/* -- Words with a meaning ------------------------------------------------------------------------------ */

static uint64_t slot_at(const struct image *image, uint32_t slot_i)
{
    uint64_t i = slot_i % image->view.slots_n;
    return image->view.geo.groups_at + i / GROUP_SLOTS * sizeof(struct group) + 8 + i % GROUP_SLOTS * 8;
}

static uint32_t finger_of(const struct image *image, uint32_t k)
{
    char key[KEY_ROOM];
    size_t n = key_make(k % KEYS_N, key);
    return hash_finger(hash_bytes(key, n, image->view.geo.seed));
}

static uint64_t slot_word(const struct image *image, struct script *s)
{
    enum slot_state state = (enum slot_state)(byte_of(s) % 8);
    uint32_t finger = finger_of(image, byte_of(s));
    uint64_t other = image_word(image->bytes, slot_at(image, byte_of(s)));
    return slot_pack(state, finger, slot_block(other), slot_tag(other));
}

static uint64_t span_word(uint64_t was, struct script *s)
{
    enum span_state state = (enum span_state)(byte_of(s) % 8);
    uint32_t class_i = two_bytes_of(s) & SPAN_CLASS_MAX;
    return span_pack(was - 1, state, class_i, byte_of(s), (was & SPAN_BACKED) != 0);
}

static uint64_t h_word(uint64_t was, struct script *s)
{
    uint32_t state = byte_of(s);
    return h_pack(h_generation(was), byte_of(s), (enum block_state)(state & (H_STATE_MASK | H_PENDING)));
}

static uint64_t place_word(struct script *s)
{
    uint32_t slot_i = byte_of(s), key_bytes = two_bytes_of(s), rest = two_bytes_of(s);
    return (uint64_t)slot_i << 32 | (uint64_t)key_bytes << 16 | rest;
}

static uint64_t name_word(const struct image *image, struct script *s)
{
    uint64_t block = slot_block(image_word(image->bytes, slot_at(image, byte_of(s))));
    return block | (byte_of(s) & 1u);
}

/* -- Edits ------------------------------------------------------------------------------------------------- */

/* A header of other numbers that belongs to a file of this size, where there is one. */
static void layout(struct image *image, struct script *s)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    struct geometry g, was = image->view.geo;
    struct segment_header *header = (struct segment_header *)(void *)image->bytes;
    o.capacity = 1u + byte_of(s);
    o.heap_bytes = (1u + byte_of(s)) * (uint64_t)was.span_bytes;
    o.max_threads = 1u + byte_of(s) % 16;
    o.flags = byte_of(s) & (SHOAL_MTIME | SHOAL_CHECKSUM);
    if (s->cut || geometry_plan(&o, &g) != 0)
        return;
    g.seed = was.seed;
    g.version_salt = was.version_salt;
    g.created_ns = was.created_ns;
    header->geometry = g;
    image_sign(image);
}

static uint64_t edited(struct image *image, struct script *s, enum edit_operation operation, uint64_t at)
{
    uint64_t was = image_word(image->bytes, at);
    uint32_t region, word_i;
    switch (operation) {
    case EDIT_SET:
        return word_of(s);
    case EDIT_FLIP:
        return was ^ (uint64_t)1 << byte_of(s) % 64;
    case EDIT_ONES:
        return ~(uint64_t)0;
    case EDIT_NEIGHBOUR:
        return image_word(image->bytes, at + 8 < image->n ? at + 8 : at - 8);
    case EDIT_OFFSET:
        return at;
    case EDIT_ADD:
        return was + (uint64_t)(int64_t)(int8_t)byte_of(s);
    case EDIT_COPY:
        region = byte_of(s);
        word_i = two_bytes_of(s);
        return image_word(image->bytes, place_of(image, region, word_i));
    case EDIT_SLOT:
        return slot_word(image, s);
    case EDIT_SPAN:
        return span_word(was, s);
    case EDIT_H:
        return h_word(was, s);
    case EDIT_PLACE:
        return place_word(s);
    case EDIT_NAME:
        return name_word(image, s);
    default:
        return 0;
    }
}

/* Where an edit goes: those with a meaning choose their own region. */
static uint64_t target_of(const struct image *image, enum edit_operation operation, uint32_t region, uint32_t word_i)
{
    switch (operation) {
    case EDIT_SLOT:
        return slot_at(image, word_i);
    case EDIT_SPAN:
        return image->view.geo.spans_at + word_i % image->view.geo.spans_n * 8;
    case EDIT_H:
        return place_of(image, REGION_HEADS, word_i % 64 * 5);
    case EDIT_PLACE:
        return place_of(image, REGION_HEADS, word_i % 64 * 5 + 1);
    case EDIT_NAME:
        return place_of(image, REGION_ENTRIES, word_i);
    default:
        return place_of(image, region, word_i);
    }
}

static void edit_one(struct image *image, struct script *s)
{
    uint32_t head = byte_of(s), word_i = two_bytes_of(s);
    enum edit_operation operation = (enum edit_operation)((head & 15u) % EDITS);
    if (operation == EDIT_LAYOUT) {
        layout(image, s);
        return;
    }
    uint64_t at = target_of(image, operation, head >> 4, word_i);
    uint64_t w = edited(image, s, operation, at);
    if (!s->cut)
        memcpy(image->bytes + at, &w, 8);
}

void edit_run(struct image images[IMAGE_KINDS], const uint8_t *script, size_t n, struct image **ret_image,
              struct damage *ret_damage)
{
    struct script s = { script, n, false };
    uint32_t head = byte_of(&s);
    struct image *image = &images[head % IMAGE_KINDS];
    struct damage damage = { 0 };
    image_restore(image);
    while (s.n > 0)
        edit_one(image, &s);
    if (head & EDIT_SIGN)
        image_sign(image);
    for (uint64_t at = 0; at < image->n; at += 8)
        if (image_word(image->bytes, at) != image_word(image->sound, at))
            damage_add(&damage, image, at);
    *ret_image = image;
    *ret_damage = damage;
}
