/* SPDX-License-Identifier: MIT
 *
 * The commands: each takes its own arguments (argv[0] is "shoal NAME") and returns an exit status.
 */
#ifndef SHOAL_CLI_COMMANDS_H
#define SHOAL_CLI_COMMANDS_H

/* map_commands.c: a map as a whole */
int command_create(int argc, char **argv);
int command_rebuild(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_check(int argc, char **argv);
int command_reap(int argc, char **argv);

/* store_commands.c: the store below a map */
int command_sync(int argc, char **argv);
int command_warm(int argc, char **argv);
int command_compact(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_store_stat(int argc, char **argv);

/* salvage_command.c */
int command_salvage(int argc, char **argv);

/* key_commands.c: one key */
int command_get(int argc, char **argv);
int command_put(int argc, char **argv);
int command_add(int argc, char **argv);
int command_del(int argc, char **argv);
int command_incr(int argc, char **argv);

/* bulk_commands.c: many keys */
int command_list(int argc, char **argv);
int command_load(int argc, char **argv);
int command_dump(int argc, char **argv);

#endif
