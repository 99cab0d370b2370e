/* The loop: it holds the sweep's machine, translates its actions, and listens to signals and time.
 */
#include "executor/executor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/internal.h"
#include "executor/limits.h"
#include "executor/owner.h"
#include "executor/proc.h"

#define POLL_MS                                                                                    \
    1000u /* how often other processes' trials are looked at while they are waited for */
#define STORE_PATIENCE_MS 600000u /* a store that refuses for so long is given up */
#define STORE_GRACE_MS 500u       /* what a stop leaves the store beyond the workers' grace */
#define LAST_WRITE_MS 2000u       /* for the run's row, when all is over */
#define GUARDIAN_LIVES 10u        /* it is started no more often than that */
#define BRISK_MS 100u             /* a trial that took less is short */
#define MEMORY_LOOK_MS 1000u
#define FREE_MEMORY_FLOOR (64u << 20)

extern char **environ;

uint64_t executor_now(struct executor *ex)
{
    uv_update_time(&ex->loop);
    return uv_now(&ex->loop);
}

void executor_notice(struct executor *ex, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_event(LOG_WARNING, "notice", LOG_TEXT("text", text));
    const struct executor_watcher *w = ex->conf->watcher;
    if (w != NULL && w->notice != NULL)
        w->notice(w->ctx, text);
}

struct executor_slots executor_plan_slots(const struct spec *s)
{
    struct executor_slots p = {.cpus = limits_cpus("")};
    double per_worker = s->slots.cpus >= 1 ? s->slots.cpus : 1;
    p.jobs = s->slots.jobs > 0 ? (int)s->slots.jobs : (int)floor(p.cpus / per_worker);
    p.jobs = p.jobs > 0 ? p.jobs : 1;
    double share = s->slots.cpus >= 1 ? s->slots.cpus : floor(p.cpus / p.jobs);
    p.threads = share >= 1 ? (int)share : 1;
    return p;
}

/* --- the sweep's actions ------------------------------------------------------------------------
 */

/* Whether there is memory for one more worker as large as the largest so far. */
static bool memory_admits(const struct executor *ex)
{
    uint64_t need = ex->largest_rss + ex->largest_rss / 4;
    return limits_memory_free("") >= (need > FREE_MEMORY_FLOOR ? need : FREE_MEMORY_FLOOR);
}

void executor_close(struct executor *ex)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&ex->sweep_timer, (uv_handle_t *)&ex->beat_timer,
        (uv_handle_t *)&ex->watch_timer, (uv_handle_t *)&ex->stop_timer,
        (uv_handle_t *)&ex->sigint,      (uv_handle_t *)&ex->sigterm,
        (uv_handle_t *)&ex->sigchld,     (uv_handle_t *)&ex->forks_async,
    };
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        uv_close(handles[i], NULL);
    for (int i = 0; i < ex->plan.jobs; i++)
        uv_close((uv_handle_t *)&ex->slots[i].timer, NULL);
    watchset_close(&ex->workers);
    orphans_forget(ex);
}

static void on_stop_timer(uv_timer_t *t)
{
    storeq_give_up(CONTAINER_OF(t, struct executor, stop_timer)->storeq);
}

static void leave(struct executor *ex, enum sw_reason reason)
{
    ex->over = true;
    ex->result->reason = reason;
    ex->result->flap_class = sw_flap_class(ex->sweep);
    if (reason == SW_STORE)
        storeq_give_up(ex->storeq);
    (void)uv_timer_start(&ex->stop_timer, on_stop_timer, LAST_WRITE_MS, 0);
    executor_end_run(ex, reason);
}

static void obey(struct executor *ex, const struct sw_action *a)
{
    struct slot *s = a->slot >= 0 ? &ex->slots[a->slot] : NULL;
    switch (a->type) {
    case SW_DO_CLAIM:
        claim_trial(&ex->studies[a->study], a->slot, a->ahead);
        break;
    case SW_DO_START:
        slot_start(s, a->brisk);
        break;
    case SW_DO_FINISH:
        assert(s != NULL);
        record_outcome(TAKE(s->run), a);
        break;
    case SW_DO_RETURN:
        assert(s != NULL);
        record_return(TAKE(s->claimed));
        break;
    case SW_DO_RELEASE:
        slot_release(s);
        break;
    case SW_DO_STOP:
        slot_feed(s, WK_EV_STOP);
        break;
    case SW_DO_KILL:
        slot_feed(s, WK_EV_KILL);
        break;
    case SW_DO_PROVE:
        executor_prove(ex);
        break;
    case SW_DO_EXIT:
        leave(ex, a->reason);
        break;
    }
}

static void on_sweep_timer(uv_timer_t *t)
{
    executor_feed(CONTAINER_OF(t, struct executor, sweep_timer),
                  (struct sw_event){.type = SW_EV_TICK});
}

/* However the sweep came to its end: a store that refuses must not hold it much longer than the
 * workers may. */
static void arm_stop_timer(struct executor *ex)
{
    if (!ex->over && sw_reason(ex->sweep) != SW_RUNNING &&
        !uv_is_active((uv_handle_t *)&ex->stop_timer))
        (void)uv_timer_start(&ex->stop_timer, on_stop_timer,
                             ex->spec->watch.grace_ms + STORE_GRACE_MS, 0);
}

static void arm_sweep_timer(struct executor *ex)
{
    uint64_t due = sw_due(ex->sweep), now = executor_now(ex);
    if (ex->over)
        return;
    if (due == UINT64_MAX)
        (void)uv_timer_stop(&ex->sweep_timer);
    else
        (void)uv_timer_start(&ex->sweep_timer, on_sweep_timer, due > now ? due - now : 1, 0);
}

/* Obeying may bring up new events (a worker that cannot start has ended): they wait for their turn,
 * since a step's actions are valid only until the next step. */
static void enqueue(struct executor *ex, struct sw_event ev)
{
    assert(ex->n_queue < ex->cap_queue);
    ex->queue[ex->n_queue++] = ev;
}

/* Memory is looked at when a place becomes free, but not a thousand times a second. */
static void look_at_memory(struct executor *ex)
{
    uint64_t now = executor_now(ex);
    if (now - ex->memory_seen_ms < MEMORY_LOOK_MS)
        return;
    ex->memory_seen_ms = now;
    enqueue(ex, (struct sw_event){.type = SW_EV_ADMIT, .admit = memory_admits(ex)});
}

void executor_feed(struct executor *ex, struct sw_event ev)
{
    if (ev.type == SW_EV_GONE || ev.type == SW_EV_TICK)
        look_at_memory(ex);
    enqueue(ex, ev);
    if (ex->stepping)
        return;
    ex->stepping = true;
    for (size_t i = 0; i < ex->n_queue; i++) {
        const struct sw_action *actions;
        ex->queue[i].now_ms = executor_now(ex);
        int n = sw_step(ex->sweep, &ex->queue[i], &actions);
        for (int k = 0; k < n; k++)
            obey(ex, &actions[k]);
    }
    ex->n_queue = 0;
    ex->stepping = false;
    arm_sweep_timer(ex);
    arm_stop_timer(ex);
}

/* --- what people and logs see
 * ----------------------------------------------------------------------- */

static void fill_status(struct executor *ex, struct executor_status *out)
{
    uint64_t now = executor_now(ex);
    *out = (struct executor_status){
        .n_studies = ex->n_studies, .best_study = -1, .elapsed_ms = now - ex->started_ms};
    for (int i = 0; i < ex->n_studies; i++) {
        const struct study *st = &ex->studies[i];
        ex->views[i] = st->view;
        out->done += study_done(st);
        out->failed += executor_study_failed(&st->view);
        out->target += st->view.target;
        if (out->best_study < 0 && st->view.has_best)
            out->best_study = i;
    }
    out->studies = ex->views;
    forks_count(ex, &out->forks);
    for (int i = 0; i < ex->plan.jobs; i++) {
        const struct slot *s = &ex->slots[i];
        if (!s->alive || s->run == NULL)
            continue;
        out->running++;
        uint64_t idle = now - s->fsm.active_ms;
        out->quietest_ms = idle > out->quietest_ms ? idle : out->quietest_ms;
    }
}

static void on_watch_timer(uv_timer_t *t)
{
    struct executor *ex = CONTAINER_OF(t, struct executor, watch_timer);
    struct executor_status status;
    fill_status(ex, &status);
    ex->conf->watcher->tick(ex->conf->watcher->ctx, &status);
}

static void on_beat_timer(uv_timer_t *t)
{
    struct executor *ex = CONTAINER_OF(t, struct executor, beat_timer);
    struct executor_status st;
    fill_status(ex, &st);
    const struct executor_study *best = st.best_study >= 0 ? &st.studies[st.best_study] : NULL;
    log_event(LOG_INFO, "hpo_heartbeat", LOG_TEXT("run_id", ex->conf->run_id),
              LOG_INT("done", st.done), LOG_INT("target", st.target), LOG_INT("failed", st.failed),
              LOG_INT("running", st.running), LOG_INT("quietest_ms", st.quietest_ms),
              LOG_TEXT("best_study", best != NULL ? best->name : NULL),
              LOG_REAL("best", best != NULL ? best->best_value : NAN),
              LOG_INT("elapsed_ms", st.elapsed_ms), LOG_INT("forks", st.forks.all),
              LOG_INT("forks_after_threads", st.forks.threaded),
              LOG_INT("forks_going_on", st.forks.going_on),
              LOG_INT("forks_denied", st.forks.denied),
              LOG_INT("store_waiting", storeq_pending(ex->storeq)));
    executor_heartbeat(ex);
    executor_feed(ex, (struct sw_event){.type = SW_EV_TICK});
}

static void on_store_trouble(void *ctx, bool trouble, const struct err *err)
{
    struct executor *ex = ctx;
    log_event(trouble ? LOG_WARNING : LOG_INFO, trouble ? "store_waiting" : "store_back",
              LOG_TEXT("error", trouble ? err->msg : NULL));
    if (trouble)
        executor_notice(ex, "the store refuses, results wait for it: %s", err->msg);
}

/* --- the guardian -----------------------------------------------------------------------------
 */

static int start_guardian(struct executor *ex, struct err *err)
{
    char mark[96];
    (void)snprintf(mark, sizeof(mark), "FORKLESS_WORKER=%s.", ex->mark);
    return guardian_start(&ex->guardian, ex->stub, mark, err);
}

/* Somebody who ends the guardian once may have meant all small processes; twice is told, and who
 * goes on at it wins. */
static void look_after_guardian(struct executor *ex)
{
    struct err err = {0};
    if (!guardian_died(&ex->guardian))
        return;
    unsigned deaths = ex->guardian.deaths;
    int rc = deaths < GUARDIAN_LIVES ? start_guardian(ex, &err) : 0;
    log_event(LOG_WARNING, "guardian_died", LOG_INT("deaths", deaths),
              LOG_FLAG("restarted", ex->guardian.pid != 0),
              LOG_TEXT("error", rc < 0 ? err.msg : NULL));
    if (deaths > 1 || rc < 0)
        executor_notice(ex,
                        "the process that would end what workers started, should forkless be "
                        "killed, has died %u time%s%s%s%s",
                        deaths, deaths > 1 ? "s" : "",
                        ex->guardian.pid != 0 ? "" : " and is not there any more",
                        rc < 0 ? ": " : "", rc < 0 ? err.msg : "");
}

static void on_sigchld(uv_signal_t *h, int sig)
{
    struct executor *ex = CONTAINER_OF(h, struct executor, sigchld);
    (void)sig;
    look_after_guardian(ex);
    orphans_soon(ex);
}

/* --- signals
 * --------------------------------------------------------------------------------------- */

static void on_signal(struct executor *ex, int sig)
{
    if (ex->over) {
        storeq_give_up(ex->storeq); /* only the run's last row is waited for */
        return;
    }
    ex->signals++;
    log_event(LOG_WARNING, "signal", LOG_INT("signal", sig), LOG_INT("count", ex->signals));
    executor_notice(ex,
                    ex->signals == 1 ? "%s: no new trials; running ones have %" PRIu64
                                       " s to end. Once more to stop now."
                                     : "%s: stopping now (%" PRIu64 " s were left)",
                    strsignal(sig), ex->spec->watch.grace_ms / 1000);
    if (ex->signals > 1)
        storeq_give_up(ex->storeq);
    executor_feed(ex, (struct sw_event){.type = SW_EV_SIGNAL});
}

static void on_sigint(uv_signal_t *h, int sig)
{
    on_signal(CONTAINER_OF(h, struct executor, sigint), sig);
}

static void on_sigterm(uv_signal_t *h, int sig)
{
    on_signal(CONTAINER_OF(h, struct executor, sigterm), sig);
}

/* --- start and end
 * ---------------------------------------------------------------------------------- */

/* "NAME=value" of each. */
static int config_environment(struct executor *ex, struct err *err)
{
    const char *text = ex->conf->base_env, *name;
    json_t *value;
    if (text == NULL)
        return 0;
    AUTO_JSON json_t *env = json_read(text, strlen(text), err);
    if (env == NULL)
        return -ERR_INVALID;
    ex->config_env = calloc(json_object_size(env) + 1, sizeof(*ex->config_env));
    if (ex->config_env == NULL)
        return err_set(err, ERR_NOMEM, "environment");
    json_object_foreach(env, name, value)
    {
        char **to = &ex->config_env[ex->n_config_env];
        if (!json_is_string(value))
            return err_set(err, ERR_INVALID, "ftf_config: %.60s is no text", name);
        if (asprintf(to, "%s=%s", name, json_string_value(value)) < 0)
            return err_set(err, ERR_NOMEM, "environment");
        ex->n_config_env++;
    }
    return 0;
}

static bool is_configured(const struct executor *ex, const char *entry)
{
    size_t n = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < ex->n_config_env; i++) {
        if (ex->config_env[i] != NULL && strncmp(ex->config_env[i], entry, n) == 0)
            return true;
    }
    return false;
}

static int base_environment(struct executor *ex, struct err *err)
{
    size_t n = 0, k = 0;
    int rc = config_environment(ex, err);
    if (rc < 0)
        return rc;
    while (environ[n] != NULL)
        n++;
    ex->base_env = calloc(n + ex->n_config_env + 1, sizeof(*ex->base_env));
    if (ex->base_env == NULL)
        return err_set(err, ERR_NOMEM, "environment");
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "FORKLESS_", 9) != 0 && !is_configured(ex, environ[i]))
            ex->base_env[k++] = environ[i];
    }
    for (size_t i = 0; i < ex->n_config_env; i++)
        ex->base_env[k++] = ex->config_env[i];
    return 0;
}

static void mask_stop_signals(int how)
{
    sigset_t stop;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigprocmask(how, &stop, NULL);
}

static void prepare_process(struct executor *ex)
{
    struct rlimit files;
    /* until the loop, or who waits for a locked store, sees to them: without a handler they would
     * end us without a word, or, as PID 1, be lost */
    mask_stop_signals(SIG_BLOCK);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end a sweep */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        ex->worker_files = files.rlim_cur; /* select() in a worker breaks above 1024 */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int make_sweep(struct executor *ex, struct err *err)
{
    const struct spec *spec = ex->spec;
    struct sw_conf conf = {
        .slots = ex->plan.jobs,
        .n_studies = ex->n_studies,
        .studies = ex->sweep_studies,
        .flap = (int)spec->flap,
        .wall_ms = spec->budget.wall_ms,
        .grace_ms = spec->watch.grace_ms,
        .poll_ms = POLL_MS,
        .brisk_ms = BRISK_MS,
    };
    conf.n_rungs = fallback_rungs(spec);
    for (int i = 0; i < conf.n_rungs; i++)
        ex->rungs[i] = fallback_step(spec, i + 1)->on;
    conf.rungs = ex->rungs;
    conf.until_wall = ex->studies[0].view.target == 0;
    for (int i = 0; i < FAIL_CLASSES; i++)
        conf.retry[i] = (struct sw_retry){.times = (int)spec->retry[i].times,
                                          .backoff_ms = spec->retry[i].backoff_ms};
    if (spec->watch.no_retry)
        conf.retry[FAIL_STALLED].times = conf.retry[FAIL_FORK_DEADLOCK].times = 0;
    for (int i = 0; i < ex->n_studies; i++) {
        const struct spec *cell = ex->studies[i].spec;
        int64_t target = ex->studies[i].view.target;
        ex->sweep_studies[i] = (struct sw_study_conf){
            .target = target > 0 ? target : INT64_MAX / 2, /* without one, time ends it */
            .complete_only = cell->budget.complete > 0,
            .attempts = cell->budget.attempts,
        };
    }
    return sw_create(&ex->sweep, &conf, executor_now(ex), err);
}

static int allocate(struct executor *ex, struct err *err)
{
    size_t jobs = (size_t)ex->plan.jobs, studies = (size_t)ex->n_studies;
    ex->slots = calloc(jobs, sizeof(*ex->slots));
    ex->studies = calloc(studies, sizeof(*ex->studies));
    ex->views = calloc(studies, sizeof(*ex->views));
    ex->sweep_studies = calloc(studies, sizeof(*ex->sweep_studies));
    ex->cap_queue = 8 * jobs + studies + 8; /* events that one step's actions can bring up */
    ex->queue = calloc(ex->cap_queue, sizeof(*ex->queue));
    if (ex->slots == NULL || ex->studies == NULL || ex->views == NULL ||
        ex->sweep_studies == NULL || ex->queue == NULL)
        return err_set(err, ERR_NOMEM, "executor of %zu slots", jobs);
    for (int i = 0; i < ex->plan.jobs; i++)
        slot_init(&ex->slots[i], ex, i);
    for (int i = 0; i < ex->n_studies; i++)
        ex->studies[i].dir_fd = -1;
    return 0;
}

/* Nobody else has the same mark, in no other container either that this one can see into. */
static void make_mark(struct executor *ex)
{
    (void)snprintf(ex->mark, sizeof(ex->mark), "%d-%" PRIx64, (int)getpid(),
                   (uint64_t)clock_utc_us());
}

/* Without a spool the run is as safe as the store is there. */
static void make_spool(struct executor *ex)
{
    const struct spool_conf conf = {.run_dir = ex->spec->run.dir,
                                    .storage = ex->spec->study.storage,
                                    .run_id = ex->conf->run_id,
                                    .owner = ex->owner};
    struct err err = {0};
    if (spool_create(&ex->spool, &conf, &err) < 0)
        executor_notice(ex, "results cannot be kept on disk while the store is away: %s", err.msg);
}

static int start_store(struct executor *ex, struct err *err)
{
    make_spool(ex);
    const struct storeq_conf store = {.url = ex->spec->study.storage,
                                      .spool = ex->spool,
                                      .open_ms = ex->spec->budget.wall_ms,
                                      .patience_ms = STORE_PATIENCE_MS,
                                      .on_trouble = on_store_trouble,
                                      .ctx = ex};
    return storeq_start(&ex->storeq, &ex->loop, &store, err);
}

static int set_up(struct executor *ex, struct err *err)
{
    make_mark(ex);
    int rc = allocate(ex, err);
    if (rc == 0)
        rc = base_environment(ex, err);
    if (rc == 0)
        rc = spawn_find_own(&ex->stub, "forkless-exec", err);
    if (rc == 0)
        rc = start_guardian(ex, err);
    for (int i = 0; rc == 0 && i < ex->n_studies; i++)
        rc = study_init(&ex->studies[i], ex, i, err);
    if (rc == 0)
        rc = make_sweep(ex, err);
    if (rc == 0)
        rc = watchset_open(&ex->workers, &ex->loop, pipes_ready, ex, err);
    if (rc == 0 && (rc = start_store(ex, err)) < 0)
        watchset_close(&ex->workers);
    return rc;
}

static void start_handles(struct executor *ex)
{
    const struct executor_watcher *w = ex->conf->watcher;
    uint64_t beat = ex->spec->report.heartbeat_ms;
    (void)uv_timer_init(&ex->loop, &ex->sweep_timer);
    (void)uv_timer_init(&ex->loop, &ex->beat_timer);
    (void)uv_timer_init(&ex->loop, &ex->watch_timer);
    for (int i = 0; i < ex->plan.jobs; i++)
        (void)uv_timer_init(&ex->loop, &ex->slots[i].timer);
    orphans_init(ex);
    forks_init(ex);
    (void)uv_timer_init(&ex->loop, &ex->stop_timer);
    (void)uv_signal_init(&ex->loop, &ex->sigint);
    (void)uv_signal_init(&ex->loop, &ex->sigterm);
    (void)uv_signal_init(&ex->loop, &ex->sigchld);
    (void)uv_signal_start(&ex->sigint, on_sigint, SIGINT);
    (void)uv_signal_start(&ex->sigterm, on_sigterm, SIGTERM);
    (void)uv_signal_start(&ex->sigchld, on_sigchld, SIGCHLD);
    look_after_guardian(ex);        /* the data's preparation may have taken long */
    mask_stop_signals(SIG_UNBLOCK); /* they may have been blocked by who started us, too */
    if (beat > 0)
        (void)uv_timer_start(&ex->beat_timer, on_beat_timer, beat, beat);
    if (w != NULL && w->tick != NULL && w->tick_ms > 0)
        (void)uv_timer_start(&ex->watch_timer, on_watch_timer, w->tick_ms, w->tick_ms);
}

static int fill_result(struct executor *ex, struct err *err)
{
    struct executor_result *out = ex->result;
    struct executor_status status;
    fill_status(ex, &status);
    out->done = status.done;
    out->failed = status.failed;
    out->target = status.target;
    out->elapsed_ms = status.elapsed_ms;
    out->forks = status.forks;
    if (ex->spool != NULL && (out->spooled = spool_left(ex->spool)) > 0)
        out->spool = strdup(spool_path(ex->spool));
    out->n_studies = ex->n_studies;
    out->studies = calloc((size_t)ex->n_studies, sizeof(*out->studies));
    if (out->studies == NULL)
        return err_set(err, ERR_NOMEM, "result");
    memcpy(out->studies, status.studies, (size_t)ex->n_studies * sizeof(*out->studies));
    return 0;
}

static void tear_down(struct executor *ex)
{
    guardian_stop(&ex->guardian);
    spool_destroy(ex->spool);
    for (int i = 0; ex->slots != NULL && i < ex->plan.jobs; i++)
        slot_free(&ex->slots[i]);
    for (int i = 0; ex->studies != NULL && i < ex->n_studies; i++)
        study_free(&ex->studies[i]);
    sw_destroy(ex->sweep);
    free(ex->slots);
    free(ex->studies);
    free(ex->views);
    free(ex->sweep_studies);
    free(ex->queue);
    free(ex->base_env);
    for (size_t i = 0; i < ex->n_config_env; i++)
        free(ex->config_env[i]);
    free(ex->config_env);
    for (size_t i = 0; i < ex->n_spools_left; i++)
        free(ex->spools_left[i]);
    free(ex->spools_left);
    free(ex->orphans.inherited);
    free(ex->stub);
    (void)uv_run(&ex->loop, UV_RUN_NOWAIT); /* what a set-up that failed has begun to close */
    int rc = uv_loop_close(&ex->loop);
    assert(rc == 0); /* a forgotten handle */
}

/* Short enough to be typed again; the same for all studies of a run, so that what a sweep compares
 * is tried with the same values. */
static uint64_t draw_seed(void)
{
    uint32_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = (uint32_t)clock_utc_us(); /* a kernel without entropy at its start */
    return seed;
}

int executor_run(const struct executor_conf *conf, struct executor_result *out, struct err *err)
{
    struct executor ex = {
        .conf = conf, .spec = &conf->cells[0], .n_studies = (int)conf->n_cells, .result = out};
    *out = (struct executor_result){.proven_rows = -1};
    ex.plan = executor_plan_slots(ex.spec);
    ex.drawn_seed = draw_seed();
    ex.run_row = (struct store_run){.run_id = conf->run_id,
                                    .config = conf->config_json,
                                    .dag_id = getenv("AIRFLOW_CTX_DAG_ID")};
    int rc = uv_loop_init(&ex.loop);
    if (rc < 0)
        return err_sys(err, -rc, "event loop");
    ex.started_ms = executor_now(&ex);
    ex.oom_kills = limits_oom_kills("");
    owner_self(ex.owner, sizeof(ex.owner));
    prepare_process(&ex);
    orphans_inherit(&ex);
    rc = set_up(&ex, err);
    if (rc == 0) {
        start_handles(&ex);
        for (int i = 0; i < ex.n_studies; i++)
            study_open(&ex.studies[i]);
        arm_sweep_timer(&ex); /* the sweep's time passes while it waits for the store, too */
        (void)uv_run(&ex.loop, UV_RUN_DEFAULT);
        for (int i = 0; i < ex.plan.jobs; i++)
            slot_drop_spare(&ex.slots[i]);
        orphans_end(&ex);
        rc = fill_result(&ex, err);
    }
    tear_down(&ex);
    return rc;
}

void executor_result_free(struct executor_result *r)
{
    free(r->studies);
    free(r->spool);
    r->studies = NULL;
    r->spool = NULL;
}
