/* A sweep's process from its start to its end: what it needs is set up, the loop runs, the result
 * is told. */
#include "executor/executor.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/internal.h"
#include "executor/limits.h"
#include "executor/owner.h"

#define STORE_PATIENCE_MS 600000u /* a store that refuses for so long is given up */

uint64_t executor_now(struct executor *ex)
{
    uv_update_time(&ex->loop);
    return uv_now(&ex->loop);
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

static void prepare_process(struct executor *ex)
{
    struct rlimit files;
    signals_hold();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        ex->worker_files = files.rlim_cur; /* select() in a worker breaks above 1024 */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
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
                                      .on_trouble = report_store_trouble,
                                      .ctx = ex};
    return storeq_start(&ex->storeq, &ex->loop, &store, err);
}

static int set_up(struct executor *ex, struct err *err)
{
    make_mark(ex);
    int rc = allocate(ex, err);
    if (rc == 0)
        rc = environment_read(ex, err);
    if (rc == 0)
        rc = spawn_find_own(&ex->stub, "forkless-exec", err);
    if (rc == 0)
        rc = keeper_start(ex, err);
    for (int i = 0; rc == 0 && i < ex->n_studies; i++)
        rc = study_init(&ex->studies[i], ex, i, err);
    if (rc == 0)
        rc = sweep_make(ex, err);
    if (rc == 0)
        rc = watchset_open(&ex->workers, &ex->loop, pipes_ready, ex, err);
    if (rc == 0 && (rc = start_store(ex, err)) < 0)
        watchset_close(&ex->workers);
    return rc;
}

static void start_handles(struct executor *ex)
{
    (void)uv_timer_init(&ex->loop, &ex->sweep_timer);
    (void)uv_timer_init(&ex->loop, &ex->stop_timer);
    for (int i = 0; i < ex->plan.jobs; i++)
        (void)uv_timer_init(&ex->loop, &ex->slots[i].timer);
    orphans_init(ex);
    forks_init(ex);
    signals_start(ex);
    report_start(ex);
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

static int fill_result(struct executor *ex, struct err *err)
{
    struct executor_result *out = ex->result;
    struct executor_status status;
    report_status(ex, &status);
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
    environment_free(ex);
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
        sweep_arm(&ex); /* the sweep's time passes while it waits for the store, too */
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
