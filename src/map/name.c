/* SPDX-License-Identifier: MIT
 *
 * Names of maps, judged byte by byte (name.h).
 */
#include "map/name.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define BARE_DIR "/dev/shm/"
#define BARE_RULE "bare names are [A-Za-z0-9._-]{1,64} without a leading dot"

#define DRAFT_MARK ".shoal-new."
#define DRAFT_HEX 8u
#define DRAFT_TAIL (sizeof DRAFT_MARK - 1 + DRAFT_HEX)
#define KIN_MARK ".shoal-seg."
#define KIN_HEX 16u
#define KIN_TAIL (sizeof KIN_MARK - 1 + KIN_HEX)

/* -- For texts ----------------------------------------------------------------------- */

#define SHOWN_WHOLE 120u /* longer names lose their middle */
#define SHOWN_HEAD 48u
#define SHOWN_TAIL 64u

/* Control bytes would write into somebody's terminal or log. */
static size_t show_bytes(char *to, size_t used, const char *from, size_t n)
{
    for (size_t i = 0; i < n && used + sizeof "\\x00" + sizeof "..." <= NAME_SHOWN_BYTES; i++) {
        unsigned char byte = (unsigned char)from[i];
        if (byte < 0x20 || byte == 0x7f)
            used += (size_t)snprintf(to + used, sizeof "\\x00", "\\x%02x", byte);
        else
            to[used++] = (char)byte;
    }
    return used;
}

static void show(const char *name, size_t n, char *to)
{
    size_t used = show_bytes(to, 0, name, n <= SHOWN_WHOLE ? n : SHOWN_HEAD);
    if (n > SHOWN_WHOLE) {
        memcpy(to + used, "...", 3);
        used = show_bytes(to, used + 3, name + n - SHOWN_TAIL, SHOWN_TAIL);
    }
    to[used] = '\0';
}

static int bad_byte(const struct name *name, unsigned char byte, size_t at)
{
    if (byte >= 0x20 && byte < 0x7f)
        return error_set(SHOAL_EINVAL, "name \"%s\": byte '%c' at %zu; " BARE_RULE, name->shown, byte, at);
    return error_set(SHOAL_EINVAL, "name \"%s\": byte 0x%02x at %zu; " BARE_RULE, name->shown, byte, at);
}

/* -- Drafts --------------------------------------------------------------------------- */

/* Bytes of LAST, behind the leading dot, that leave room for the tail. */
static size_t stem(const struct name *name, size_t tail)
{
    size_t n = strlen(name->last), most = NAME_MAX - 1u - tail;
    return n < most ? n : most;
}

void name_draft(const struct name *name, uint32_t random, struct draft_name *ret_draft)
{
    (void)snprintf(ret_draft->last, sizeof ret_draft->last, ".%.*s" DRAFT_MARK "%08x",
                   (int)stem(name, DRAFT_TAIL), name->last, random);
}

void name_kin(const struct name *name, uint64_t id, struct draft_name *ret_kin)
{
    (void)snprintf(ret_kin->last, sizeof ret_kin->last, ".%.*s" KIN_MARK "%016llx",
                   (int)stem(name, KIN_TAIL), name->last, (unsigned long long)id);
}

static bool is_tail(const char *tail, const char *mark, size_t hex_n)
{
    size_t n = strlen(mark);
    return strncmp(tail, mark, n) == 0 && strspn(tail + n, "0123456789abcdef") == hex_n && tail[n + hex_n] == '\0';
}

static bool has_tail(const char *entry, const char *mark, size_t hex_n)
{
    size_t n = strlen(entry), tail = strlen(mark) + hex_n;
    return entry[0] == '.' && n > 1 + tail && is_tail(entry + n - tail, mark, hex_n);
}

static bool is_draft(const char *entry)
{
    return has_tail(entry, DRAFT_MARK, DRAFT_HEX) || has_tail(entry, KIN_MARK, KIN_HEX);
}

static bool is_of(const struct name *name, const char *entry, const char *mark, size_t hex_n)
{
    size_t n = stem(name, strlen(mark) + hex_n);
    return entry[0] == '.' && strncmp(entry + 1, name->last, n) == 0 && is_tail(entry + 1 + n, mark, hex_n);
}

bool name_is_draft_of(const struct name *name, const char *entry) { return is_of(name, entry, DRAFT_MARK, DRAFT_HEX); }

bool name_is_kin_of(const struct name *name, const char *entry) { return is_of(name, entry, KIN_MARK, KIN_HEX); }

/* -- Parsing ---------------------------------------------------------------------------- */

static bool is_bare_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

static int parse_bare(const char *text, size_t n, struct name *name)
{
    if (n == 0)
        return error_set(SHOAL_EINVAL, "name \"\": empty; " BARE_RULE);
    if (text[0] == '.')
        return error_set(SHOAL_EINVAL, "name \"%s\": leading dot at 0; " BARE_RULE, name->shown);
    for (size_t i = 0; i < n; i++)
        if (!is_bare_byte((unsigned char)text[i]))
            return bad_byte(name, (unsigned char)text[i], i);
    if (n > NAME_BARE_MAX)
        return error_set(SHOAL_EINVAL, "name \"%s\": %zu bytes; " BARE_RULE, name->shown, n);
    name->shown_dir = BARE_DIR;
    memcpy(name->dir, BARE_DIR, sizeof BARE_DIR);
    memcpy(name->last, text, n + 1);
    return 0;
}

/* Here rather than by the kernel's ENAMETOOLONG, because the text can say which. */
static int judge_components(const char *text, const struct name *name)
{
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "/");
        if (n > NAME_MAX)
            return error_set(SHOAL_EINVAL, "name \"%s\": component of %zu bytes at %zu; the limit is %d", name->shown,
                             n, (size_t)(at - text), NAME_MAX);
        at += n + (at[n] == '/');
    }
    return 0;
}

static int parse_path(const char *text, size_t n, struct name *name)
{
    const char *last = strrchr(text, '/') + 1;
    size_t dir_n = (size_t)(last - text);
    if (n >= PATH_MAX)
        return error_set(SHOAL_EINVAL, "name \"%s\": a path of %zu bytes; the limit is %d", name->shown, n,
                         PATH_MAX - 1);
    int code = judge_components(text, name);
    if (code != 0)
        return code;
    if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return error_set(SHOAL_EINVAL, "name \"%s\": a directory's path; it must end in a file's name", name->shown);
    if (is_draft(last))
        return error_set(SHOAL_EINVAL, "name \"%s\": \"%.11s\" at %zu marks a map that is still being made", name->shown,
                         last + strlen(last) - (has_tail(last, KIN_MARK, KIN_HEX) ? KIN_TAIL : DRAFT_TAIL),
                         n - (has_tail(last, KIN_MARK, KIN_HEX) ? KIN_TAIL : DRAFT_TAIL));
    name->shown_dir = "";
    memcpy(name->dir, text, dir_n);
    name->dir[dir_n] = '\0';
    memcpy(name->last, last, n - dir_n + 1);
    return 0;
}

int name_parse(const char *text, struct name *ret_name)
{
    if (text == NULL)
        return error_set(SHOAL_EINVAL, "name is NULL; " BARE_RULE);
    size_t n = strlen(text);
    show(text, n, ret_name->shown);
    return strchr(text, '/') != NULL ? parse_path(text, n, ret_name) : parse_bare(text, n, ret_name);
}
