/* SPDX-License-Identifier: MIT
 *
 * How does Shoal do with more keys, fuller, older, with more processes, and in children just forked?
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../facts.h"
#include "parts.h"

static const struct {
    const char *name;
    void (*run)(const struct scale *scale);
} parts[] = {
    { "keys", scale_keys }, { "load", scale_load }, { "churn", scale_churn }, { "processes", scale_processes },
    { "fork", scale_fork },
};

static int usage(FILE *out, int status)
{
    fputs("shoal-bench-scale [options] [keys | load | churn | processes | fork]...\n"
          "  --seconds S      each timed loop (0.2)\n"
          "  --rounds N       at most 32 (3)\n"
          "  --keys N         the most keys, a power of ten (10000000)\n"
          "  --load-keys N    the capacity of part load (1000000)\n"
          "  --churns N       calls of part churn (10000000)\n"
          "  --workers N      the most processes, at most 64 (64)\n"
          "  --name NAME      of the map\n"
          "  --csv FILE       every round's figures\n"
          "  --fact TEXT      a `name: value` for the head of the CSV, after --csv\n",
          out);
    return status;
}

/* 0 = go on, 1 = that was all, 2 = wrong. */
static int scale_options(struct scale *scale, char *name, size_t name_bytes, int argc, char **argv)
{
    static const struct option options[] = {
        { "seconds", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
        { "keys", required_argument, NULL, 'k' },    { "load-keys", required_argument, NULL, 'l' },
        { "churns", required_argument, NULL, 'u' },  { "workers", required_argument, NULL, 'w' },
        { "name", required_argument, NULL, 'n' },    { "csv", required_argument, NULL, 'c' },
        { "fact", required_argument, NULL, 'f' },    { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's': scale->seconds = strtod(optarg, NULL); break;
        case 'r': scale->rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'k': scale->keys_max = strtoull(optarg, NULL, 10); break;
        case 'l': scale->load_keys = strtoull(optarg, NULL, 10); break;
        case 'u': scale->churns = strtoull(optarg, NULL, 10); break;
        case 'w': scale->workers = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'n': snprintf(name, name_bytes, "%s", optarg); break;
        case 'c':
            scale->csv = fopen(optarg, "w");
            if (!scale->csv)
                return perror(optarg), 2;
            facts_machine(scale->csv);
            break;
        case 'f':
            if (scale->csv)
                fprintf(scale->csv, "# %s\n", optarg);
            break;
        case 'h': return usage(stdout, 1);
        default: return usage(stderr, 2);
        }
    const int fits = scale->seconds > 0 && scale->rounds >= 1 && scale->rounds <= 32 && scale->churns >= 1000 &&
                     scale->workers >= 1 && scale->workers <= 64 && scale->load_keys >= 100;
    return fits ? 0 : usage(stderr, 2);
}

int main(int argc, char **argv)
{
    char name[64];
    struct scale scale = { .name = name, .seconds = 0.2, .rounds = 3, .keys_max = 10000000, .load_keys = 1000000,
                           .churns = 10000000, .workers = 64 };
    snprintf(name, sizeof name, "shoal-scale-%ld", (long)getpid());
    const int asked = scale_options(&scale, name, sizeof name, argc, argv);
    if (asked != 0)
        return asked == 1 ? 0 : asked;
    if (scale.csv)
        fprintf(scale.csv, "# compiler: %s\n# rounds: %u; seconds of a loop: %g; not pinned\npart,x,metric,round,value\n",
                __VERSION__, scale.rounds, scale.seconds);
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int chosen = optind == argc;
        for (int at = optind; at < argc; at++)
            chosen = chosen || strcmp(argv[at], parts[i].name) == 0;
        if (chosen)
            parts[i].run(&scale);
        if (scale.csv)
            fflush(scale.csv); /* before a fork of the next part */
    }
    return scale.csv && fclose(scale.csv) != 0 ? 1 : 0;
}
