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
#define DRAFT_STEM_MAX (NAME_MAX - 1u - DRAFT_TAIL) /* of LAST, behind the leading dot */

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

static size_t draft_stem(const struct name *name)
{
    size_t n = strlen(name->last);
    return n < DRAFT_STEM_MAX ? n : DRAFT_STEM_MAX;
}

void name_draft(const struct name *name, uint32_t random, struct draft_name *ret_draft)
{
    (void)snprintf(ret_draft->last, sizeof ret_draft->last, ".%.*s" DRAFT_MARK "%08x", (int)draft_stem(name),
                   name->last, random);
}

static bool is_draft_tail(const char *tail)
{
    const char *hex = tail + sizeof DRAFT_MARK - 1;
    return strncmp(tail, DRAFT_MARK, sizeof DRAFT_MARK - 1) == 0 &&
           strspn(hex, "0123456789abcdef") == DRAFT_HEX && hex[DRAFT_HEX] == '\0';
}

static bool is_draft(const char *entry)
{
    size_t n = strlen(entry);
    return entry[0] == '.' && n > 1 + DRAFT_TAIL && is_draft_tail(entry + n - DRAFT_TAIL);
}

bool name_is_draft_of(const struct name *name, const char *entry)
{
    size_t stem = draft_stem(name);
    return entry[0] == '.' && strncmp(entry + 1, name->last, stem) == 0 && is_draft_tail(entry + 1 + stem);
}

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
        return error_set(SHOAL_EINVAL, "name \"%s\": \"" DRAFT_MARK "\" at %zu marks a map that is still being made",
                         name->shown, n - DRAFT_TAIL);
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
