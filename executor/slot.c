/* A slot's worker process: started, watched through its pidfd, its pipes and its channel, ended as
 * the worker machine says. Callbacks translate; worker.c decides. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"
#include "executor/limits.h"
#include "executor/proc.h"

#define LOG_CAP (16u << 20)      /* bytes kept of a trial's stdout, and of its stderr */
#define LINE_LIMIT 65536u        /* longest line looked at on stdout and stderr */
#define MESSAGE_LIMIT (1u << 20) /* longest message on the channel */
#define REPLY_LIMIT (1u << 20)   /* answers a worker may leave unread */
#define READ_SIZE                                                                                  \
    65536u /* taken from one descriptor in one turn, so that a flood starves nobody                \
            */
#define DRAIN_LIMIT (8u << 20) /* taken after the worker's end */
#define LISTEN_MS 10u          /* after the start of what is expected to be a short trial */
#define EVIDENCE_MS 5000u
#define EVIDENCE_SPARE_MS 500u /* for writing it, on a busy disk */
/* A timer later than that: we were stopped (Ctrl-Z, docker pause), perhaps the worker with us. */
#define ASLEEP_MS 2000u

/* The logs of the trial in this directory; what a worker says after its trial's end still goes
 * there. */
static void open_logs(struct slot *s, int dir)
{
    capture_close(&s->out_log);
    capture_close(&s->err_log);
    cleanup_close(&s->log_dir);
    s->log_dir = dir >= 0 ? fcntl(dir, F_DUPFD_CLOEXEC, 0) : -1;
    capture_init(&s->out_log, s->log_dir, "stdout.log", LOG_CAP);
    capture_init(&s->err_log, s->log_dir, "stderr.log", LOG_CAP);
}

void slot_init(struct slot *s, struct executor *ex, int index)
{
    *s = (struct slot){.ex = ex, .index = index};
    lines_init(&s->out_lines, LINE_LIMIT);
    lines_init(&s->err_lines, LINE_LIMIT);
    lines_init(&s->channel_lines, MESSAGE_LIMIT);
    s->log_dir = -1;
    open_logs(s, -1);
}

void slot_free(struct slot *s)
{
    lines_free(&s->out_lines);
    lines_free(&s->err_lines);
    lines_free(&s->channel_lines);
    buf_free(&s->reply);
    run_unref(s->claimed);
    run_unref(s->run);
}

/* --- ending a trial
 * -------------------------------------------------------------------------------- */

/* gone: there is no worker, and no end of one will follow. */
static void end_trial(struct slot *s, bool gone)
{
    struct run *r = s->run;
    assert(r != NULL && r->ended);
    bool goes_on = s->alive && s->fsm.state == WK_IDLE && s->trials_left > 0;
    s->brisk = executor_now(s->ex) - r->started_ms < BRISK_MS;
    r->took_ms = executor_now(s->ex) - r->started_ms;
    if (r->state == TRIAL_FAIL) /* a good outcome is told once it is stored */
        ended_tell(r);
    executor_feed(s->ex, (struct sw_event){.type = SW_EV_ENDED,
                                           .slot = s->index,
                                           .state = r->state,
                                           .fail = r->fail,
                                           .useful = r->state == TRIAL_FAIL ? ladder_useful(r) : 0,
                                           .goes_on = goes_on,
                                           .gone = gone});
}

void slot_end_trial(struct slot *s)
{
    end_trial(s, false);
}

/* Whether the cgroup counts an OOM kill that no earlier worker explains. */
static bool was_oom_kill(struct executor *ex)
{
    uint64_t before = ex->oom_kills;
    ex->oom_kills = limits_oom_kills("");
    return ex->oom_kills > before;
}

static void conclude_without_result(struct run *r)
{
    int name = (int)strcspn(r->guess, "=");
    char hint[200] = "";
    if (name > 0)
        (void)snprintf(hint, sizeof(hint), "; saw %s: use --metric %.*s?", r->guess, name,
                       r->guess);
    run_fail(r, FAIL_EXIT, "exit 0, but no result: expected a line %.60s=NUMBER on stdout%s",
             r->study->spec->study.metric, hint);
}

/* What a worker that ended without a result leaves to conclude. */
static void conclude(struct slot *s, int status, int sig)
{
    struct run *r = s->run;
    const char *metric = r->study->spec->study.metric;
    char last[200] = "";
    if (r->seen_line[0] != '\0')
        (void)snprintf(last, sizeof(last), "; it said: %.170s", r->seen_line);
    else if (s->tail[0] != '\0')
        (void)snprintf(last, sizeof(last), "; last on stderr: %.170s", s->tail);
    if (s->pruning && s->fsm.reason == WK_STOPPED) {
        run_pruned(r);
    } else if (s->fsm.reason == WK_DEADLOCKED) {
        run_fail(r, FAIL_FORK_DEADLOCK, "%s", s->deadlock.verdict.why);
    } else if (s->fsm.reason == WK_STALLED && s->verdict.kind == VERDICT_PROVEN) {
        run_fail(r, FAIL_FORK_DEADLOCK, "%s", s->verdict.why);
    } else if (s->fsm.reason == WK_STALLED) {
        run_fail(r, FAIL_STALLED, "no progress for %" PRIu64 " s%s", s->fsm.conf.stall_ms / 1000,
                 last);
    } else if (s->fsm.reason == WK_TIMEOUT) {
        run_fail(r, FAIL_TIMEOUT, "over its limit of %" PRIu64 " s%s", s->fsm.conf.trial_ms / 1000,
                 last);
    } else if (s->fsm.reason == WK_STOPPED) {
        run_fail(r, FAIL_PREEMPTED, "stopped with the sweep");
    } else if (status == 0 && r->metric_found && !r->metric_bad) {
        run_complete(r, r->metric);
    } else if (status == 0 && r->prune_wanted && !r->metric_found) {
        run_pruned(r);
    } else if (status == 0 && r->metric_found) {
        run_fail(r, FAIL_NAN, "%s on stdout is no number: saw %s", metric, r->guess);
    } else if (status == 0) {
        conclude_without_result(r);
    } else {
        const struct classify_exit e = {.status = status,
                                        .signal = sig,
                                        .by_us = s->sent_signal,
                                        .output = r->seen,
                                        .oom_killed = sig == SIGKILL && was_oom_kill(s->ex)};
        if (sig != 0)
            run_fail(r, classify_exit(&e), "signal %d (%s)%s", sig, strsignal(sig), last);
        else
            run_fail(r, classify_exit(&e), "exit %d%s", status, last);
    }
}

/* --- the worker machine's wishes
 * --------------------------------------------------------------------- */

static void arm_timer(struct slot *s);
static void listen_now(struct slot *s);

/* Less: a descendant ended that nobody awaited. */
static uint64_t grown(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

static void probe(struct slot *s)
{
    struct proc_usage before = s->usage;
    uint64_t now = executor_now(s->ex), elapsed = now - s->probed_ms;
    proc_tree_usage(s->proc.pid, &s->usage);
    const struct wk_used used = {.cpu_ms = grown(before.cpu_ms, s->usage.cpu_ms),
                                 .page_ins = grown(before.page_ins, s->usage.page_ins),
                                 .storage_bytes =
                                     grown(before.storage_bytes, s->usage.storage_bytes),
                                 .call_bytes = grown(before.call_bytes, s->usage.call_bytes)};
    s->probed_ms = now;
    if (wk_progressed(&used, elapsed))
        slot_feed(s, WK_EV_ACTIVITY);
}

/* It is known what there is of the evidence: in the trial's row, and as an event. */
static void tell_evidence(struct run *r, const struct evidence_result *e)
{
    const struct verdict *v = &e->verdict;
    AUTO_FREE char *file = NULL;
    if (asprintf(&file, "%s/evidence.json", r->dir) < 0)
        file = NULL;
    log_event(e->saved ? LOG_INFO : LOG_ERROR, "evidence_saved",
              LOG_TEXT("study", r->study->view.name), LOG_INT("trial", r->number),
              LOG_FLAG("saved", e->saved), LOG_FLAG("whole", e->whole), LOG_TEXT("file", file),
              LOG_TEXT("error", e->error[0] != '\0' ? e->error : NULL),
              LOG_TEXT("deadlock", verdict_name(v->kind)),
              LOG_TEXT("why", v->why[0] != '\0' ? v->why : NULL), LOG_INT("ms", e->took_ms));
    if (!e->saved || file == NULL || r->ended)
        return;
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    (void)json_object_set_new(r->new_attrs, ATTR_EVIDENCE, json_string(file));
}

static void on_evidence(void *ctx, const struct evidence_result *e)
{
    struct slot *s = ctx;
    s->evidence = NULL;
    s->verdict = e->verdict;
    tell_evidence(s->hung, e);
    run_unref(TAKE(s->hung));
    slot_feed(s, WK_EV_EVIDENCE);
}

/* The worker is over: what came too late is not waited for. */
static void end_evidence(struct slot *s)
{
    struct evidence_result e;
    if (s->evidence == NULL)
        return;
    evidence_cancel(TAKE(s->evidence), &e);
    tell_evidence(s->hung, &e);
    run_unref(TAKE(s->hung));
}

/* A thread of its own writes it down; the machine waits so long, not the loop. */
static void save_evidence(struct slot *s)
{
    struct run *r = s->run;
    uint64_t idle = executor_now(s->ex) - s->fsm.active_ms;
    const char *reason = s->fsm.reason == WK_TIMEOUT      ? "timeout"
                         : s->fsm.reason == WK_DEADLOCKED ? "deadlock"
                                                          : "stalled";
    log_event(LOG_ERROR, "trial_stalled", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_INT("pid", s->proc.pid), LOG_INT("idle_ms", idle),
              LOG_TEXT("reason", reason));
    json_t *about = json_pack("{s:s, s:I, s:s, s:I}", "study", r->study->view.name, "trial",
                              (json_int_t)r->number, "reason", reason, "idle_ms", (json_int_t)idle);
    const struct verdict unknown = {0},
                         known = s->fsm.reason == WK_DEADLOCKED ? s->deadlock.verdict : unknown;
    s->hung = r;
    r->refs++;
    s->evidence = evidence_start(&s->ex->loop, s->proc.pid, r->dir_fd, about, &known,
                                 EVIDENCE_MS - EVIDENCE_SPARE_MS, on_evidence, s);
    if (s->evidence == NULL) {
        const struct evidence_result none = {.error = "out of memory or descriptors"};
        on_evidence(s, &none);
    }
}

static void send_signal(struct slot *s, int sig)
{
    s->sent_signal = true;
    if (sig == SIGKILL)
        log_event(LOG_WARNING, "worker_killed", LOG_INT("pid", s->proc.pid),
                  LOG_INT("slot", s->index));
    proc_kill_tree(s->proc.pid, sig);
}

void slot_prune(struct slot *s)
{
    s->pruning = true;
    slot_feed(s, WK_EV_STOP);
}

static void feed(struct slot *s, enum wk_event_type type, uint64_t for_ms)
{
    if (!s->alive)
        return;
    unsigned todo = wk_step(&s->fsm, (struct wk_event){type, executor_now(s->ex), for_ms});
    if (todo & WK_DO_PROBE)
        probe(s);
    if (todo & WK_DO_LOOK)
        deadlock_look(s);
    if (todo & WK_DO_EVIDENCE)
        save_evidence(s);
    if (todo & WK_DO_TERM)
        send_signal(s, SIGTERM);
    if (todo & WK_DO_KILL)
        send_signal(s, SIGKILL);
    if (todo & WK_DO_REAP)
        (void)kill(-s->proc.pid,
                   SIGKILL); /* before the leader is collected: the group's number is ours */
    if (type != WK_EV_ACTIVITY)
        arm_timer(
            s); /* activity only moves deadlines away: the timer finds that out when it fires */
}

void slot_feed(struct slot *s, enum wk_event_type type)
{
    feed(s, type, 0);
}

void slot_feed_stuck(struct slot *s, uint64_t for_ms)
{
    feed(s, WK_EV_STUCK, for_ms);
}

static void on_timer(uv_timer_t *t)
{
    struct slot *s = CONTAINER_OF(t, struct slot, timer);
    if (executor_now(s->ex) > s->timer_due_ms + ASLEEP_MS)
        slot_feed(s, WK_EV_ACTIVITY); /* silence proves nothing while nobody listened */
    if (s->deaf)
        listen_now(s);
    slot_feed(s, WK_EV_TICK);
}

static void arm_timer(struct slot *s)
{
    uint64_t due = wk_due(&s->fsm), now = executor_now(s->ex);
    if (s->deaf && s->listen_ms < due)
        due = s->listen_ms;
    s->timer_due_ms = due > now ? due : now;
    if (due == UINT64_MAX)
        (void)uv_timer_stop(&s->timer);
    else
        (void)uv_timer_start(&s->timer, on_timer, due > now ? due - now : 1, 0);
}

/* --- reading
 * --------------------------------------------------------------------------------------- */

void slot_classify(struct slot *s, const char *line, size_t n)
{
    struct run *r = s->run;
    if (r == NULL)
        return;
    const struct spec *spec = r->study->spec;
    enum fail_class found = classify_line(line, n);
    for (size_t i = 0; i < spec->n_patterns; i++) {
        if (classify_match(spec->patterns[i].text, line, n))
            found = classify_stronger(found, spec->patterns[i].fail);
    }
    enum fail_class seen = classify_stronger(r->seen, found);
    if (seen != r->seen)
        (void)snprintf(r->seen_line, sizeof(r->seen_line), "%.*s", (int)(n < 190 ? n : 190), line);
    r->seen = seen;
}

static int stderr_line(void *ctx, const char *line, size_t n)
{
    struct slot *s = ctx;
    slot_classify(s, line, n);
    if (n > 0)
        (void)snprintf(s->tail, sizeof(s->tail), "%.*s",
                       (int)(n < sizeof(s->tail) ? n : sizeof(s->tail) - 1), line);
    return 0;
}

/* Reads once; returns the number of bytes, 0 at the end, negative when there is nothing now. */
static ssize_t take(struct slot *s, int fd, struct capture *log, struct lines *lines, line_fn *fn)
{
    char data[READ_SIZE];
    ssize_t n = read(fd, data, sizeof(data));
    if (n > 0) {
        if (log != NULL)
            capture_write(log, data, (size_t)n);
        (void)lines_feed(lines, data, (size_t)n, fn, s);
    }
    return n < 0 && errno != EAGAIN && errno != EINTR ? 0 : n;
}

/* The descriptors of a worker, as the watch set knows them: by slot and life. */
enum fd_of { FD_EXIT, FD_OUT, FD_ERR, FD_CHANNEL, FDS };

static uint64_t key_of(const struct slot *s, enum fd_of which)
{
    return (uint64_t)s->life << 32 | ((uint64_t)s->index * FDS + which);
}

/* A descriptor that became readable. Returns whether it has ended: not while we hold the other side
 * (SPAWN_HOLD), but a socket can be shut down. */
static bool pump(struct slot *s, int fd, struct capture *log, struct lines *lines, line_fn *fn)
{
    ssize_t n = take(s, fd, log, lines, fn);
    if (n > 0 && s->alive)
        slot_feed(s, WK_EV_ACTIVITY);
    return n == 0;
}

static void send_replies(struct slot *s)
{
    while (s->reply.len > 0) {
        ssize_t n = send(s->proc.channel, s->reply.data, s->reply.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            buf_clear(&s->reply); /* it shut its side: nobody will ever read this */
        if (n <= 0)
            break;
        buf_consume(&s->reply, (size_t)n);
    }
    bool waits = s->reply.len > 0;
    if (waits != s->reply_waits)
        watchset_change(&s->ex->workers, s->proc.channel, key_of(s, FD_CHANNEL),
                        EPOLLIN | (waits ? EPOLLOUT : 0));
    s->reply_waits = waits;
}

static void tell_trial(struct slot *s);

/* It says no more, but may read what it was answered. */
static void on_channel_end(struct slot *s)
{
    send_replies(s);
    watchset_change(&s->ex->workers, s->proc.channel, key_of(s, FD_CHANNEL),
                    s->reply_waits ? EPOLLOUT : 0);
}

static void hear_channel(struct slot *s)
{
    s->hearing = true;
    bool ended = pump(s, s->proc.channel, NULL, &s->channel_lines, message_line);
    s->hearing = false;
    if (ended)
        on_channel_end(s);
    if (s->channel_lines.dropped > 0)
        message_dropped(s);
    if (s->untold)
        tell_trial(s);
}

static void on_channel(struct slot *s, uint32_t events)
{
    if ((events & EPOLLOUT) != 0)
        send_replies(s);
    forks_hello(s);
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        hear_channel(s);
}

void slot_say(struct slot *s, const char *line)
{
    if (!s->alive)
        return;
    if (s->reply.len > REPLY_LIMIT) {
        /* it asks and asks and never reads: it cannot be served */
        buf_clear(&s->reply);
        if (s->run != NULL)
            run_fail(s->run, FAIL_EXIT, "the worker does not read its channel");
        slot_feed(s, WK_EV_STOP);
        return;
    }
    buf_puts(&s->reply, line);
    buf_putc(&s->reply, '\n');
    send_replies(s);
}

/* --- the end of the process
 * ------------------------------------------------------------------------- */

static void drain(struct slot *s, int fd, struct capture *log, struct lines *lines, line_fn *fn)
{
    size_t taken = 0;
    for (ssize_t n; taken < DRAIN_LIMIT && (n = take(s, fd, log, lines, fn)) > 0;)
        taken += (size_t)n;
    (void)lines_end(lines, fn, s);
}

void slot_hear_output(struct slot *s)
{
    drain(s, s->proc.out_fd, &s->out_log, &s->out_lines, stdout_line);
    drain(s, s->proc.err_fd, &s->err_log, &s->err_lines, stderr_line);
}

/* Collects the process; the raw call, because the wrapper does not tell its resource usage. */
static void collect(struct slot *s, int *status, int *sig)
{
    siginfo_t info = {0};
    struct rusage used = {0};
    while (syscall(SYS_waitid, P_PIDFD, s->proc.pidfd, &info, WEXITED, &used) < 0 && errno == EINTR)
        ;
    *status = info.si_code == CLD_EXITED ? info.si_status : -1;
    *sig = info.si_code == CLD_EXITED ? 0 : info.si_status;
    uint64_t rss = (uint64_t)used.ru_maxrss * 1024;
    if (rss > s->ex->largest_rss)
        s->ex->largest_rss = rss;
}

static void on_process_end(struct slot *s)
{
    int status, sig;
    slot_feed(s, WK_EV_EXIT);
    collect(s, &status, &sig);
    forks_hello(s);
    forks_take_last(s);
    /* what it said last is in the pipes; a descendant that holds them open is not waited for */
    drain(s, s->proc.channel, NULL, &s->channel_lines, message_line);
    if (s->channel_lines.dropped > 0)
        message_dropped(s);
    slot_hear_output(s);
    s->alive = false;
    guardian_tell(&s->ex->guardian, s->index, 0);
    end_evidence(s);
    deadlock_end(s);
    forks_end(s);
    (void)uv_timer_stop(&s->timer);
    spawn_close(&s->proc);
    open_logs(s, -1);
    if (s->run != NULL) {
        conclude(s, status, sig); /* nothing if the channel told the outcome just now */
        slot_end_trial(s);
    }
    orphans_soon(s->ex);
    executor_feed(s->ex, (struct sw_event){.type = SW_EV_GONE, .slot = s->index});
}

void slot_ready(void *ctx, uint64_t key, uint32_t events)
{
    struct executor *ex = ctx;
    struct slot *s = &ex->slots[(uint32_t)key / FDS];
    if (!s->alive || s->life != key >> 32)
        return; /* it is about a process that was over before */
    switch ((enum fd_of)((uint32_t)key % FDS)) {
    case FD_EXIT:
        on_process_end(s);
        break;
    case FD_OUT:
        if (pump(s, s->proc.out_fd, &s->out_log, &s->out_lines, stdout_line))
            watchset_change(&ex->workers, s->proc.out_fd, key, 0);
        break;
    case FD_ERR:
        if (pump(s, s->proc.err_fd, &s->err_log, &s->err_lines, stderr_line))
            watchset_change(&ex->workers, s->proc.err_fd, key, 0);
        break;
    case FD_CHANNEL:
        on_channel(s, events);
        break;
    case FDS:
        break;
    }
}

/* --- starting
 * ---------------------------------------------------------------------------------------- */

static int watch(struct slot *s, enum fd_of which, int fd, struct err *err)
{
    return watchset_add(&s->ex->workers, fd, key_of(s, which), EPOLLIN, err);
}

static int watch_output(struct slot *s, struct err *err)
{
    int rc = watch(s, FD_OUT, s->proc.out_fd, err);
    return rc < 0 ? rc : watch(s, FD_ERR, s->proc.err_fd, err);
}

/* A short trial's output is read at its end, which wakes the loop in any case; a pipe holds what it
 * may print until it is known to be a longer one. */
static int watch_worker(struct slot *s, struct err *err)
{
    s->reply_waits = false;
    s->deaf = s->brisk;
    s->listen_ms = executor_now(s->ex) + LISTEN_MS;
    int rc = watch(s, FD_EXIT, s->proc.pidfd, err);
    if (rc == 0)
        rc = watch(s, FD_CHANNEL, s->proc.channel, err);
    return rc < 0 || s->deaf ? rc : watch_output(s, err);
}

/* It has turned out to be no short trial. */
static void listen_now(struct slot *s)
{
    struct err err;
    s->deaf = watch_output(s, &err) < 0; /* no room for it now: with the next timer */
    s->listen_ms = executor_now(s->ex) + ASLEEP_MS;
}

unsigned slot_spawn_flags(const struct slot *s)
{
    return SPAWN_HOLD | (forks_watched(s->ex) ? SPAWN_WATCH_FORKS : 0);
}

/* A new process in the slot; what the last one left half-said is forgotten. */
static void begin_life(struct slot *s, struct study *st)
{
    const struct wk_conf conf = {.stall_ms = st->spec->watch.stall_ms,
                                 .deadlock_ms = st->spec->watch.deadlock_ms,
                                 .trial_ms = st->spec->watch.trial_ms,
                                 .grace_ms = st->spec->watch.grace_ms,
                                 .evidence_ms = EVIDENCE_MS,
                                 .only_tell = st->spec->watch.only_tell};
    lines_free(&s->out_lines);
    lines_free(&s->err_lines);
    lines_free(&s->channel_lines);
    lines_init(&s->out_lines, LINE_LIMIT);
    lines_init(&s->err_lines, LINE_LIMIT);
    lines_init(&s->channel_lines, MESSAGE_LIMIT);
    buf_clear(&s->reply);
    s->tail[0] = '\0';
    s->study = st;
    s->alive = true;
    guardian_tell(&s->ex->guardian, s->index, s->proc.pid);
    s->sent_signal = false;
    s->complained = false;
    s->verdict = (struct verdict){0};
    s->usage = (struct proc_usage){0};
    s->trials_left = (int)st->spec->run.trials_per_worker;
    deadlock_begin(s);
    forks_begin(s, (slot_spawn_flags(s) & SPAWN_WATCH_FORKS) != 0);
    wk_init(&s->fsm, &conf, executor_now(s->ex));
}

static void say_trial(struct slot *s, const struct run *r)
{
    const struct spec_trial t = run_spec_trial(r);
    struct buf b = BUF_INIT;
    buf_printf(&b,
               "{\"op\":\"trial\",\"number\":%" PRId64 ",\"trial_id\":%" PRId64 ",\"seed\":%" PRIu32
               ",\"dir\":",
               r->number, r->id, r->seed);
    json_put_string(&b, r->dir);
    buf_puts(&b, ",\"params\":");
    spec_put_params(&b, r->study->spec, &t);
    buf_putc(&b, '}');
    slot_say(s, buf_str(&b));
    buf_free(&b);
}

/* A worker that goes on learns of its next trial. What is in the channel until then was said before
 * it could know of it, and is nobody's. */
static void tell_trial(struct slot *s)
{
    char said[READ_SIZE];
    s->untold = false;
    for (size_t n = 0; n < DRAIN_LIMIT; n += sizeof(said)) {
        if (read(s->proc.channel, said, sizeof(said)) <= 0)
            break;
    }
    lines_free(&s->channel_lines);
    lines_init(&s->channel_lines, MESSAGE_LIMIT);
    say_trial(s, s->run);
}

/* The slot could not run its trial: it fails with the reason, and the slot is free again. */
static void start_failed(struct slot *s, const struct err *err)
{
    /* the machine was short of something: that says nothing about the trial */
    bool shortage =
        err->sys == EAGAIN || err->sys == EMFILE || err->sys == ENFILE || err->sys == ENOMEM;
    run_fail(s->run, shortage ? FAIL_LOST : FAIL_EXIT, "%s", err->msg);
    end_trial(s, true);
}

/* While a short trial runs, the process for the next one is started: between the two nothing is
 * left to do but an exec. One that cannot be started is not missed. */
static void start_spare(struct slot *s)
{
    struct err err;
    if (s->brisk && s->trials_left == 0 && s->spare.pid == 0)
        (void)spawn_begin(&s->spare, s->ex->stub, slot_spawn_flags(s), &err);
}

void slot_drop_spare(struct slot *s)
{
    spawn_abandon(&s->spare);
}

void slot_start(struct slot *s)
{
    struct run *r = TAKE(s->claimed);
    struct err err = {0};
    bool reused = s->alive;
    s->run = r;
    r->started_ms = executor_now(s->ex);
    int rc = run_sample(r, &err);
    if (rc == 0)
        rc = run_write_params(r, &err);
    if (rc == 0 && !reused) {
        s->life++;
        rc = launch_worker(&s->proc, s, r, &err);
        if (rc == 0 && (rc = watch_worker(s, &err)) < 0)
            spawn_abandon(&s->proc);
        if (rc == 0)
            begin_life(s, r->study);
    }
    record_start(r);
    if (rc < 0 && reused) {
        run_fail(r, FAIL_EXIT, "%s", err.msg);
        slot_feed(s, WK_EV_STOP);
        slot_end_trial(s);
        return;
    }
    if (rc < 0) {
        start_failed(s, &err);
        return;
    }
    open_logs(s, r->dir_fd);
    s->pruning = false;
    s->trials_left--;
    s->probed_ms = r->started_ms;
    log_event(LOG_DEBUG, "trial_start", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_INT("pid", s->proc.pid), LOG_INT("slot", s->index));
    slot_feed(s, WK_EV_TRIAL);
    s->untold = reused;
    if (reused && !s->hearing)
        tell_trial(s);
    capture_open(&s->out_log); /* not when the output comes, which may be the trial's end */
    start_spare(s);
}

void slot_release(struct slot *s)
{
    slot_say(s, "{\"op\":\"stop\"}");
    slot_feed(s, WK_EV_RELEASE);
}
