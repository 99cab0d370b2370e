/* A study: its directory, its sampler and pruner, and what the store has of it when the sweep
 * starts. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"
#include "storage/ftf.h"

static int make_dirs(char *path, struct err *err)
{
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char c = *p;
        *p = '\0';
        int rc = mkdir(path, 0755);
        int sys = errno;
        *p = c;
        if (rc < 0 && sys != EEXIST)
            return err_sys(err, sys, "make the run directory %s", path);
        if (c == '\0')
            return 0;
    }
}

static int open_dir(struct study *st, struct err *err)
{
    AUTO_FREE char *name = strdup(st->spec->study.name);
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    const char *dir = st->spec->run.dir;
    if (name == NULL || cwd == NULL)
        return err_set(err, ERR_NOMEM, "run directory");
    for (char *p = name; *p != '\0'; p++)
        if (*p == '/')
            *p = '_';
    if (name[0] == '.')
        name[0] = '_';
    bool relative = dir[0] != '/';
    if (asprintf(&st->dir, "%s%s%s/%s", relative ? cwd : "", relative ? "/" : "", dir, name) < 0) {
        st->dir = NULL;
        return err_set(err, ERR_NOMEM, "run directory");
    }
    int rc = make_dirs(st->dir, err);
    if (rc < 0)
        return rc;
    st->dir_fd = open(st->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return st->dir_fd >= 0 ? 0 : err_sys(err, errno, "open %s", st->dir);
}

int study_init(struct study *st, struct executor *ex, int index, struct err *err)
{
    const struct spec *spec = &ex->conf->cells[index];
    *st = (struct study){.ex = ex, .index = index, .spec = spec, .dir_fd = -1};
    st->view.name = spec->study.name;
    st->view.target = spec->budget.trials > 0 ? spec->budget.trials : spec->budget.complete;
    int rc = training_init(st, err);
    if (rc == 0)
        rc = sampler_create(&st->sampler, &spec->sampler, err);
    if (rc == 0 && spec->pruner.kind != PRUNER_NONE)
        rc = pruner_create(&st->pruner, &spec->pruner, err);
    if (rc == 0 && spec->run.cwd != NULL)
        rc = spawn_check_cwd(spec->run.cwd, err);
    if (rc == 0)
        rc = open_dir(st, err);
    if (rc == 0 && spec->run.runner == RUN_XGBOOST)
        rc = builtin_prepare(st, err);
    if (rc == 0 && spec->run.runner == RUN_COMMAND && spec_program(spec) != NULL)
        rc = spawn_resolve(&st->program, spec_program(spec), spec->run.cwd, err);
    return rc;
}

void study_free(struct study *st)
{
    sampler_destroy(st->sampler);
    pruner_destroy(st->pruner);
    known_free(&st->known);
    cleanup_close(&st->dir_fd);
    free(st->dir);
    free(st->program);
    free(st->xgboost_conf);
    free(st->loss);
    free(st->overridden);
}

static bool better(const struct study *st, double a, double b)
{
    return st->spec->study.direction == DIRECTION_MAXIMIZE ? a > b : a < b;
}

bool study_note_best(const struct study *st, struct executor_study *view, int64_t number,
                     double value)
{
    bool equal = view->has_best && value == view->best_value;
    if (equal && number < view->best_number) /* of equals the smallest, whoever ended first */
        view->best_number = number;
    if (equal || (view->has_best && !better(st, value, view->best_value)))
        return false;
    view->has_best = true;
    view->best_value = value;
    view->best_number = number;
    return true;
}

void study_learn(struct study *st, struct executor_study *view, const struct trial *t)
{
    struct err err;
    /* out of memory here costs knowledge, not truth: the store has the trial */
    if (sampler_observe(st->sampler, t, &err) < 0 ||
        (st->pruner != NULL && pruner_observe(st->pruner, t, &err) < 0))
        log_event(LOG_WARNING, "trial_not_learnt", LOG_INT("trial", t->number),
                  LOG_TEXT("error", err.msg));
    for (size_t i = 0; i < t->n_params; i++) /* a conflict among others is theirs */
        (void)known_note(&st->known, t->params[i].name, t->params[i].dist, NULL);
    if (t->state == TRIAL_COMPLETE && t->n_values == 1)
        (void)study_note_best(st, view, t->number, t->values[0]);
}

void study_learn_own(struct study *st, const struct trial *t)
{
    struct err err;
    if (sampler_observe(st->sampler, t, &err) < 0 ||
        (st->pruner != NULL && t->state != TRIAL_RUNNING &&
         pruner_finish(st->pruner, t->number, t->state, &err) < 0))
        log_event(LOG_WARNING, "trial_not_learnt", LOG_INT("trial", t->number),
                  LOG_TEXT("error", err.msg));
}

unsigned study_want(const struct study *st)
{
    bool rungs = st->spec->pruner.kind == PRUNER_ASHA; /* it keeps them in system attributes */
    return WANT_PARAMS | (st->pruner != NULL ? WANT_STEPS : 0) | (rungs ? WANT_SYSTEM_ATTRS : 0);
}

struct sw_counts study_counts(const int64_t c[static TRIAL_STATES])
{
    return (struct sw_counts){.complete = c[TRIAL_COMPLETE],
                              .pruned = c[TRIAL_PRUNED],
                              .failed = c[TRIAL_FAIL],
                              .running = c[TRIAL_RUNNING],
                              .waiting = c[TRIAL_WAITING]};
}

int64_t study_done(const struct study *st)
{
    const struct sw_counts *c = &st->view.counts;
    return c->complete + (st->spec->budget.complete > 0 ? 0 : c->pruned);
}

struct open_job {
    struct storeq_job job;
    struct study *st;
    bool keeps; /* the store keeps trainings */
    struct executor_study view;
};

static int learn(void *ctx, const struct trial *t)
{
    struct open_job *o = ctx;
    study_learn(o->st, &o->view, t);
    return 0;
}

static int count_interrupted(void *ctx, const struct trial *t)
{
    int64_t *n = ctx;
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        if (strcmp(t->user_attrs[i].key, ATTR_CLASS) == 0)
            *n += strcmp(t->user_attrs[i].json, "\"preempted\"") == 0 ||
                  strcmp(t->user_attrs[i].json, "\"lost\"") == 0;
    }
    return 0;
}

/* The spec's parameters must be what the study already has under their names: else no trial's
 * parameters could be stored. */
static int check_space(struct study *st, struct err *err)
{
    const struct space *space = &st->spec->space;
    struct err why;
    for (size_t i = 0; i < space->n; i++) {
        const struct param *p = &space->params[i];
        int rc = known_note(&st->known, p->name, &p->dist, &why);
        if (rc == -ERR_CONFLICT)
            return err_set(err, ERR_CONFLICT, "%.80s: %s; change it back or name another study",
                           p->place != NULL ? p->place : st->view.name, why.msg);
        if (rc < 0)
            return err_set(err, why.code, "%s", why.msg);
    }
    return 0;
}

static int put_dir_attr(const struct study *st, struct store *s, struct err *err)
{
    struct buf b = BUF_INIT;
    json_put_string(&b, st->dir);
    int rc = b.failed ? err_set(err, ERR_NOMEM, "study attribute")
                      : store_study_attr_set(s, st->id, ATTR_USER, ATTR_DIR, b.data, err);
    buf_free(&b);
    return rc;
}

static int put_metric_name(const struct study *st, struct store *s, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_putc(&b, '[');
    json_put_string(&b, st->spec->study.metric);
    buf_putc(&b, ']');
    int rc = b.failed
                 ? err_set(err, ERR_NOMEM, "study attribute")
                 : store_study_attr_set(s, st->id, ATTR_SYSTEM, "study:metric_names", b.data, err);
    buf_free(&b);
    return rc;
}

/* The spec's, else that which the study drew when it was made, else a new one. */
static int choose_seed(const struct study *st, struct store *s, uint64_t *seed, struct err *err)
{
    AUTO_FREE char *json = NULL;
    char text[24], *end;
    *seed = st->spec->seeded ? st->spec->seed : st->ex->drawn_seed;
    int rc = store_study_attr_get(s, st->id, ATTR_USER, ATTR_SEED, &json, err);
    if (rc == 0 && !st->spec->seeded) {
        uint64_t drawn = strtoull(json, &end, 10);
        if (end != json && *end == '\0')
            *seed = drawn;
    }
    if (rc < 0 && rc != -ERR_NOTFOUND)
        return rc;
    (void)snprintf(text, sizeof(text), "%" PRIu64, *seed);
    return json != NULL && strcmp(json, text) == 0
               ? 0
               : store_study_attr_set(s, st->id, ATTR_USER, ATTR_SEED, text, err);
}

/* Ends what store_begin began; what it wrote need not reach the disk before the first outcome. */
static int end_batch(struct store *s, int rc, struct err *err)
{
    if (rc == 0)
        return store_commit(s, false, err);
    store_rollback(s);
    return rc;
}

static int enter_study(struct study *st, struct store *s, struct err *err)
{
    int rc = store_begin(s, err);
    if (rc < 0)
        return rc;
    rc = store_study_open(s, st->spec->study.name, &st->spec->study.direction, 1, &st->id, err);
    if (rc == 0)
        rc = lost_reap(st, s, err);
    return end_batch(s, rc, err);
}

/* Only now: a command that is refused leaves the row of an earlier run with its name alone. */
static int enter_run(const struct study *st, struct store *s, uint64_t *seed, struct err *err)
{
    int rc = store_begin(s, err);
    if (rc < 0)
        return rc;
    rc = store_run_start(s, &st->ex->run_row, err);
    if (rc == 0)
        rc = put_dir_attr(st, s, err);
    if (rc == 0)
        rc = choose_seed(st, s, seed, err);
    if (rc == 0)
        rc = put_metric_name(st, s, err);
    return end_batch(s, rc, err);
}

/* A run that was stopped while it waited for the store leaves nothing there. */
static int if_wanted(const struct executor *ex, struct err *err)
{
    return atomic_load(&ex->over) ? err_set(err, ERR_STOPPED, "the run is over") : 0;
}

/* Runs while the loop does not touch this study's sampler yet: that learns here, without copies.
 * Others may write while it does. */
static int open_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct open_job *o = CONTAINER_OF(job, struct open_job, job);
    struct study *st = o->st;
    int64_t counts[TRIAL_STATES];
    const struct store_each_opts failed = {.states = STORE_STATE_BIT(TRIAL_FAIL),
                                           .want = WANT_USER_ATTRS};
    o->view = st->view;
    o->view.interrupted = 0;
    o->keeps = store_keeps_trainings(s);
    int rc = if_wanted(st->ex, err);
    if (rc == 0)
        rc = spool_adopt(st->ex, err);
    if (rc == 0)
        rc = enter_study(st, s, err);
    if (rc == 0)
        rc = store_trials_sync(s, st->id, study_want(st), learn, o, err);
    if (rc == 0)
        rc = check_space(st, err);
    if (rc == 0)
        rc = if_wanted(st->ex, err);
    if (rc == 0)
        rc = enter_run(st, s, &o->view.seed, err);
    if (rc == 0)
        atomic_store(&st->ex->entered, true);
    sampler_set_seed(st->sampler, o->view.seed);
    if (rc == 0)
        rc = store_trials_each(s, st->id, &failed, count_interrupted, &o->view.interrupted, err);
    if (rc == 0)
        rc = store_study_counts(s, st->id, counts, err);
    if (rc == 0)
        o->view.counts = study_counts(counts);
    return rc;
}

void study_store_lost(struct study *st, const struct err *err)
{
    if (st->ex->result->err.code == ERR_NONE)
        st->ex->result->err = *err;
}

static void open_done(struct storeq_job *job)
{
    AUTO_FREE struct open_job *o = CONTAINER_OF(job, struct open_job, job);
    struct study *st = o->st;
    const struct sw_counts *c = &o->view.counts;
    if (st->ex->over)
        return; /* it came too late */
    if (job->rc < 0) {
        log_event(LOG_ERROR, "study_not_opened", LOG_TEXT("study", st->view.name),
                  LOG_TEXT("error", job->err.msg));
        study_store_lost(st, &job->err);
        executor_feed(st->ex, (struct sw_event){.type = SW_EV_LOST});
        return;
    }
    if (st->training && !o->keeps && st->index == 0)
        executor_notice(st->ex, "this store keeps no training_runs: forkless triage will not see "
                                "these trainings");
    st->view = o->view;
    st->view.known = true;
    st->view.done_before = study_done(st);
    log_event(LOG_INFO, "study_open", LOG_TEXT("study", st->view.name),
              LOG_INT("seed", st->view.seed), LOG_FLAG("drawn", !st->spec->seeded),
              LOG_INT("trials", c->complete + c->pruned + c->failed));
    executor_feed(st->ex, (struct sw_event){.type = SW_EV_OPENED,
                                            .study = st->index,
                                            .counts = *c,
                                            .attempts = c->complete + c->pruned + c->failed -
                                                        st->view.interrupted});
}

void study_open(struct study *st)
{
    struct open_job *o = calloc(1, sizeof(*o));
    if (o == NULL) {
        executor_feed(st->ex, (struct sw_event){.type = SW_EV_LOST});
        return;
    }
    o->job = (struct storeq_job){.kind = STOREQ_READ, .run = open_run, .done = open_done};
    o->st = st;
    storeq_push(st->ex->storeq, &o->job);
}
