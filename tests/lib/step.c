/* SPDX-License-Identifier: MIT
 *
 * Single-stepping (step.h).  The victim is a fork of this process without exec, so its code lies at the
 * same addresses here and can be read and decoded without asking ptrace.
 */
#include "lib/step.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/decode.h"
#include "lib/fail.h"

enum phase { PHASE_BEFORE, PHASE_WITHIN, PHASE_AFTER };
static volatile uint32_t *phase; /* shared with the victim */

/* -- Marks ------------------------------------------------------------------------------------------ */

__attribute__((noinline)) void step_begin(void)
{
    *phase = PHASE_WITHIN;
    __asm__ volatile("int3" ::: "memory");
}

__attribute__((noinline)) void step_end(void)
{
    *phase = PHASE_AFTER;
    __asm__ volatile("int3" ::: "memory");
}

/* -- The victim's stops ------------------------------------------------------------------------------- */

static void read_registers(struct stepper *s, struct user_regs_struct *regs)
{
    require(ptrace(PTRACE_GETREGS, s->pid, NULL, regs) == 0, "PTRACE_GETREGS: %s", strerror(errno));
    s->rip = regs->rip;
}

/* Wait for the next stop.  false = the victim is gone. */
static bool await_stop(struct stepper *s)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(s->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    require(got == s->pid, "waitpid: %s", strerror(errno));
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
        return true;
    if (WIFSTOPPED(status)) {
        struct user_regs_struct regs;
        read_registers(s, &regs);
        s->signal = WSTOPSIG(status);
        return false;
    }
    s->signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    s->pid = 0;
    return false;
}

static void find_watched(struct watched *w, unsigned long from, dev_t dev, unsigned long inode)
{
    if (inode == w->ino && dev == w->dev && w->at == 0)
        w->at = from;
}

/* Lines of /proc/PID/maps that can be read and name a watched file. */
static void find_mappings(struct stepper *s)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)s->pid);
    FILE *maps = fopen(path, "re");
    for (uint32_t i = 0; i < s->watched_n; i++)
        s->watched[i].at = 0;
    if (!maps)
        return;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to, offset, inode;
        unsigned major_n, minor_n;
        char permissions[8];
        const int n = sscanf(line, "%lx-%lx %7s %lx %x:%x %lu", &from, &to, permissions, &offset, &major_n, &minor_n,
                             &inode);
        for (uint32_t i = 0; n == 7 && permissions[0] == 'r' && i < s->watched_n; i++)
            find_watched(&s->watched[i], from, makedev(major_n, minor_n), inode);
    }
    fclose(maps);
}

void step_watch(struct stepper *s, int fd)
{
    struct stat st;
    require(s->watched_n < WATCHED_MOST, "too many files to watch");
    struct watched *w = &s->watched[s->watched_n++];
    require(fstat(fd, &st) == 0, "fstat: %s", strerror(errno));
    *w = (struct watched){ .bytes_n = (size_t)st.st_size, .dev = st.st_dev, .ino = st.st_ino };
    void *at = mmap(NULL, w->bytes_n, PROT_READ, MAP_SHARED, fd, 0);
    require(at != MAP_FAILED, "mmap: %s", strerror(errno));
    w->bytes = at;
    w->shadow = malloc(w->bytes_n);
    require(w->shadow, "no memory");
    memcpy(w->shadow, w->bytes, w->bytes_n);
    find_mappings(s);
}

static bool has_changed(struct watched *w)
{
    if (memcmp(w->shadow, w->bytes, w->bytes_n) == 0)
        return false;
    memcpy(w->shadow, w->bytes, w->bytes_n);
    return true;
}

void step_forgive(struct stepper *s)
{
    for (uint32_t i = 0; i < s->watched_n; i++)
        (void)has_changed(&s->watched[i]);
}

void step_start(struct stepper *s, int fd, void (*body)(void *), void *arg)
{
    if (!phase)
        phase = child_memory(4096);
    memset(s, 0, sizeof *s);
    *phase = PHASE_BEFORE;
    s->pid = child_fork();
    if (s->pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(97);
        body(arg);
        _exit(0);
    }
    require(await_stop(s) && *phase == PHASE_WITHIN, "the victim did not come to its mark (signal %d at %s)", s->signal,
            step_symbol(s->rip));
    require(ptrace(PTRACE_SETOPTIONS, s->pid, NULL, PTRACE_O_EXITKILL) == 0, "PTRACE_SETOPTIONS: %s", strerror(errno));
    struct user_regs_struct regs;
    read_registers(s, &regs);
    if (fd >= 0)
        step_watch(s, fd);
}

/* -- One instruction ----------------------------------------------------------------------------------- */

#define KNOWN_N 8192u
static struct {
    uint64_t rip;
    struct instruction instruction;
} known[KNOWN_N];

static struct instruction instruction_at(uint64_t rip)
{
    const uint32_t i = (uint32_t)(rip ^ rip >> 13) % KNOWN_N;
    if (known[i].rip != rip) {
        known[i].rip = rip;
        known[i].instruction = decode((const uint8_t *)(uintptr_t)rip);
    }
    return known[i].instruction;
}

static uint32_t foresee(const struct stepper *s, const struct instruction *instruction,
                        const struct user_regs_struct *regs)
{
    uint32_t what = 0;
    if (instruction->what & INSN_SYSCALL)
        what |= STEP_SYSCALL | (regs->rax == SYS_futex ? STEP_SLEPT : 0);
    if (instruction->what & (INSN_LOCKED | INSN_XCHG))
        what |= STEP_LOCKED;
    if (instruction->what & INSN_FENCE)
        what |= STEP_FENCE;
    if (instruction->what & INSN_STRING)
        what |= STEP_STRING;
    for (uint32_t i = 0; i < s->watched_n; i++)
        if (s->watched[i].at && decode_touches(instruction, regs, s->watched[i].at, s->watched[i].bytes_n))
            what |= STEP_TOUCHED | (instruction->what & INSN_STORES ? STEP_STORED : 0);
    return what;
}

static bool maps_something(uint64_t call)
{
    return call == SYS_mmap || call == SYS_munmap || call == SYS_mremap;
}

bool step_one(struct stepper *s, struct step_place *ret_place)
{
    struct user_regs_struct regs;
    read_registers(s, &regs);
    const struct instruction instruction = instruction_at(regs.rip);
    const uint64_t call = regs.rax;
    uint32_t what = foresee(s, &instruction, &regs);
    require(ptrace(PTRACE_SINGLESTEP, s->pid, NULL, NULL) == 0, "PTRACE_SINGLESTEP: %s", strerror(errno));
    if (!await_stop(s))
        return false;
    read_registers(s, &regs);
    if ((what & STEP_SYSCALL) && s->watched_n && maps_something(call))
        find_mappings(s);
    for (uint32_t i = 0; i < s->watched_n; i++)
        if (has_changed(&s->watched[i]))
            what |= STEP_CHANGED;
    ret_place->rip = s->rip;
    ret_place->what = what;
    s->ended = *phase == PHASE_AFTER;
    return !s->ended;
}

/* -- A whole run ---------------------------------------------------------------------------------------- */

void trace_begin(struct trace *trace, uint64_t room)
{
    trace->place = child_memory(room * sizeof trace->place[0]);
    trace->room = room;
    trace->n = 0;
}

void trace_end(struct trace *trace)
{
    munmap(trace->place, trace->room * sizeof trace->place[0]);
    memset(trace, 0, sizeof *trace);
}

/* Fill in `hit`. */
static void count_hits(struct trace *trace)
{
    uint32_t bits = 10;
    while (((uint64_t)1 << bits) < trace->n * 2)
        bits++;
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    struct {
        uint64_t rip;
        uint32_t n;
    } *count = calloc(mask + 1, sizeof *count);
    require(count, "no memory");
    for (uint64_t i = 0; i < trace->n; i++) {
        uint64_t at = (trace->place[i].rip * 0x9e3779b97f4a7c15u) >> 20 & mask;
        while (count[at].rip && count[at].rip != trace->place[i].rip)
            at = (at + 1) & mask;
        count[at].rip = trace->place[i].rip;
        trace->place[i].hit = ++count[at].n;
    }
    free(count);
}

bool step_record(struct stepper *s, struct trace *trace)
{
    trace->place[0] = (struct step_place){ s->rip, 0, 0 };
    trace->n = 1;
    while (trace->n < trace->room && step_one(s, &trace->place[trace->n]))
        trace->n++;
    count_hits(trace);
    return s->ended;
}

/* -- To a place by a breakpoint -------------------------------------------------------------------------- */

/* Stops needed at most to look back for a good breakpoint. */
#define LOOK_BACK 4000u

/* Which earlier place is reached with the fewest stops, the steps from there to n included? */
static uint64_t choose_anchor(const struct trace *trace, uint64_t n)
{
    uint64_t best = 0, best_cost = n;
    for (uint64_t m = n; m > 0 && n - m < LOOK_BACK; m--) {
        const struct instruction next = instruction_at(trace->place[m].rip);
        const uint64_t cost = n - m + (uint64_t)trace->place[m].hit * 3;
        if (!(next.what & (INSN_STRING | INSN_SYSCALL)) && cost < best_cost) {
            best = m;
            best_cost = cost;
        }
    }
    return best;
}

static void poke_byte(const struct stepper *s, uint64_t at, uint8_t byte)
{
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, s->pid, (void *)(uintptr_t)at, NULL);
    require(errno == 0, "PTRACE_PEEKTEXT: %s", strerror(errno));
    const unsigned long changed = ((unsigned long)word & ~0xfful) | byte;
    require(ptrace(PTRACE_POKETEXT, s->pid, (void *)(uintptr_t)at, (void *)changed) == 0, "PTRACE_POKETEXT: %s",
            strerror(errno));
}

static bool raw_step(struct stepper *s)
{
    struct user_regs_struct regs;
    require(ptrace(PTRACE_SINGLESTEP, s->pid, NULL, NULL) == 0, "PTRACE_SINGLESTEP: %s", strerror(errno));
    if (!await_stop(s))
        return false;
    read_registers(s, &regs);
    s->ended = *phase == PHASE_AFTER;
    return !s->ended;
}

/* Run until the instruction at `at` is next for the hits-th time. */
static bool run_to(struct stepper *s, uint64_t at, uint32_t hits)
{
    const uint8_t original = *(const uint8_t *)(uintptr_t)at;
    struct user_regs_struct regs;
    if (s->rip == at && hits-- == 1)
        return true;
    if (s->rip == at && !raw_step(s))
        return false;
    for (;;) {
        poke_byte(s, at, 0xcc);
        require(ptrace(PTRACE_CONT, s->pid, NULL, NULL) == 0, "PTRACE_CONT: %s", strerror(errno));
        if (!await_stop(s))
            return false;
        read_registers(s, &regs);
        poke_byte(s, at, original);
        if (regs.rip != at + 1) { /* another int3: step_end */
            s->ended = true;
            return false;
        }
        regs.rip = at;
        s->rip = at;
        require(ptrace(PTRACE_SETREGS, s->pid, NULL, &regs) == 0, "PTRACE_SETREGS: %s", strerror(errno));
        if (--hits == 0)
            return true;
        if (!raw_step(s))
            return false;
    }
}

bool step_to(struct stepper *s, const struct trace *trace, uint64_t n)
{
    const uint64_t anchor = choose_anchor(trace, n);
    if (anchor > 0 && !run_to(s, trace->place[anchor].rip, trace->place[anchor].hit))
        return false;
    for (uint64_t i = anchor; i < n; i++)
        if (!raw_step(s))
            return false;
    return s->rip == trace->place[n].rip;
}

/* -- Ends --------------------------------------------------------------------------------------------------- */

static void forget_view(struct stepper *s)
{
    for (uint32_t i = 0; i < s->watched_n; i++) {
        munmap((void *)(uintptr_t)s->watched[i].bytes, s->watched[i].bytes_n);
        free(s->watched[i].shadow);
    }
    s->watched_n = 0;
}

void step_kill(struct stepper *s)
{
    int status = 0;
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &status, 0) == s->pid && !WIFSIGNALED(status) && !WIFEXITED(status)) {
        }
    }
    s->pid = 0;
    forget_view(s);
}

bool step_finish(struct stepper *s)
{
    if (s->ended)
        return true;
    struct user_regs_struct regs;
    require(ptrace(PTRACE_CONT, s->pid, NULL, NULL) == 0, "PTRACE_CONT: %s", strerror(errno));
    if (!await_stop(s))
        return false;
    read_registers(s, &regs);
    s->ended = *phase == PHASE_AFTER;
    return s->ended;
}

int step_release(struct stepper *s)
{
    int status = 0;
    while (s->pid > 0) {
        ptrace(PTRACE_CONT, s->pid, NULL, NULL);
        const pid_t got = waitpid(s->pid, &status, 0);
        if (got != s->pid || WIFEXITED(status) || WIFSIGNALED(status))
            break;
        if (WSTOPSIG(status) != SIGTRAP) /* a fault in the victim: let it die of it */
            kill(s->pid, SIGKILL);
    }
    s->pid = 0;
    forget_view(s);
    return status;
}

void step_detach(struct stepper *s)
{
    ptrace(PTRACE_DETACH, s->pid, NULL, NULL);
    forget_view(s);
}

const char *step_symbol(uint64_t rip)
{
    static char text[256];
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)rip, &info)) {
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)rip);
        return text;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    snprintf(text, sizeof text, "%s+0x%llx (%s+0x%llx)", info.dli_sname ? info.dli_sname : "?",
             (unsigned long long)(info.dli_sname ? rip - (uint64_t)(uintptr_t)info.dli_saddr : 0),
             slash ? slash + 1 : info.dli_fname, (unsigned long long)(rip - (uint64_t)(uintptr_t)info.dli_fbase));
    return text;
}
