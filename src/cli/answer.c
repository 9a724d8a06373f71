/* SPDX-License-Identifier: MIT
 *
 * From a result code to an exit status, a message and a JSON object.
 */
#include "escape.h"
#include "request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int code;
    int status;
    const char *name;
} answers[] = {
    { SHOAL_OK, EXIT_DONE, "done" },
    { SHOAL_MISSING, EXIT_NO, "missing" },
    { SHOAL_EXISTS, EXIT_NO, "exists" },
    { SHOAL_CHANGED, EXIT_NO, "changed" },
    { SHOAL_SHORT, EXIT_NO, "short" },
    { SHOAL_TIMEOUT, EXIT_NO, "timeout" },
    { SHOAL_END, EXIT_NO, "end" },
    { SHOAL_EINVAL, EXIT_USAGE, "invalid" },
    { SHOAL_ETOOBIG, EXIT_USAGE, "too-big" },
    { SHOAL_ENOMAP, EXIT_SYSTEM, "no-map" },
    { SHOAL_EMAPEXISTS, EXIT_SYSTEM, "map-exists" },
    { SHOAL_EREADONLY, EXIT_SYSTEM, "read-only" },
    { SHOAL_EVERSION, EXIT_SYSTEM, "version" },
    { SHOAL_EATTACH, EXIT_SYSTEM, "attachments-full" },
    { SHOAL_ESTORE, EXIT_SYSTEM, "store" },
    { SHOAL_EOS, EXIT_SYSTEM, "system" },
    { SHOAL_ECORRUPT, EXIT_CORRUPT, "corrupt" },
    { SHOAL_EFULL, EXIT_FULL, "full" },
};

/* A code that a newer library knows and this program does not is a failure of the system. */
static size_t find(int code)
{
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].code == code)
            return i;
    return find(SHOAL_EOS);
}

const char *answer_name(int code) { return answers[find(code)].name; }

void complain(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    fputs("shoal: ", stderr);
    if (n >= 0)
        escape_write(stderr, ESCAPE_SCREEN, text, (size_t)n);
    fputc('\n', stderr);
    free(text);
}

int answer_flush(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    complain("standard output: %s", strerror(errno));
    return EXIT_SYSTEM;
}

/* The object on stdout.  `text` may hold any bytes: file names do. */
static int write_object(int code, const char *text, json_t *members)
{
    json_t *object = json_pack("{s:i, s:s}", "code", code, "result", answer_name(code));
    if (text) {
        char *clean = NULL;
        size_t clean_bytes = 0;
        FILE *out = open_memstream(&clean, &clean_bytes);
        if (out) {
            escape_write(out, ESCAPE_SCREEN, text, strlen(text));
            fclose(out);
            json_object_set_new(object, "text", json_string(clean));
            free(clean);
        }
    }
    if (members)
        json_object_update(object, members);
    json_decref(members);
    int failed = json_dumpf(object, stdout, 0);
    json_decref(object);
    putchar('\n');
    if (failed) {
        complain("standard output: %s", strerror(errno));
        return EXIT_SYSTEM;
    }
    return answer_flush(answers[find(code)].status);
}

static int answer_text(const struct request *request, int code, const char *text, json_t *members)
{
    if (code != SHOAL_OK)
        complain("%s", text);
    if (request->json)
        return write_object(code, code == SHOAL_OK ? NULL : text, members);
    json_decref(members);
    return answer_flush(answers[find(code)].status);
}

int answer(const struct request *request, int code, const char *subject, json_t *members)
{
    if (code <= 0) {
        const char *text = code < 0 ? shoal_error_text() : "";
        return answer_text(request, code, *text ? text : shoal_strerror(code), members);
    }
    char *text = NULL;
    if (asprintf(&text, "%s: %s", subject, shoal_strerror(code)) < 0)
        text = NULL;
    int status = answer_text(request, code, text ? text : subject, members);
    free(text);
    return status;
}

int answer_own(const struct request *request, int code, json_t *members, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    int status = answer_text(request, code, text ? text : format, members);
    free(text);
    return status;
}
