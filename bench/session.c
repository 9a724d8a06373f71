/* SPDX-License-Identifier: MIT
 *
 * One session: parent, host, workers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "session.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "weigh.h"

#define LINE 128 /* two cache lines: adjacent ones are prefetched in pairs */

/* Else the index of a workload, and JOB_TIMED more where each call is timed. */
enum { JOB_WARM = -1, JOB_END = -2, JOB_TIMED = WORKLOADS_N };

/* The page that parent, host and workers share. */
struct share {
    _Alignas(LINE) _Atomic uint32_t phase; /* host: number of the job that may start */
    int job;                               /* host, before it raises phase */
    _Alignas(LINE) _Atomic uint32_t lined; /* workers: at the start line, all phases added up */
    _Alignas(LINE) _Atomic uint32_t done;  /* workers: jobs finished, added up */
    _Atomic uint32_t failed;               /* a worker gave up; its slot says why */
    _Atomic uint64_t writes;               /* REOPEN: the worker, up to its death */
    struct {
        _Alignas(LINE) struct tally tally; /* the worker, before it raises done */
        char error[160];
        uint64_t aside;             /* memory that is the harness's: of keys that it may write */
        struct histogram histogram; /* the same; zeroed by the host before */
    } slot[SESSION_WORKERS_MAX];
    _Alignas(LINE) struct session_result result; /* host */
};

struct member {
    const struct session *session;
    const struct driver_setup *setup;
    struct share *share;
    void *host;
    unsigned index;
};

static void nap_us(long us)
{
    struct timespec span = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    nanosleep(&span, NULL);
}

/* -- Workers --------------------------------------------------------------------- */

/* Sleep until the host opens the phase, so that a waiting worker takes no time from one that still works;
 * then meet the others spinning, so that all start within a microsecond or so. */
static int barrier(struct share *share, uint32_t phase, unsigned workers_n)
{
    while (atomic_load(&share->phase) < phase)
        nap_us(50);
    atomic_fetch_add(&share->lined, 1);
    for (unsigned spins = 0; atomic_load(&share->lined) < phase * workers_n; spins++)
        if (spins % 1024 == 1023)
            sched_yield();
    return share->job;
}

static int worker_job(const struct member *member, struct worker *worker, int job)
{
    struct share *share = member->share;
    struct tally tally = { 0 };
    int result;
    if (job == JOB_WARM)
        return workload_warm(worker);
    const struct workload *workload = &workloads[job % WORKLOADS_N];
    if (workload->kind == WORKLOAD_REOPEN)
        return workload_write_on(worker, &share->writes);
    result = workload_run(worker, workload, member->session->seconds,
                          job >= JOB_TIMED ? &share->slot[member->index].histogram : NULL, &tally);
    share->slot[member->index].tally = tally;
    return result;
}

static int worker_jobs(const struct member *member, void *handle)
{
    const struct session *session = member->session;
    struct share *share = member->share;
    struct worker worker;
    if (worker_init(&worker, session->driver, handle, session->set, member->setup, member->index) != 0)
        return DRIVER_FAILED;
    share->slot[member->index].aside = keyset_bytes(&worker.part);
    int result = 0;
    for (uint32_t phase = 1; result == 0; phase++) {
        int job = barrier(share, phase, session->workers_n);
        if (job == JOB_END)
            break;
        result = worker_job(member, &worker, job);
        if (result == 0)
            atomic_fetch_add(&share->done, 1);
    }
    worker_done(&worker);
    return result;
}

static void worker_main(const struct member *member)
{
    struct share *share = member->share;
    void *handle = NULL;
    int result = member->session->driver->open(member->setup, member->host, &handle);
    if (result == 0) {
        result = worker_jobs(member, handle);
        if (result == 0)
            member->session->driver->close(handle);
    }
    if (result != 0) {
        char *error = share->slot[member->index].error;
        snprintf(error, sizeof share->slot[0].error, "%s", driver_fail_text());
        atomic_store(&share->failed, 1);
    }
}

static void *worker_thread(void *arg)
{
    worker_main(arg);
    return NULL;
}

/* Gone with the process above, however that ends. */
static void die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

/* -- The host -------------------------------------------------------------------- */

struct host {
    const struct session *session;
    const struct driver_setup *setup;
    struct share *share;
    void *table;
    struct member members[SESSION_WORKERS_MAX];
    pthread_t threads[SESSION_WORKERS_MAX];
    pid_t pids[SESSION_WORKERS_MAX]; /* of workers that are processes */
    uint32_t phase;
    double rss_before;
};

static int host_error(const struct host *host, const char *text)
{
    snprintf(host->share->result.error, sizeof host->share->result.error, "%s", text);
    return -1;
}

static int host_start(struct host *host)
{
    pid_t self = getpid();
    for (unsigned i = 0; i < host->session->workers_n; i++) {
        struct member *member = &host->members[i];
        *member = (struct member){ host->session, host->setup, host->share, host->table, i };
        if (host->session->driver->workers == DRIVER_THREADS) {
            if (pthread_create(&host->threads[i], NULL, worker_thread, member) != 0)
                return host_error(host, "cannot create a thread");
            continue;
        }
        pid_t pid = fork();
        if (pid < 0)
            return host_error(host, "cannot fork a worker");
        if (pid == 0) {
            die_with_parent(self);
            worker_main(member);
            _exit(0);
        }
        host->pids[i] = pid;
    }
    return 0;
}

/* Did a worker give up, or die without a word?  -1 with the error set. */
static int host_look(const struct host *host)
{
    struct share *share = host->share;
    if (atomic_load(&share->failed)) {
        for (unsigned i = 0; i < host->session->workers_n; i++)
            if (share->slot[i].error[0])
                return host_error(host, share->slot[i].error);
    }
    int status;
    if (waitpid(-1, &status, WNOHANG) <= 0)
        return 0;
    char text[80];
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "a worker was killed by signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "a worker ended with status %d", WEXITSTATUS(status));
    /* Its own reason may have come between the two looks. */
    for (unsigned i = 0; i < host->session->workers_n; i++)
        if (share->slot[i].error[0])
            return host_error(host, share->slot[i].error);
    return host_error(host, text);
}

static int is_by_count(const struct workload *workload)
{
    return workload->kind == WORKLOAD_INSERT || workload->kind == WORKLOAD_DELETE;
}

/* Let all workers do one job and wait for them. */
static int host_job(struct host *host, int job)
{
    struct share *share = host->share;
    uint32_t phase = ++host->phase;
    share->job = job;
    atomic_store(&share->phase, phase);
    if (job >= 0 && !is_by_count(&workloads[job % WORKLOADS_N]))
        nap_us((long)(host->session->seconds * 1e6));
    while (atomic_load(&share->done) < phase * host->session->workers_n) {
        if (host_look(host) != 0)
            return -1;
        nap_us(1000); /* a wake-up per ms costs the workers less than 1 % */
    }
    return 0;
}

static void host_count(const struct host *host, int job)
{
    uint64_t ops = 0;
    int64_t start = INT64_MAX, end = INT64_MIN, cpu = 0;
    for (unsigned i = 0; i < host->session->workers_n; i++) {
        const struct tally *tally = &host->share->slot[i].tally;
        ops += tally->ops;
        cpu += tally->cpu_ns;
        start = tally->start_ns < start ? tally->start_ns : start;
        end = tally->end_ns > end ? tally->end_ns : end;
    }
    host->share->result.cell[job].ops = ops;
    host->share->result.cell[job].seconds = (double)(end - start) * 1e-9;
    host->share->result.cell[job].cpu_seconds = (double)cpu * 1e-9;
}

/* The same workload once more, each call by the clock. */
static int host_time(struct host *host, int job)
{
    struct histogram all = { 0 };
    for (unsigned i = 0; i < host->session->workers_n; i++)
        host->share->slot[i].histogram = (struct histogram){ 0 };
    if (host_job(host, JOB_TIMED + job) != 0)
        return -1;
    for (unsigned i = 0; i < host->session->workers_n; i++)
        histogram_merge(&all, &host->share->slot[i].histogram);
    host->share->result.cell[job].timed_n = all.n;
    for (int point = 0; point < LATENCY_POINTS; point++)
        host->share->result.cell[job].latency_ns[point] = histogram_point(&all, (enum latency_point)point);
    return 0;
}

/* After the inserts, before anything is replaced. */
static int host_weigh(const struct host *host)
{
    const struct keyset *set = host->session->set;
    double bytes;
    if (host->session->driver->memory == DRIVER_MEMORY_OWN) {
        bytes = host->session->driver->weigh(host->table);
    } else if (host->session->driver->memory == DRIVER_MEMORY_FILE) {
        bytes = weigh_file(host->setup->path);
        if (bytes < 0)
            return host_error(host, "the table has no file at its path");
    } else {
        bytes = weigh_resident() - host->rss_before;
        for (unsigned i = 0; i < host->session->workers_n; i++)
            bytes -= (double)host->share->slot[i].aside;
    }
    double payload = (double)set->keys_n * (double)(set->key_bytes + set->value_bytes);
    host->share->result.bytes_per_entry = (bytes - payload) / (double)set->keys_n;
    host->share->result.huge_bytes = weigh_huge();
    return 0;
}

/* -- Reopen: the worker dies while it writes, and another one comes -- */

static void reopen_main(const struct host *host)
{
    struct share *share = host->share;
    struct worker worker;
    uint64_t lost = 0;
    if (worker_init(&worker, host->session->driver, NULL, host->session->set, host->setup, 0) != 0 ||
        workload_reopen(&worker, host->setup, &share->slot[0].tally, &lost) != 0)
        snprintf(share->slot[0].error, sizeof share->slot[0].error, "%s", driver_fail_text());
    share->result.lost = lost;
}

static int host_reopen(struct host *host, int job)
{
    struct share *share = host->share;
    pid_t self = getpid();
    int status;
    share->job = job;
    atomic_store(&share->phase, ++host->phase);
    while (atomic_load(&share->writes) < host->session->set->keys_n / 8 + 1) {
        if (host_look(host) != 0)
            return -1;
        nap_us(1000);
    }
    kill(host->pids[0], SIGKILL);
    waitpid(host->pids[0], &status, 0);
    pid_t other = fork();
    if (other == 0) {
        die_with_parent(self);
        reopen_main(host);
        _exit(0);
    }
    if (other < 0 || waitpid(other, &status, 0) != other || status != 0)
        return host_error(host, "the process that opened behind a kill died itself");
    if (share->slot[0].error[0])
        return host_error(host, share->slot[0].error);
    host_count(host, job);
    return 0;
}

static int is_offered(const struct host *host, int job)
{
    const struct session *session = host->session;
    switch (workloads[job].kind) {
    case WORKLOAD_SYNC:
        return session->driver->sync != NULL;
    case WORKLOAD_REOPEN:
        return session->driver->workers == DRIVER_PROCESSES && session->workers_n == 1;
    default:
        return 1;
    }
}

/* 1: the workers have ended. */
static int host_jobs(struct host *host)
{
    for (int job = 0; job < WORKLOADS_N; job++) {
        int filling = workloads[job].kind == WORKLOAD_INSERT;
        if (!filling && (!host->session->chosen[job] || !is_offered(host, job)))
            continue;
        if (workloads[job].kind == WORKLOAD_REOPEN)
            return host_reopen(host, job) != 0 ? -1 : 1;
        if (host_job(host, job) != 0)
            return -1;
        host_count(host, job);
        if (filling && (host_weigh(host) != 0 || host_job(host, JOB_WARM) != 0))
            return -1;
        if (host->session->timed[job] && !is_by_count(&workloads[job]) && host_time(host, job) != 0)
            return -1;
    }
    return 0;
}

static int host_end(struct host *host)
{
    host->share->job = JOB_END;
    atomic_store(&host->share->phase, ++host->phase);
    for (unsigned i = 0; i < host->session->workers_n; i++) {
        int status = 0;
        if (host->session->driver->workers == DRIVER_THREADS)
            pthread_join(host->threads[i], NULL);
        else if (wait(&status) < 0 || status != 0)
            return host_error(host, "a worker died while it closed its handle");
    }
    return 0;
}

static int host_main(const struct session *session, const struct driver_setup *setup, struct share *share)
{
    static struct host host; /* one a process */
    host = (struct host){ .session = session, .setup = setup, .share = share, .rss_before = weigh_resident() };
    if (session->driver->open(setup, NULL, &host.table) != 0)
        return host_error(&host, driver_fail_text());
    int jobs = host_start(&host) == 0 ? host_jobs(&host) : -1;
    if (jobs < 0 || (jobs == 0 && host_end(&host) != 0))
        return -1;
    session->driver->close(host.table);
    return 0;
}

/* -- The process above ------------------------------------------------------------- */

static sigset_t signals_before;

static sigset_t signals_waited(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void session_prepare(void)
{
    sigset_t set = signals_waited();
    sigprocmask(SIG_BLOCK, &set, &signals_before);
    (void)latency_clock_ns(); /* the workers know it from here */
}

/* Wait for the host to end: its status, or -1 = the time is over, -2 = a signal asks us to end.  Whatever is
 * left of the host and its workers is killed. */
static int wait_for_host(pid_t host, double limit_seconds)
{
    sigset_t set = signals_waited();
    int64_t deadline = workload_clock_ns() + (int64_t)(limit_seconds * 1e9);
    int status = 0, ended = 0, answer = -1;
    while (!ended) {
        int64_t left = deadline - workload_clock_ns();
        if (left <= 0)
            break;
        struct timespec span = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
        int signal_n = sigtimedwait(&set, NULL, &span);
        if (signal_n == SIGINT || signal_n == SIGTERM) {
            answer = -2;
            break;
        }
        if (waitpid(host, &status, WNOHANG) == host) {
            ended = 1;
            answer = status;
        }
    }
    kill(-host, SIGKILL);
    if (!ended)
        waitpid(host, &status, 0);
    return answer;
}

static double time_limit(const struct session *session)
{
    double slow = session->driver->group == DRIVER_ON_DISK ? 4 : 1; /* disks, that others use too */
    return slow * (60.0 + (double)session->set->keys_n / 20000.0 + session->seconds * WORKLOADS_N * 8);
}

static int in_host(const struct session *session, const struct driver_setup *setup, struct share *share, pid_t parent)
{
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &signals_before, NULL);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* huge pages for none; what comes all the same, weigh_huge() shows */
    die_with_parent(parent);
    return host_main(session, setup, share) == 0 ? 0 : 1;
}

static int judge(const struct session *session, int status, struct session_result *result)
{
    if (status == -2)
        return -1;
    if (status == 0 && !result->error[0])
        return 0;
    if (status == -1)
        snprintf(result->error, sizeof result->error, "not done after %.0f s", time_limit(session));
    else if (WIFSIGNALED(status))
        snprintf(result->error, sizeof result->error, "killed by signal %d", WTERMSIG(status));
    else if (!result->error[0])
        snprintf(result->error, sizeof result->error, "ended with status %d", WEXITSTATUS(status));
    return 1;
}

int session_run(const struct session *session, struct session_result *ret_result)
{
    char name[48], path[280];
    snprintf(name, sizeof name, "shoal-bench-%ld", (long)getpid());
    snprintf(path, sizeof path, "%.200s/%s", session->directory, name);
    const struct driver_setup setup = {
        name, path, session->set->keys_n, session->workers_n, session->set->key_bytes, session->set->value_bytes
    };
    *ret_result = (struct session_result){ 0 };
    struct share *share = mmap(NULL, sizeof *share, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (share == MAP_FAILED) {
        snprintf(ret_result->error, sizeof ret_result->error, "no memory for the shared page");
        return 1;
    }
    if (session->driver->unlink)
        session->driver->unlink(&setup);
    fflush(NULL);
    pid_t parent = getpid(), host = fork();
    if (host == 0)
        _exit(in_host(session, &setup, share, parent));
    int answer = 1;
    if (host < 0) {
        snprintf(ret_result->error, sizeof ret_result->error, "cannot fork the host");
    } else {
        setpgid(host, host); /* also here: the kill below must never find no group */
        int status = wait_for_host(host, time_limit(session));
        *ret_result = share->result;
        answer = judge(session, status, ret_result);
    }
    if (session->driver->unlink)
        session->driver->unlink(&setup);
    munmap(share, sizeof *share);
    return answer;
}
