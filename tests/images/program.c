/* SPDX-License-Identifier: MIT */
#include "images/program.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/image.h"
#include "images/wrong.h"
#include "lib/child.h"
#include "lib/random.h"

/* -- What is asked ---------------------------------------------------------------------------------------- */

void program_ask(struct program_asked *asked, const char *which, int argc, char **argv)
{
    const struct option options[] = {
        { "seed", 1, 0, 's' },  { "images", 1, 0, 'i' }, { "calls", 1, 0, 'c' }, { which, 1, 0, 'w' },
        { "image", 1, 0, 'I' }, { "call", 1, 0, 'C' },   { "error", 1, 0, 'e' }, { 0, 0, 0, 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': asked->seed = strtoull(optarg, NULL, 0); break;
        case 'i': asked->images = strtoull(optarg, NULL, 0); break;
        case 'c': asked->calls = strtoull(optarg, NULL, 0); break;
        case 'w': asked->which = optarg; break;
        case 'I': asked->image = optarg; break;
        case 'C': asked->call = atol(optarg); break;
        case 'e':
            for (int how = FAIL_EIO; how < FAIL_KINDS; how++)
                if (strcmp(optarg, record_how_names[how]) == 0)
                    asked->how = (enum record_how)how;
            break;
        default: exit(2);
        }
    }
}

bool program_asks_for(const struct program_asked *asked, uint32_t point, uint64_t variant)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%u.%llu", point, (unsigned long long)variant);
    return strcmp(asked->image, text) == 0;
}

/* -- The child -------------------------------------------------------------------------------------------- */

static const char *program;

/* The store died of what it read, or did not come to an end. */
static void crashed(int signal_number)
{
    static const char what[] = ": failure: signal during ";
    (void)!write(STDOUT_FILENO, program, strlen(program));
    (void)!write(STDOUT_FILENO, what, sizeof what - 1);
    (void)!write(STDOUT_FILENO, during_text(), strlen(during_text()));
    (void)!write(STDOUT_FILENO, "\n", 1);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

int program_run(const char *name, uint64_t seed, int (*run)(void *arg), void *arg)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };
    int status = 0;
    program = name;
    image_scratch();
    const pid_t pid = child_fork();
    if (pid == 0) {
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
            (void)signal(signals[i], crashed);
        record_seed(seed);
        exit(run(arg));
    }
    (void)waitpid(pid, &status, 0);
    image_sweep();
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    printf("%s: died of signal %d; seed %llu: 1 failures\n", name, WTERMSIG(status), (unsigned long long)seed);
    return 1;
}

void program_tell(const struct log *log, const struct crash *crash, uint32_t point)
{
    char text[LOG_TEXT_BYTES];
    wrong_tell(crash->text);
    if (point > 0) {
        log_say(log, point - 1, text);
        printf("    behind: %s\n", text);
    }
}

/* -- Failed calls ------------------------------------------------------------------------------------------ */

void program_calls_learn(struct program_calls *ret)
{
    ret->n = record_calls_n() < PROGRAM_CALLS_MOST ? record_calls_n() : PROGRAM_CALLS_MOST;
    for (uint64_t i = 0; i < ret->n; i++)
        ret->kind[i] = (uint8_t)record_kind_of(i);
}

void program_calls_fail(const struct program_asked *asked, const struct program_calls *calls, uint64_t first, uint64_t most,
                        uint64_t chance, void (*fail)(uint64_t call, enum record_how how))
{
    const uint64_t all = 2 * (calls->n - first) + 1; /* about */
    for (uint64_t call = asked->call >= 0 ? 0 : first; call < calls->n && wrong_n() < PROGRAM_FAILURES_MOST; call++)
        for (int how = FAIL_EIO; how < FAIL_KINDS; how++) {
            const bool is_one = asked->call >= 0 ? call == (uint64_t)asked->call && how == (int)asked->how
                                                 : random_next(&chance) % all < most;
            if (is_one && record_can_fail((enum record_call)calls->kind[call], (enum record_how)how))
                fail(call, (enum record_how)how);
        }
}
