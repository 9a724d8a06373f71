/* SPDX-License-Identifier: MIT
 *
 * The course of a run: who is forked when, and what is taken for what.
 */
#include "baselines/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "baselines/scene.h"
#include "baselines/survive.h"
#include "lib/child.h"
#include "lib/fail.h"

const char *const found_names[FOUND_N] = { "right", "harness", "torn", "lost", "broken", "failed", "crashed" };

/* Whoever reads from it goes on when the writing end is closed. */
static int gate[2]; /* the veteran's */
static int exit_gate[2];

/* -- The victim ------------------------------------------------------------------------------------- */

/* step_end() traps.  Traced, the tracer gets it; gone on from a stop, nobody does. */
static void on_trap(int number) { (void)number; }

static int victim_call(const struct system *system, void *handle, enum victim_act act, const struct run_key *key,
                       uint8_t *value, size_t bytes, size_t *ret_bytes)
{
    if (act == VICTIM_DELETE)
        return system->del(handle, key->text, key->bytes);
    if (act == VICTIM_GET)
        return system->get(handle, key->text, key->bytes, value, SYSTEM_VALUE_MAX, ret_bytes);
    return system->put(handle, key->text, key->bytes, value, bytes);
}

/* The operation was done before on another key, so that it does not also pay for first uses. */
static void victim_body(void *arg)
{
    static uint8_t value[SYSTEM_VALUE_MAX];
    struct run *run = arg;
    const struct system *system = run->scene->system;
    const struct system_setup setup = { run->name, &run->recoveries };
    void *handle = NULL;
    size_t bytes = 0;
    require(signal(SIGTRAP, on_trap) != SIG_ERR, "signal: %s", strerror(errno));
    require(system->open(&setup, &handle) == 0, "%s: the victim cannot open", system->name);
    scene_warm(run->scene, handle);
    value_make(value, run->act.tag, run->act.bytes);
    struct answer answer = { 0 };
    step_begin();
    answer.code =
        victim_call(system, handle, run->scene->act, &run->scene->keys[RUN_VICTIM], value, run->act.bytes, &bytes);
    step_end();
    if (run->scene->act == VICTIM_GET && answer.code == 0) {
        answer.bytes = bytes;
        if (!value_read(value, bytes, &answer.tag))
            survive_end(run, FOUND_TORN, "the victim's get gave a torn value");
    }
    run->answer = answer;
    run->acked = 1;
    run->progress++;
    system->close(handle);
    _exit(0);
}

/* -- Survivors ------------------------------------------------------------------------------------------ */

static struct watched_process spawn(struct run *run, void (*body)(struct run *run, int waits_for), int waits_for)
{
    run->ready = 0;
    struct watched_process one = { .pid = child_fork() };
    if (one.pid == 0) {
        close(gate[1]);
        close(exit_gate[1]);
        body(run, waits_for);
        _exit(0);
    }
    return one;
}

/* A survivor that says when it is ready. */
static struct watched_process spawn_ready(struct run *run, void (*body)(struct run *run, int waits_for), int waits_for)
{
    struct watched_process one = spawn(run, body, waits_for);
    require(watch_all(&one, 1, &run->progress, &run->ready) == WATCH_ENDED && run->ready,
            "%s: nobody can open beside an idle victim: %s", run->scene->system->name, run->text);
    return one;
}

static void judge_status(struct run *run, int status, const char *who)
{
    if (run->found != FOUND_RIGHT || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return;
    run->found = WIFEXITED(status) ? (enum found)WEXITSTATUS(status) : FOUND_CRASHED;
    if (WIFSIGNALED(status))
        snprintf(run->text, sizeof run->text, "%s died of signal %d", who, WTERMSIG(status));
}

/* Nobody who is blocked is left behind. */
static void reap(struct watched_process *one)
{
    if (one->pid <= 0)
        return;
    kill(one->pid, SIGKILL);
    waitpid(one->pid, &one->status, 0);
    one->pid = 0;
}

/* A process that comes after all that: opens, reads everything, counts what fits. */
static void newcomer(struct run *run)
{
    struct watched_process last = spawn(run, survive_newcomer, -1);
    const enum watch_end end = watch_all(&last, 1, &run->progress, NULL);
    if (end == WATCH_ENDED)
        judge_status(run, last.status, "a newcomer");
    else
        run->blocked = end;
    reap(&last);
}

/* -- The three fates -------------------------------------------------------------------------------------- */

static void after_kill(struct run *run, struct stepper *stepper, struct watched_process *survivor)
{
    step_kill(stepper); /* waited for: what the kernel does for the dead is done */
    close(gate[1]);
    run->blocked = watch_all(survivor, 1, &run->progress, NULL);
    if (run->blocked == WATCH_ENDED)
        judge_status(run, survivor->status, "a survivor");
    reap(survivor);
    if (run->blocked == WATCH_ENDED && run->found == FOUND_RIGHT)
        newcomer(run);
}

/* A stop signal that waits when the tracer lets go is taken before the next instruction. */
static void stop_literally(struct stepper *stepper)
{
    int status = 0;
    require(kill(stepper->pid, SIGSTOP) == 0, "SIGSTOP: %s", strerror(errno));
    step_detach(stepper);
    require(waitpid(stepper->pid, &status, WUNTRACED) == stepper->pid && WIFSTOPPED(status), "not stopped: 0x%x",
            status);
}

static void after_stop(struct run *run, struct stepper *stepper, struct watched_process *survivor)
{
    stop_literally(stepper);
    close(gate[1]);
    run->blocked = watch_all(survivor, 1, &run->progress, NULL);
    struct watched_process both[2] = { *survivor, { .pid = stepper->pid } };
    kill(both[1].pid, SIGCONT);
    const enum watch_end end = watch_all(both, 2, &run->progress, NULL);
    if (end != WATCH_ENDED && run->found == FOUND_RIGHT) {
        run->found = FOUND_FAILED;
        snprintf(run->text, sizeof run->text, "the stopped one went on, and yet somebody waits for ever");
    } else {
        judge_status(run, both[0].status, "a survivor");
        judge_status(run, both[1].status, "the stopped one went on and");
    }
    reap(&both[0]);
    reap(&both[1]);
    *survivor = both[0];
    const enum watch_end blocked = run->blocked;
    if (run->found == FOUND_RIGHT) {
        newcomer(run);
        if (run->blocked != blocked && run->found == FOUND_RIGHT) {
            run->found = FOUND_FAILED;
            snprintf(run->text, sizeof run->text, "the stopped one has ended, and a newcomer waits for ever");
        }
        run->blocked = blocked;
    }
}

static void record_all(struct run *run, struct stepper *stepper, struct trace *record)
{
    require(step_record(stepper, record), "the victim did not come to its end: signal %d after %llu instructions",
            stepper->signal, (unsigned long long)record->n);
    run->instructions = record->n;
    step_release(stepper);
}

void run_once(struct run *run, struct trace *record)
{
    struct stepper stepper;
    scene_restore(run->scene, run->name);
    survive_begin(run);
    watch_begin();
    step_start(&stepper, -1, victim_body, run);
    /* Now: a stopped victim must not hold the writing ends. */
    require(pipe2(gate, O_CLOEXEC) == 0 && pipe2(exit_gate, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
    if (run->fate == FATE_RECORD) {
        record_all(run, &stepper, record);
        return;
    }
    struct watched_process keeper = spawn_ready(run, survive_keeper, exit_gate[0]);
    struct watched_process survivor = spawn_ready(run, survive_veteran, gate[0]);
    run->strayed = !step_to(&stepper, run->trace, run->point);
    require(stepper.signal == 0, "the victim died of signal %d at %s", stepper.signal, step_symbol(stepper.rip));
    if (run->fate == FATE_KILL)
        after_kill(run, &stepper, &survivor);
    else
        after_stop(run, &stepper, &survivor);
    close(exit_gate[1]);
    reap(&keeper);
}
