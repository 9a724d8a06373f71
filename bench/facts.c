/* SPDX-License-Identifier: MIT
 *
 * Facts of the machine, from /proc and /sys.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "facts.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The value of the first "name<blanks>: value" line of a /proc or /sys file; the whole first line where name
 * is NULL; "unknown" where there is none. */
static void read_fact(const char *path, const char *name, char *buf, size_t buf_bytes)
{
    char line[4096]; /* the flags of a CPU fill more than 1 KiB */
    snprintf(buf, buf_bytes, "unknown");
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *value = name ? strchr(line, ':') : line;
        if (!value || (name && strncmp(line, name, strlen(name)) != 0))
            continue;
        snprintf(buf, buf_bytes, "%.120s", value + (name ? strspn(value, ": \t") : 0));
        break;
    }
    fclose(file);
}

void facts_machine(FILE *out)
{
    char text[200];
    struct utsname kernel;
    fprintf(out, "# cpus: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    read_fact("/proc/cpuinfo", "model name", text, sizeof text);
    fprintf(out, "# cpu_model: %s\n", text);
    read_fact("/proc/cpuinfo", "cache size", text, sizeof text);
    fprintf(out, "# cpu_cache: %s\n", text);
    read_fact("/proc/meminfo", "MemTotal", text, sizeof text);
    fprintf(out, "# memory: %s\n", text);
    if (uname(&kernel) == 0)
        fprintf(out, "# kernel: %s %s %s\n", kernel.sysname, kernel.release, kernel.machine);
    fprintf(out, "# page_bytes: %ld\n", sysconf(_SC_PAGESIZE));
    read_fact("/sys/kernel/mm/transparent_hugepage/enabled", NULL, text, sizeof text);
    fprintf(out, "# huge_pages_anonymous: %s\n", text);
    read_fact("/sys/kernel/mm/transparent_hugepage/shmem_enabled", NULL, text, sizeof text);
    fprintf(out, "# huge_pages_shared: %s\n", text);
}
