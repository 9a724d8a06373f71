/* SPDX-License-Identifier: MIT
 *
 * How far a command is, on stderr (lasting.h).
 */
#include "lasting.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { KEY_PROGRESS = 0x300 };

static const struct argp_option lasting_options[] = {
    { "progress", KEY_PROGRESS, NULL, 0, "Show how far it is on stderr, also where that is no terminal", 0 },
    { 0 },
};

static error_t parse_lasting(int key, char *argument, struct argp_state *state)
{
    struct lasting *lasting = state->input;
    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = lasting;
        return 0;
    case KEY_PROGRESS:
        lasting->progress = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void lasting_parse(int argc, char **argv, const char *args_doc, const char *doc, int words, struct lasting *lasting)
{
    const struct argp argp = {
        .options = lasting_options, .parser = parse_lasting, .args_doc = args_doc, .doc = doc, .children = request_child,
    };
    request_parse(&argp, argc, argv, &lasting->request, words, words);
    lasting->progress = !lasting->request.json && (lasting->progress || isatty(STDERR_FILENO));
}

/* Over the same line again and again. */
static int show_progress(uint64_t done, uint64_t total, void *arg)
{
    const struct lasting *lasting = arg;
    fprintf(stderr, "\r\033[K%" PRIu64 " of about %" PRIu64 "%s", done, total, lasting->unit);
    return 0;
}

shoal_progress_fn *progress_of(const struct lasting *lasting) { return lasting->progress ? show_progress : NULL; }

void progress_over(const struct lasting *lasting)
{
    if (lasting->progress)
        fputs("\r\033[K", stderr);
}
