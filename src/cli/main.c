/* SPDX-License-Identifier: MIT
 *
 * shoal: maps in shared memory, from the command line.
 */
#include "commands.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SHOAL_VERSION
#define SHOAL_VERSION "unknown"
#endif

static const struct {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "create", "MAP", "make a map", command_create },
    { "get", "MAP KEY", "print a value", command_get },
    { "put", "MAP KEY VALUE", "store a value", command_put },
    { "add", "MAP KEY VALUE", "store it only where the key is absent", command_add },
    { "del", "MAP KEY", "remove a key", command_del },
    { "incr", "MAP KEY [DELTA]", "add to an integer and print it", command_incr },
    { "list", "MAP", "print the keys", command_list },
    { "load", "MAP [FILE]", "store records from JSON lines or TSV", command_load },
    { "dump", "MAP", "print every record, for load", command_dump },
    { "stat", "MAP", "print sizes and counters", command_stat },
    { "check", "MAP", "test every invariant", command_check },
    { "reap", "MAP", "collect what dead processes left", command_reap },
    { "sync", "MAP", "bring the map to the disk of its store", command_sync },
    { "warm", "MAP", "bring records up from the store", command_warm },
    { "rebuild", "MAP", "move a map to another capacity and heap, while it is used", command_rebuild },
    { "salvage", "MAP", "print what is whole in a damaged file, for load", command_salvage },
    { "compact", "MAP", "make the file of its store smaller", command_compact },
    { "backup", "MAP DIRECTORY", "copy it, while it is in use", command_backup },
    { "restore", "BACKUP DIRECTORY", "make a store out of a backup", command_restore },
    { "store-stat", "MAP|DIRECTORY", "print sizes and counters of a store", command_store_stat },
    { "rm", "MAP", "remove a map", command_rm },
};
#define COMMANDS_N (sizeof commands / sizeof commands[0])

static int usage(FILE *out, int status)
{
    fputs("Usage: shoal COMMAND [OPTION...] MAP [ARGUMENT...]\n"
          "Read and write maps in shared memory, also while other programs use them.\n\n",
          out);
    for (size_t i = 0; i < COMMANDS_N; i++)
        fprintf(out, "  %-10s %-16s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    fputs("\nMAP is a bare name ([A-Za-z0-9._-], up to 64 characters) for shared memory, or a path\n"
          "with a '/' for a file.  `shoal COMMAND --help` lists a command's options; every command\n"
          "takes --json.  `--` ends the options, so that a key may begin with '-'.\n\n"
          "Exit status: 0 done; 1 no (missing, exists, changed, timeout); 2 usage, or an argument or\n"
          "input line that is not valid; 3 system (no such map, map exists, version, ...); 4 corrupt;\n"
          "5 full.\n",
          out);
    return answer_flush(status);
}

/* argp and getopt print argv[0] before their messages: make it "shoal NAME". */
static int run(size_t index, int argc, char **argv)
{
    char name[32];
    snprintf(name, sizeof name, "shoal %s", commands[index].name);
    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    return commands[index].run(argc, argv);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, EXIT_USAGE);
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 || strcmp(name, "help") == 0)
        return usage(stdout, EXIT_DONE);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("shoal %s\n", SHOAL_VERSION);
        return answer_flush(EXIT_DONE);
    }
    for (size_t i = 0; i < COMMANDS_N; i++)
        if (strcmp(name, commands[i].name) == 0)
            return run(i, argc - 1, argv + 1);
    complain("%s: no such command; `shoal --help` lists them", name);
    return EXIT_USAGE;
}
