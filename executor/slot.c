/* A slot: trials start in it and end in it, and so does the worker process that runs them. What the
 * process says goes through pipes.c, when it is to end is worker_shell.c's business. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

void slot_init(struct slot *s, struct executor *ex, int index)
{
    *s = (struct slot){.ex = ex, .index = index};
    pipes_init(s);
}

void slot_free(struct slot *s)
{
    pipes_free(s);
    run_unref(s->claimed);
    run_unref(s->run);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* gone: there is no worker, and no end of one will follow. */
static void end_trial(struct slot *s, bool gone)
{
    struct run *r = s->run;
    assert(r != NULL && r->ended);
    bool goes_on = s->alive && s->fsm.state == WK_IDLE && s->trials_left > 0;
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

/* The process is no more, and nothing is to be heard of it. */
static void end_life(struct slot *s)
{
    s->alive = false;
    guardian_tell(&s->ex->guardian, s->index, 0);
    hang_end(s);
    deadlock_end(s);
    forks_end(s);
    (void)uv_timer_stop(&s->timer);
    spawn_close(&s->proc);
    pipes_log_to(s, -1);
}

void slot_on_exit(struct slot *s)
{
    int status, sig;
    slot_feed(s, WK_EV_EXIT);
    collect(s, &status, &sig);
    forks_hello(s);
    forks_take_last(s);
    pipes_drain(s); /* a descendant that holds them open is not waited for */
    end_life(s);
    if (s->run != NULL) {
        conclude_exit(s, status, sig); /* nothing if the channel told the outcome just now */
        slot_end_trial(s);
    }
    orphans_soon(s->ex);
    executor_feed(s->ex, (struct sw_event){.type = SW_EV_GONE, .slot = s->index});
}

/* --- the start -------------------------------------------------------------------------------- */

unsigned slot_spawn_flags(const struct slot *s)
{
    return SPAWN_HOLD | (forks_watched(s->ex) ? SPAWN_WATCH_FORKS : 0);
}

static void begin_life(struct slot *s, struct study *st)
{
    const struct wk_conf conf = {.stall_ms = st->spec->watch.stall_ms,
                                 .deadlock_ms = st->spec->watch.deadlock_ms,
                                 .trial_ms = st->spec->watch.trial_ms,
                                 .grace_ms = st->spec->watch.grace_ms,
                                 .evidence_ms = EVIDENCE_MS,
                                 .only_tell = st->spec->watch.only_tell};
    s->study = st;
    s->alive = true;
    guardian_tell(&s->ex->guardian, s->index, s->proc.pid);
    s->sent_signal = false;
    s->complained = false;
    s->usage = (struct proc_usage){0};
    s->trials_left = (int)st->spec->run.trials_per_worker;
    hang_begin(s);
    deadlock_begin(s);
    forks_begin(s, (slot_spawn_flags(s) & SPAWN_WATCH_FORKS) != 0);
    wk_init(&s->fsm, &conf, executor_now(s->ex));
}

/* A new process for the slot's trial. */
static int start_worker(struct slot *s, bool brisk, struct err *err)
{
    s->life++;
    int rc = launch_worker(&s->proc, s, s->run, err);
    if (rc < 0)
        return rc;
    rc = pipes_begin(s, brisk, err);
    if (rc < 0) {
        spawn_abandon(&s->proc);
        return rc;
    }
    begin_life(s, s->run->study);
    return 0;
}

/* The slot could not run its trial: it fails with the reason, and the slot is free again. */
static void start_failed(struct slot *s, const struct err *err)
{
    if (s->alive) {
        run_fail(s->run, FAIL_EXIT, "%s", err->msg);
        slot_feed(s, WK_EV_STOP);
        slot_end_trial(s);
        return;
    }
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
    if (s->trials_left == 0 && s->spare.pid == 0)
        (void)spawn_begin(&s->spare, s->ex->stub, slot_spawn_flags(s), &err);
}

void slot_drop_spare(struct slot *s)
{
    spawn_abandon(&s->spare);
}

void slot_start(struct slot *s, bool brisk)
{
    struct run *r = TAKE(s->claimed);
    struct err err = {0};
    bool reused = s->alive;
    s->run = r;
    r->started_ms = executor_now(s->ex);
    int rc = run_sample(r, &err);
    if (rc == 0)
        rc = run_write_params(r, &err);
    if (rc == 0 && !reused)
        rc = start_worker(s, brisk, &err);
    record_start(r);
    if (rc < 0) {
        start_failed(s, &err);
        return;
    }
    pipes_log_to(s, r->dir_fd);
    s->pruning = false;
    s->trials_left--;
    s->probed_ms = r->started_ms;
    log_event(LOG_DEBUG, "trial_start", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_INT("pid", s->proc.pid), LOG_INT("slot", s->index));
    slot_feed(s, WK_EV_TRIAL);
    if (reused)
        pipes_tell_trial(s);
    capture_open(&s->pipes.out_log); /* not when the output comes, which may be the trial's end */
    if (brisk)
        start_spare(s);
}

void slot_release(struct slot *s)
{
    pipes_say(s, "{\"op\":\"stop\"}");
    slot_feed(s, WK_EV_RELEASE);
}
