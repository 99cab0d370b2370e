/* A study's dealings with the store: jobs that open it, claim trials, write what they report and
 * their outcome; and the sampler and pruner that learn from it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/internal.h"

#define ATTR_CLASS "forkless:class"
#define ATTR_MESSAGE "forkless:message"
#define ATTR_DIR "forkless:dir"

/* --- owners
 * --------------------------------------------------------------------------------------- */

static bool first_word_of(const char *path, char *out, size_t n)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL || fgets(out, (int)n, f) == NULL)
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}

/* Start of a process in clock ticks since boot (field 22 of stat): with its pid it names a process
 * once. */
static bool start_time(pid_t pid, unsigned long long *ticks)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!first_word_of(path, text, sizeof(text)))
        return false;
    const char *end = strrchr(text, ')');
    return end != NULL &&
           sscanf(end + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                  "%*d %*d %llu",
                  ticks) == 1;
}

static void here(char *out, size_t n)
{
    char boot[64] = "?", pidns[64] = "?";
    (void)first_word_of("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    ssize_t len = readlink("/proc/self/ns/pid", pidns, sizeof(pidns) - 1);
    pidns[len > 0 ? len : 0] = '\0';
    (void)snprintf(out, n, "%s/%s", boot, pidns);
}

void owner_self(char *out, size_t n)
{
    char place[160];
    unsigned long long ticks = 0;
    here(place, sizeof(place));
    (void)start_time(getpid(), &ticks);
    (void)snprintf(out, n, "%s/%d/%llu", place, (int)getpid(), ticks);
}

bool owner_is_dead(const char *owner)
{
    char place[160];
    here(place, sizeof(place));
    size_t n = strlen(place);
    int pid;
    unsigned long long ticks, now;
    if (strncmp(owner, place, n) != 0 || sscanf(owner + n, "/%d/%llu", &pid, &ticks) != 2)
        return false; /* on another machine or in another container: its heartbeat tells */
    return !start_time(pid, &now) || now != ticks;
}

/* --- set-up
 * ---------------------------------------------------------------------------------------- */

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
        *p = *p == '/' ? '_' : *p;
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

static int write_xgboost_conf(struct study *st, struct err *err)
{
    if (asprintf(&st->xgboost_conf, "%s/xgboost.json", st->dir) < 0) {
        st->xgboost_conf = NULL;
        return err_set(err, ERR_NOMEM, "xgboost.json");
    }
    const char *text = st->spec->run.config;
    AUTO_FCLOSE FILE *f = fopen(st->xgboost_conf, "we");
    if (f == NULL || fputs(text, f) < 0 || fflush(f) != 0)
        return err_sys(err, errno, "write %s", st->xgboost_conf);
    return spawn_find_own(&st->program, "forkless-xgboost", err);
}

int study_init(struct study *st, struct executor *ex, int index, struct err *err)
{
    const struct spec *spec = &ex->conf->cells[index];
    *st = (struct study){.ex = ex, .index = index, .spec = spec, .dir_fd = -1};
    st->view.name = spec->study.name;
    st->view.target = spec->budget.trials > 0 ? spec->budget.trials : spec->budget.complete;
    int rc = sampler_create(&st->sampler, &spec->sampler, err);
    if (rc == 0 && spec->pruner.kind != PRUNER_NONE)
        rc = pruner_create(&st->pruner, &spec->pruner, err);
    if (rc == 0)
        rc = open_dir(st, err);
    if (rc == 0 && spec->run.runner == RUN_XGBOOST)
        return write_xgboost_conf(st, err);
    if (rc == 0 && spec->run.runner == RUN_COMMAND && spec_program(spec) != NULL)
        rc = spawn_resolve(&st->program, spec_program(spec), spec->run.cwd, err);
    return rc;
}

void study_free(struct study *st)
{
    sampler_destroy(st->sampler);
    pruner_destroy(st->pruner);
    cleanup_close(&st->dir_fd);
    free(st->dir);
    free(st->program);
    free(st->xgboost_conf);
}

static bool better(const struct study *st, double a, double b)
{
    return st->spec->study.direction == DIRECTION_MAXIMIZE ? a > b : a < b;
}

static void note_best(const struct study *st, struct executor_study *view, const struct trial *t)
{
    if (t->state != TRIAL_COMPLETE || t->n_values != 1)
        return;
    if (!view->has_best || better(st, t->values[0], view->best_value)) {
        view->has_best = true;
        view->best_value = t->values[0];
        view->best_number = t->number;
    }
}

/* Who learns from trials: the study's sampler and pruner, and the best value of a view of it. */
struct learner {
    struct study *study;
    struct executor_study *view;
};

/* Out of memory here costs knowledge, not truth: the store has the trial. */
static int learn(void *ctx, const struct trial *t)
{
    const struct learner *l = ctx;
    struct study *st = l->study;
    struct err err;
    if (sampler_observe(st->sampler, t, &err) < 0 ||
        (st->pruner != NULL && pruner_observe(st->pruner, t, &err) < 0))
        log_event(LOG_WARNING, "trial_not_learnt", LOG_INT("trial", t->number),
                  LOG_TEXT("error", err.msg));
    note_best(st, l->view, t);
    return 0;
}

static unsigned want(const struct study *st)
{
    return WANT_PARAMS | (st->pruner != NULL ? WANT_STEPS : 0);
}

static struct sw_counts counts_of(const int64_t c[static TRIAL_STATES])
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

/* --- trials copied out of the store's thread -----------------------------------------------------
 */

struct copies {
    struct copied *head;
};
/* A trial with all it points to, in memory of its own. */
struct copied {
    struct copied *next;
    struct trial t;
    double value;
    struct trial_param *params;
    struct dist *dists;
    struct trial_step *steps;
};

static void copied_free(struct copied *c)
{
    for (size_t i = 0; i < c->t.n_params; i++) {
        free((char *)(uintptr_t)c->params[i].name);
        dist_free(&c->dists[i]);
    }
    free(c->params);
    free(c->dists);
    free(c->steps);
    free(c);
}

static int copy_trial(void *ctx, const struct trial *t)
{
    struct copies *all = ctx;
    struct copied *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ERR_NOMEM;
    c->t = (struct trial){.id = t->id,
                          .number = t->number,
                          .state = t->state,
                          .values = &c->value,
                          .n_values = t->n_values == 1 ? 1 : 0};
    c->value = t->n_values == 1 ? t->values[0] : NAN;
    c->params = calloc(t->n_params + 1, sizeof(*c->params));
    c->dists = calloc(t->n_params + 1, sizeof(*c->dists));
    c->steps = calloc(t->n_steps + 1, sizeof(*c->steps));
    bool ok = c->params != NULL && c->dists != NULL && c->steps != NULL;
    for (size_t i = 0; ok && i < t->n_params; i++) {
        char *name = strdup(t->params[i].name);
        ok = name != NULL && dist_copy(&c->dists[i], t->params[i].dist, NULL) == 0;
        if (!ok) {
            free(name);
            break;
        }
        c->params[i] = (struct trial_param){name, &c->dists[i], t->params[i].value};
        c->t.n_params++;
    }
    if (!ok) {
        copied_free(c);
        return -ERR_NOMEM;
    }
    if (t->n_steps > 0)
        memcpy(c->steps, t->steps, t->n_steps * sizeof(*c->steps));
    c->t.n_steps = t->n_steps;
    c->t.params = c->params;
    c->t.steps = c->steps;
    c->next = all->head;
    all->head = c;
    return 0;
}

static void copies_free(struct copies *all)
{
    for (struct copied *c = all->head, *next; c != NULL; c = next) {
        next = c->next;
        copied_free(c);
    }
    all->head = NULL;
}

/* --- lost trials ---------------------------------------------------------------------------------
 */

struct lost {
    const char *self;
    int64_t ids[256];
    size_t n;
};

static int note_dead_owner(void *ctx, const struct store_running *r)
{
    struct lost *l = ctx;
    if (l->n < ARRAY_LEN(l->ids) && r->owner != NULL && strcmp(r->owner, l->self) != 0 &&
        owner_is_dead(r->owner))
        l->ids[l->n++] = r->id;
    return 0;
}

static int note_stale(void *ctx, const struct store_running *r)
{
    struct lost *l = ctx;
    if (l->n < ARRAY_LEN(l->ids) && (r->owner == NULL || strcmp(r->owner, l->self) != 0))
        l->ids[l->n++] = r->id;
    return 0;
}

static int fail_lost(const struct study *st, struct store *s, const int64_t *ids, size_t n,
                     struct err *err)
{
    const struct trial_attr attr = {ATTR_CLASS, "\"lost\""};
    int64_t times = st->spec->retry[FAIL_LOST].times;
    const struct store_retry retry = {.max_retries = times < 0 ? -1 : (int)times};
    for (size_t i = 0; i < n; i++) {
        int rc = store_trial_attrs(s, ids[i], ATTR_USER, &attr, 1, err);
        if (rc == 0)
            rc = store_trial_retry(s, ids[i], &retry, NULL, NULL, err);
        if (rc < 0 && rc != -ERR_FINISHED)
            return rc;
    }
    return 0;
}

/* Trials whose executor is gone: on this machine at once, elsewhere when their heartbeat is stale.
 */
int study_reap_lost(const struct study *st, struct store *s, struct err *err)
{
    struct lost l = {.self = st->ex->owner};
    double grace_s = 3.0 * (double)st->spec->report.heartbeat_ms / 1000.0;
    int rc = store_running_each(s, st->id, note_dead_owner, &l, err);
    if (rc == 0)
        rc = store_stale_each(s, st->id, grace_s, note_stale, &l, err);
    return rc == 0 ? fail_lost(st, s, l.ids, l.n, err) : rc;
}

/* --- opening
 * -------------------------------------------------------------------------------------- */

struct open_job {
    struct storeq_job job;
    struct study *st;
    int64_t free_tries; /* failed trials that were no attempts */
    struct executor_study view;
};

static int count_free_try(void *ctx, const struct trial *t)
{
    int64_t *n = ctx;
    for (size_t i = 0; i < t->n_user_attrs; i++) {
        if (strcmp(t->user_attrs[i].key, ATTR_CLASS) == 0)
            *n += strcmp(t->user_attrs[i].json, "\"preempted\"") == 0 ||
                  strcmp(t->user_attrs[i].json, "\"lost\"") == 0;
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

/* Runs while the loop does not touch this study's sampler yet: that learns here, without copies. */
static int open_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct open_job *o = CONTAINER_OF(job, struct open_job, job);
    struct study *st = o->st;
    int64_t counts[TRIAL_STATES];
    const struct store_each_opts failed = {.states = STORE_STATE_BIT(TRIAL_FAIL),
                                           .want = WANT_USER_ATTRS};
    const struct learner learner = {st, &o->view};
    o->free_tries = 0;
    o->view = st->view;
    int rc = store_run_start(s, &st->ex->run_row, err);
    if (rc == 0)
        rc = store_study_open(s, st->spec->study.name, &st->spec->study.direction, 1, &st->id, err);
    if (rc == 0)
        rc = put_dir_attr(st, s, err);
    if (rc == 0)
        rc = put_metric_name(st, s, err);
    if (rc == 0)
        rc = study_reap_lost(st, s, err);
    if (rc == 0)
        rc = store_trials_sync(s, st->id, want(st), learn, (void *)(uintptr_t)&learner, err);
    if (rc == 0)
        rc = store_trials_each(s, st->id, &failed, count_free_try, &o->free_tries, err);
    if (rc == 0)
        rc = store_study_counts(s, st->id, counts, err);
    if (rc == 0)
        o->view.counts = counts_of(counts);
    return rc;
}

static void store_lost(struct executor *ex, const struct err *err)
{
    if (ex->result->err.code == ERR_NONE)
        ex->result->err = *err;
}

static void open_done(struct storeq_job *job)
{
    AUTO_FREE struct open_job *o = CONTAINER_OF(job, struct open_job, job);
    struct study *st = o->st;
    const struct sw_counts *c = &o->view.counts;
    if (job->rc < 0) {
        store_lost(st->ex, &job->err);
        executor_feed(st->ex, (struct sw_event){.type = SW_EV_LOST});
        return;
    }
    st->view = o->view;
    st->ex->done_before += study_done(st);
    executor_feed(
        st->ex, (struct sw_event){.type = SW_EV_OPENED,
                                  .study = st->index,
                                  .counts = *c,
                                  .attempts = c->complete + c->pruned + c->failed - o->free_tries});
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

/* --- claims
 * ----------------------------------------------------------------------------------------- */

struct claim_job {
    struct storeq_job job;
    struct study *st;
    int slot;
    struct store_claim claim; /* its pointers are dead after run() */
    struct run *run;
    int tries;
    struct sw_counts counts;
    struct copies news;
};

/* How often the trial was tried before: the length of Optuna's retry_history. */
static int tries_of(const struct trial *t)
{
    for (size_t i = 0; t != NULL && i < t->n_system_attrs; i++) {
        if (strcmp(t->system_attrs[i].key, "retry_history") == 0) {
            const char *json = t->system_attrs[i].json;
            AUTO_JSON json_t *list = json_read(json, strlen(json), NULL);
            return (int)json_array_size(list);
        }
    }
    return 0;
}

static int claim_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    struct study *st = c->st;
    bool complete_only = st->spec->budget.complete > 0;
    int64_t counts[TRIAL_STATES];
    const struct store_claim_opts opts = {
        .target = st->view.target > 0 ? st->view.target : -1,
        .target_states =
            STORE_STATE_BIT(TRIAL_COMPLETE) | (complete_only ? 0 : STORE_STATE_BIT(TRIAL_PRUNED)),
        .owner = st->ex->owner,
    };
    run_unref(TAKE(c->run));
    copies_free(&c->news);
    int rc = store_trials_sync(s, st->id, want(st), copy_trial, &c->news, err);
    if (rc == 0)
        rc = store_trial_claim(s, st->id, &opts, &c->claim, err);
    if (rc == 0 && (c->claim.kind == CLAIM_NEW || c->claim.kind == CLAIM_QUEUED)) {
        c->tries = tries_of(c->claim.trial);
        c->run = run_create(st, &c->claim);
        rc = c->run != NULL ? store_heartbeat(s, &c->claim.id, 1, err)
                            : err_set(err, ERR_NOMEM, "trial %" PRId64, c->claim.number);
    }
    if (rc == 0)
        rc = store_study_counts(s, st->id, counts, err);
    if (rc == 0)
        c->counts = counts_of(counts);
    return rc;
}

/* A UTC time on the sweep's clock. */
static uint64_t on_loop_clock(struct executor *ex, int64_t utc_us)
{
    int64_t wait_ms = (utc_us - clock_utc_us()) / 1000;
    return executor_now(ex) + (uint64_t)(wait_ms > 0 ? wait_ms + 1 : 1);
}

static void claim_done(struct storeq_job *job)
{
    struct claim_job *c = CONTAINER_OF(job, struct claim_job, job);
    struct study *st = c->st;
    struct executor *ex = st->ex;
    struct sw_event ev = {.type = SW_EV_CLAIMED,
                          .slot = c->slot,
                          .study = st->index,
                          .claim = SW_CLAIM_FAILED,
                          .counts = c->counts,
                          .tries = c->tries};
    struct learner learner = {st, &st->view};
    for (struct copied *n = c->news.head; n != NULL; n = n->next)
        (void)learn(&learner, &n->t);
    if (job->rc < 0) {
        store_lost(ex, &job->err);
    } else {
        st->view.counts = c->counts;
        switch (c->claim.kind) {
        case CLAIM_NEW:
        case CLAIM_QUEUED:
            ev.claim = SW_CLAIM_OK;
            c->run->tries = c->tries;
            if (c->run->message[0] != '\0')
                executor_notice(ex, "trial %" PRId64 ": %s", c->run->number, c->run->message);
            c->run->message[0] = '\0';
            ex->slots[c->slot].claimed = TAKE(c->run);
            break;
        case CLAIM_LATER:
            ev.claim = c->claim.due_us > 0 ? SW_CLAIM_LATER : SW_CLAIM_FULL;
            ev.due_ms = c->claim.due_us > 0 ? on_loop_clock(ex, c->claim.due_us) : 0;
            break;
        case CLAIM_FULL:
            ev.claim = SW_CLAIM_FULL;
            break;
        }
    }
    run_unref(c->run);
    copies_free(&c->news);
    free(c);
    slot_claimed(&ex->slots[ev.slot], ev);
}

void study_claim(struct study *st, int slot)
{
    struct claim_job *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        slot_claimed(&st->ex->slots[slot], (struct sw_event){.type = SW_EV_CLAIMED,
                                                             .slot = slot,
                                                             .study = st->index,
                                                             .claim = SW_CLAIM_FAILED});
        return;
    }
    c->job = (struct storeq_job){.kind = STOREQ_CLAIM, .run = claim_run, .done = claim_done};
    c->st = st;
    c->slot = slot;
    storeq_push(st->ex->storeq, &c->job);
}

/* --- what a running trial reports ----------------------------------------------------------------
 */

struct flush_job {
    struct storeq_job job;
    struct run *run;
    struct trial_param *params; /* names and distributions are the run's */
    size_t n_params;
    struct trial_step *steps;
    size_t n_steps;
    json_t *attrs;
};

static int put_attrs(struct store *s, int64_t id, json_t *attrs, struct err *err)
{
    int rc = 0;
    const char *key;
    json_t *value;
    json_object_foreach(attrs, key, value)
    {
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        const struct trial_attr a = {key, text};
        rc = text != NULL ? store_trial_attrs(s, id, ATTR_USER, &a, 1, err)
                          : err_set(err, ERR_NOMEM, "attribute %s", key);
        if (rc < 0)
            break;
    }
    return rc;
}

static int flush_run(struct storeq_job *job, struct store *s, struct err *err)
{
    const struct flush_job *f = CONTAINER_OF(job, struct flush_job, job);
    int rc = 0;
    if (f->n_params > 0)
        rc = store_trial_params(s, f->run->id, f->params, f->n_params, err);
    if (rc == 0 && f->n_steps > 0)
        rc = store_trial_steps(s, f->run->id, f->steps, f->n_steps, err);
    return rc == 0 ? put_attrs(s, f->run->id, f->attrs, err) : rc;
}

static void flush_free(struct flush_job *f)
{
    run_unref(f->run);
    free(f->params);
    free(f->steps);
    json_decref(f->attrs);
    free(f);
}

static void flush_done(struct storeq_job *job)
{
    struct flush_job *f = CONTAINER_OF(job, struct flush_job, job);
    if (job->rc < 0)
        log_event(LOG_WARNING, "trial_not_written", LOG_TEXT("study", f->run->study->view.name),
                  LOG_INT("trial", f->run->number), LOG_TEXT("error", job->err.msg));
    flush_free(f);
}

/* Takes what is new in the run. */
static struct flush_job *take_news(struct run *r)
{
    struct flush_job *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->job = (struct storeq_job){.kind = STOREQ_WRITE, .run = flush_run, .done = flush_done};
    f->run = r;
    r->refs++;
    f->params = calloc(r->n_params + 1, sizeof(*f->params));
    f->steps = calloc(r->n_steps - r->stored_steps + 1, sizeof(*f->steps));
    if (f->params == NULL || f->steps == NULL) {
        flush_free(f);
        return NULL;
    }
    for (; r->stored_params < r->n_params; r->stored_params++) {
        const struct run_param *p = r->params[r->stored_params];
        f->params[f->n_params++] = (struct trial_param){p->name, p->dist, p->value};
    }
    for (; r->stored_steps < r->n_steps; r->stored_steps++)
        f->steps[f->n_steps++] = r->steps[r->stored_steps];
    f->attrs = TAKE(r->new_attrs);
    return f;
}

void study_flush(struct run *r)
{
    struct flush_job *f = take_news(r);
    if (f != NULL)
        storeq_push(r->study->ex->storeq, &f->job);
    else
        log_event(LOG_WARNING, "trial_not_written", LOG_INT("trial", r->number),
                  LOG_TEXT("error", "out of memory"));
}

/* --- outcomes
 * -------------------------------------------------------------------------------------- */

struct finish_job {
    struct storeq_job job;
    struct run *run;
    struct sw_action action;
    int64_t retry_at_us;
    struct sw_counts counts;
};

static const char *cell_value(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_cell; i++) {
        if (strcmp(spec->cell[i].name, name) == 0)
            return spec->cell[i].value;
    }
    return NULL;
}

static int put_row(const struct run *r, const json_t *row, const char *params, struct store *s,
                   struct err *err)
{
    const struct spec *spec = r->study->spec;
    const json_t *buys = json_object_get(row, "buy_trades");
    AUTO_FREE char *metrics = json_dumps(json_object_get(row, "metrics"), 0);
    const struct store_result result = {
        .run_id = r->study->ex->run_row.run_id,
        .study = spec->study.name,
        .variant = json_string_value(json_object_get(row, "variant")),
        .fold = json_integer_value(json_object_get(row, "fold")),
        .crypto_symbol = cell_value(spec, "crypto"),
        .factor = cell_value(spec, "factor"),
        .trial_number = r->number,
        .objective = r->value,
        .direction = spec->study.direction,
        .run_status = "success",
        .params = params,
        .metrics = metrics,
        .buy_trades = json_is_integer(buys) ? json_integer_value(buys) : -1,
    };
    return store_results_put(s, &result, 1, err);
}

static int put_rows(const struct run *r, struct store *s, struct err *err)
{
    struct buf params = BUF_INIT;
    const struct spec_trial t = {.values = r->values,
                                 .active = r->active,
                                 .number = r->number,
                                 .seed = r->seed,
                                 .dir = r->dir};
    int rc = 0;
    size_t i;
    json_t *row;
    if (json_array_size(r->rows) > 0)
        spec_put_params(&params, r->study->spec, &t);
    json_array_foreach(r->rows, i, row)
    {
        rc = put_row(r, row, buf_str(&params), s, err);
        if (rc < 0)
            break;
    }
    buf_free(&params);
    return rc;
}

static int put_failure(const struct run *r, const struct sw_action *a, struct store *s,
                       struct err *err)
{
    struct buf b = BUF_INIT;
    json_put_string(&b, fail_class_name(a->fail));
    const struct trial_attr fail = {ATTR_CLASS, buf_str(&b)};
    int rc = store_trial_attrs(s, r->id, ATTR_USER, &fail, 1, err);
    if (rc == 0 && r->message[0] != '\0') {
        buf_clear(&b);
        json_put_string(&b, r->message);
        const struct trial_attr message = {ATTR_MESSAGE, buf_str(&b)};
        rc = store_trial_attrs(s, r->id, ATTR_USER, &message, 1, err);
    }
    buf_free(&b);
    return rc;
}

static int finish_run(struct storeq_job *job, struct store *s, struct err *err)
{
    struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    const struct run *r = f->run;
    const struct sw_action *a = &f->action;
    int64_t counts[TRIAL_STATES];
    int rc = a->fail != FAIL_NONE ? put_failure(r, a, s, err) : 0;
    const struct store_retry retry = {.max_retries = -1, .not_before_us = f->retry_at_us};
    if (rc == 0 && a->retry)
        rc = store_trial_retry(s, r->id, &retry, NULL, NULL, err);
    else if (rc == 0)
        rc = store_trial_finish(s, r->id, a->state, &r->value,
                                a->state != TRIAL_FAIL && !isnan(r->value) ? 1 : 0, err);
    if (rc == 0 && a->state == TRIAL_COMPLETE)
        rc = put_rows(r, s, err);
    int answer = rc; /* finished by somebody else: still an answer, with counts */
    if (rc == 0 || rc == -ERR_FINISHED)
        rc = store_study_counts(s, r->study->id, counts, err);
    if (rc == 0)
        f->counts = counts_of(counts);
    return rc < 0 ? rc : answer;
}

static void finish_done(struct storeq_job *job)
{
    AUTO_FREE struct finish_job *f = CONTAINER_OF(job, struct finish_job, job);
    struct study *st = f->run->study;
    struct executor *ex = st->ex;
    struct sw_event ev = {.type = SW_EV_SAVED,
                          .study = st->index,
                          .state = f->action.state,
                          .counts = f->counts,
                          .saved = SW_SAVED_OK};
    if (job->rc == -ERR_FINISHED) {
        ev.saved = SW_SAVED_TAKEN;
        log_event(LOG_WARNING, "trial_taken_over", LOG_TEXT("study", st->view.name),
                  LOG_INT("trial", f->run->number));
    } else if (job->rc < 0) {
        ev.saved = SW_SAVED_FAILED;
        store_lost(ex, &job->err);
        log_event(LOG_ERROR, "trial_not_stored", LOG_TEXT("study", st->view.name),
                  LOG_INT("trial", f->run->number), LOG_TEXT("error", job->err.msg));
    }
    if (job->rc == 0 || job->rc == -ERR_FINISHED)
        st->view.counts = f->counts;
    run_unref(f->run);
    executor_feed(ex, ev);
}

/* Our own trial, as soon as its outcome is known: the next one is chosen with it. */
static void learn_own(struct run *r)
{
    struct study *st = r->study;
    struct err err;
    AUTO_FREE struct trial_param *params = calloc(r->n_params + 1, sizeof(*params));
    if (params == NULL)
        return;
    struct trial t = run_view(r, params);
    if (sampler_observe(st->sampler, &t, &err) < 0 ||
        (st->pruner != NULL && r->ended &&
         pruner_finish(st->pruner, r->number, r->state, &err) < 0))
        log_event(LOG_WARNING, "trial_not_learnt", LOG_INT("trial", r->number),
                  LOG_TEXT("error", err.msg));
    if (r->ended)
        note_best(st, &st->view, &t);
}

void study_began(struct run *r)
{
    learn_own(r); /* as running: samplers keep others away from it */
    study_flush(r);
}

void study_finish(struct run *r, const struct sw_action *a)
{
    struct executor *ex = r->study->ex;
    if (!r->ended)
        run_fail(r, a->fail, "stopped before it started");
    learn_own(r);
    study_flush(r);
    struct finish_job *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        run_unref(r);
        executor_feed(ex, (struct sw_event){.type = SW_EV_SAVED,
                                            .study = a->study,
                                            .state = a->state,
                                            .saved = SW_SAVED_FAILED});
        return;
    }
    f->job = (struct storeq_job){.kind = STOREQ_DURABLE, .run = finish_run, .done = finish_done};
    f->run = r;
    f->action = *a;
    uint64_t now = executor_now(ex);
    if (a->retry && a->due_ms > now)
        f->retry_at_us = clock_utc_us() + (int64_t)(a->due_ms - now) * 1000;
    storeq_push(ex->storeq, &f->job);
}
