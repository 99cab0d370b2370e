/* One trial: its parameters, its directory, what it reports, its outcome. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "executor/internal.h"

/* Values that the store already has for a queued trial, by the names of the space. */
static void fix_stored(struct run *r, const struct trial *t)
{
    const struct space *space = &r->study->spec->space;
    for (size_t i = 0; t != NULL && i < t->n_params; i++) {
        int at = space_find(space, t->params[i].name);
        if (at >= 0 && dist_compatible(&space->params[at].dist, t->params[i].dist))
            r->fixed[at] = t->params[i].value;
    }
}

/* What is wrong with enqueued values is kept with the trial, whatever becomes of it, as an
 * attribute; and added to r->message, to be told and cleared. */
static void note_enqueued(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void note_enqueued(struct run *r, const char *fmt, ...)
{
    char note[300];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
    size_t said = strlen(r->message);
    (void)snprintf(r->message + said, sizeof(r->message) - said, "%s%.200s", said > 0 ? "; " : "",
                   note);
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    json_t *notes = json_object_get(r->new_attrs, ATTR_ENQUEUED);
    if (notes == NULL) {
        notes = json_array();
        (void)json_object_set_new(r->new_attrs, ATTR_ENQUEUED, notes);
    }
    AUTO(buf_free) struct buf text = BUF_INIT; /* the note may be cut within a character */
    json_put_string(&text, note);
    (void)json_array_append_new(notes, json_read(buf_str(&text), text.len, NULL));
}

/* Takes an enqueued value for a parameter; false when it cannot be one. As Optuna has it, one out
 * of range is used. */
static bool take_enqueued(struct run *r, const char *name, const struct dist *dist,
                          const json_t *external, double *out, struct err *err)
{
    if (dist_internal(dist, external, out, err) < 0) {
        note_enqueued(r, "enqueued %.60s is not used: %.200s", name, err->msg);
        return false;
    }
    if (!dist_contains(dist, *out)) {
        AUTO(buf_free) struct buf value = BUF_INIT;
        dist_put_value_json(&value, dist, *out);
        note_enqueued(r, "enqueued %.60s is out of range: %.100s", name, buf_str(&value));
    }
    return true;
}

/* Which of its parameters, or of the space before it has any, was meant; NULL: none. */
static const char *meant(const struct run *r, const char *name)
{
    const struct space *space = &r->study->spec->space;
    size_t n = r->n_params > 0 ? r->n_params : space->n;
    AUTO_FREE const char **names = calloc(n + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < n; i++)
        names[i] = r->n_params > 0 ? r->params[i]->name : space->params[i].name;
    return names != NULL ? text_nearest(name, names, n) : NULL;
}

static void note_unknown(struct run *r, const char *name, const char *what)
{
    const char *near = meant(r, name);
    note_enqueued(r, "enqueued %.60s %s%s%.60s%s", name, what,
                  near != NULL ? ": did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
}

/* Values that a user enqueued (fixed_params). */
static void fix_enqueued(struct run *r, const char *json)
{
    const struct space *space = &r->study->spec->space;
    struct err err;
    if (json == NULL)
        return;
    r->fixed_params = json_read_python(json, strlen(json), &err);
    if (r->fixed_params == NULL)
        note_enqueued(r, "enqueued parameters are not used: %.200s", err.msg);
    const char *name;
    json_t *value;
    json_object_foreach(r->fixed_params, name, value)
    {
        int at = space_find(space, name);
        if (at >= 0)
            (void)take_enqueued(r, name, &space->params[at].dist, value, &r->fixed[at], &err);
        else if (space->n > 0) /* else all are asked for by the worker */
            note_unknown(r, name, "is no parameter of the space");
    }
}

void run_tell_enqueued(struct run *r)
{
    if (r->message[0] != '\0')
        executor_notice(r->study->ex, "trial %" PRId64 ": %s", r->number, r->message);
    r->message[0] = '\0';
}

struct run *run_create(struct study *st, const struct store_claim *c)
{
    size_t n = st->spec->space.n;
    struct run *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->study = st;
    r->id = c->id;
    r->number = c->number;
    r->refs = 1;
    r->dir_fd = r->params_fd = -1;
    r->value = NAN;
    r->seed = spec_trial_seed(st->view.seed, c->number);
    r->values = calloc(n + 1, sizeof(*r->values));
    r->active = calloc(n + 1, sizeof(*r->active));
    r->fixed = calloc(n + 1, sizeof(*r->fixed));
    if (r->values == NULL || r->active == NULL || r->fixed == NULL) {
        run_unref(r);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        r->fixed[i] = NAN;
    if (c->kind == CLAIM_QUEUED) {
        fix_stored(r, c->trial);
        fix_enqueued(r, c->fixed_params);
        if (!ladder_restore(r, c->trial)) {
            run_unref(r);
            return NULL;
        }
        if (r->rung > 0) /* what was enqueued is what failed */
            fix_stored(r, c->trial);
    }
    return r;
}

static void param_free(struct run_param *p)
{
    if (p->own_name != NULL)
        dist_free(&p->own_dist);
    free(p->own_name);
    free(p);
}

void run_unref(struct run *r)
{
    if (r == NULL || --r->refs > 0)
        return;
    for (size_t i = 0; i < r->n_params; i++)
        param_free(r->params[i]);
    cleanup_close(&r->params_fd);
    cleanup_close(&r->dir_fd);
    free(r->dir);
    free(r->values);
    free(r->active);
    free(r->fixed);
    free(r->params);
    free(r->steps);
    free(r->instead);
    json_decref(r->ladder);
    json_decref(r->fixed_params);
    json_decref(r->new_attrs);
    json_decref(r->forks.from);
    json_decref(r->new_rungs);
    json_decref(r->rows);
    free(r);
}

/* Room for one more; the caller fills it. NULL when out of memory. */
static struct run_param *add_param(struct run *r)
{
    if (r->n_params == r->cap_params) {
        size_t cap = r->cap_params > 0 ? 2 * r->cap_params : r->study->spec->space.n + 4;
        struct run_param **params = realloc(r->params, cap * sizeof(*params));
        if (params == NULL)
            return NULL;
        r->params = params;
        r->cap_params = cap;
    }
    struct run_param *p = calloc(1, sizeof(*p));
    if (p != NULL)
        r->params[r->n_params++] = p;
    return p;
}

int run_sample(struct run *r, struct err *err)
{
    struct study *st = r->study;
    const struct space *space = &st->spec->space;
    int rc = sampler_ask(st->sampler, r->number, r->fixed, r->values, r->active, err);
    for (size_t i = 0; rc == 0 && i < space->n; i++) {
        if (!r->active[i])
            continue;
        struct run_param *p = add_param(r);
        if (p == NULL)
            return err_set(err, ERR_NOMEM, "parameters of trial %" PRId64, r->number);
        *p = (struct run_param){
            .name = space->params[i].name, .dist = &space->params[i].dist, .value = r->values[i]};
    }
    return rc;
}

static const struct run_param *find_param(const struct run *r, const char *name)
{
    for (size_t i = 0; i < r->n_params; i++) {
        if (strcmp(r->params[i]->name, name) == 0)
            return r->params[i];
    }
    return NULL;
}

/* The value for a parameter that the trial does not have yet: enqueued, or the sampler's. */
static int choose(struct run *r, const char *name, const struct dist *dist, double *value,
                  struct err *err)
{
    const json_t *enqueued = json_object_get(r->fixed_params, name);
    if (enqueued != NULL) {
        bool taken = take_enqueued(r, name, dist, enqueued, value, err);
        run_tell_enqueued(r);
        if (taken)
            return 0;
    }
    return sampler_suggest(r->study->sampler, r->number, name, dist, value, err);
}

int run_suggest(struct run *r, const char *name, struct dist *dist, double *value, struct err *err)
{
    const struct run_param *known = find_param(r, name);
    if (known != NULL) {
        if (!dist_compatible(known->dist, dist))
            return err_set(err, ERR_CONFLICT, "suggest %s: another distribution than before", name);
        *value = known->value;
        return 0;
    }
    if (r->n_params >= RUN_MAX_PARAMS)
        return err_set(err, ERR_INVALID, "suggest %s: a trial may have %u parameters", name,
                       RUN_MAX_PARAMS);
    int rc = known_note(&r->study->known, name, dist, err);
    if (rc == 0)
        rc = choose(r, name, dist, value, err);
    if (rc < 0)
        return rc;
    char *own_name = strdup(name);
    struct run_param *p = own_name != NULL ? add_param(r) : NULL;
    if (p == NULL) {
        free(own_name);
        return err_set(err, ERR_NOMEM, "suggest %s", name);
    }
    *p = (struct run_param){.value = *value, .own_name = own_name, .own_dist = *dist};
    p->name = p->own_name;
    p->dist = &p->own_dist;
    *dist = (struct dist){0}; /* taken */
    return 0;
}

void run_put_params(struct buf *b, const struct run *r)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < r->n_params; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        json_put_string(b, r->params[i]->name);
        buf_puts(b, ": ");
        dist_put_value_json(b, r->params[i]->dist, r->params[i]->value);
    }
    buf_putc(b, '}');
}

struct trial run_view(const struct run *r, struct trial_param *params)
{
    for (size_t i = 0; i < r->n_params; i++)
        params[i] =
            (struct trial_param){r->params[i]->name, r->params[i]->dist, r->params[i]->value};
    return (struct trial){
        .id = r->id,
        .number = r->number,
        .state = r->ended ? r->state : TRIAL_RUNNING,
        .values = &r->value,
        .n_values = r->ended && r->state != TRIAL_FAIL && !isnan(r->value) ? 1 : 0,
        .params = params,
        .n_params = r->n_params,
        .steps = &r->last, /* of the others only the pruner learns, and it knows them */
        .n_steps = r->all_steps > 0,
    };
}

struct spec_trial run_spec_trial(const struct run *r)
{
    return (struct spec_trial){.values = r->values,
                               .active = r->active,
                               .number = r->number,
                               .seed = r->seed,
                               .dir = r->dir,
                               .instead = r->instead,
                               .n_instead = r->n_instead};
}

/* The directory may be that of an older trial of the same number, from a store that is no more:
 * what that one left must not pass for this one's. */
static void clear_dir(const struct run *r)
{
    static const char *const names[] = {
        "stdout.log",   "stdout.log.1",  "stdout.log.gone", "stderr.log.gone", "stderr.log",
        "stderr.log.1", "evidence.json", "evidence.txt",    "forks.jsonl",     "model.ubj"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlinkat(r->dir_fd, names[i], 0); /* mostly there is none */
}

static int open_params(const struct run *r)
{
    return openat(r->dir_fd, "params.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static int make_dir(struct run *r, struct err *err)
{
    struct study *st = r->study;
    char name[32];
    (void)snprintf(name, sizeof(name), "%" PRId64, r->number);
    if (asprintf(&r->dir, "%s/%s", st->dir, name) < 0) {
        r->dir = NULL;
        return err_set(err, ERR_NOMEM, "directory of trial %s", name);
    }
    bool made = mkdirat(st->dir_fd, name, 0755) == 0;
    if (!made && errno != EEXIST)
        return err_sys(err, errno, "make %s", r->dir);
    r->dir_fd = openat(st->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir_fd < 0)
        return err_sys(err, errno, "open %s", r->dir);
    if (!made)
        clear_dir(r);
    r->params_fd = open_params(r);
    return r->params_fd >= 0 ? 0 : err_sys(err, errno, "make %s/params.json", r->dir);
}

void run_make_dir(struct run *r)
{
    (void)make_dir(r, &r->dir_err);
}

int run_write_params(struct run *r, struct err *err)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    const struct spec_trial t = run_spec_trial(r);
    AUTO_CLOSE int fd = TAKE_FD(r->params_fd);
    if (r->dir_err.code != ERR_NONE) {
        *err = r->dir_err;
        return -(int)err->code;
    }
    spec_put_params(&b, r->study->spec, &t);
    buf_putc(&b, '\n');
    if (b.failed)
        return err_set(err, ERR_NOMEM, "%s/params.json", r->dir);
    if (write(fd, b.data, b.len) != (ssize_t)b.len)
        return err_sys(err, errno, "write %s/params.json", r->dir);
    return 0;
}

void run_drop_dir(struct run *r)
{
    if (r->params_fd >= 0)
        (void)close(TAKE_FD(r->params_fd));
    if (r->dir_fd < 0)
        return;
    char name[32];
    (void)snprintf(name, sizeof(name), "%" PRId64, r->number);
    (void)unlinkat(r->dir_fd, "params.json", 0);
    (void)unlinkat(r->study->dir_fd, name, AT_REMOVEDIR); /* one that was there before may stay */
}

/* Asks the pruner. A rung of ASHA that is completed is told to the store as Optuna does, so that
 * its pruner counts this trial too. */
static int judge(struct run *r, int64_t step, double value, bool *prune, struct err *err)
{
    struct pruner *p = r->study->pruner;
    int rung, first = pruner_rungs(p, r->number);
    int rc = pruner_report(p, r->number, step, value, prune, &rung, err);
    for (int i = first; rc == 0 && i <= rung; i++) {
        char key[40];
        (void)snprintf(key, sizeof(key), "completed_rung_%d", i);
        if (r->new_rungs == NULL)
            r->new_rungs = json_object();
        (void)json_object_set_new(r->new_rungs, key, json_real(value)); /* NaN: no rung */
    }
    return rc;
}

/* As with Optuna the first value of a step stays. (The store sees to steps before the last.) */
static void tell_repeated(struct run *r, int64_t step)
{
    if (!r->repeat_told)
        log_event(LOG_WARNING, "step_reported_again", LOG_TEXT("study", r->study->view.name),
                  LOG_INT("trial", r->number), LOG_INT("step", step));
    r->repeat_told = true;
}

int run_report(struct run *r, int64_t step, double value, bool *prune, struct err *err)
{
    struct study *st = r->study;
    *prune = r->prune_wanted;
    if (r->all_steps >= RUN_MAX_STEPS)
        return 0; /* a loop that went wild: what it says is neither kept nor judged any more */
    if (r->all_steps > 0 && step == r->last.step) {
        tell_repeated(r, step);
        return 0;
    }
    if (r->n_steps == r->cap_steps) {
        size_t cap = r->cap_steps > 0 ? 2 * r->cap_steps : 16;
        struct trial_step *steps = realloc(r->steps, cap * sizeof(*steps));
        if (steps == NULL)
            return err_set(err, ERR_NOMEM, "intermediate values of trial %" PRId64, r->number);
        r->steps = steps;
        r->cap_steps = cap;
    }
    r->steps[r->n_steps++] = (struct trial_step){step, value};
    if (r->all_steps++ == 0 || step > r->last.step)
        r->last = (struct trial_step){step, value};
    *prune = false;
    int rc = st->pruner != NULL ? judge(r, step, value, prune, err) : 0;
    r->prune_wanted = r->prune_wanted || *prune;
    record_reports(r);
    return rc;
}

/* Where the worker names the parameters, only its end shows which of the enqueued ones are none. */
static void note_unasked(struct run *r)
{
    const char *name;
    json_t *value;
    if (r->study->spec->space.n > 0)
        return;
    json_object_foreach(r->fixed_params, name, value)
    {
        if (find_param(r, name) == NULL)
            note_unknown(r, name, "was not asked for");
    }
    run_tell_enqueued(r);
}

/* An outcome whose parameters or reports the store lacks would be a lie. */
static bool fail_unstored(struct run *r)
{
    if (r->refused.code == ERR_NONE)
        return false;
    run_fail(r, FAIL_STORAGE, "not stored: %s", r->refused.msg);
    return true;
}

void run_complete(struct run *r, double value)
{
    if (r->ended)
        return;
    if (fail_unstored(r))
        return;
    if (isnan(value)) {
        run_fail(r, FAIL_NAN, "%s is not a number", r->study->spec->study.metric);
        return;
    }
    note_unasked(r);
    r->ended = true;
    r->state = TRIAL_COMPLETE;
    r->value = value;
}

void run_pruned(struct run *r)
{
    if (r->ended || fail_unstored(r))
        return;
    r->ended = true;
    r->state = TRIAL_PRUNED;
    /* Optuna: a pruned trial's value is that of its largest step, unless that is NaN */
    if (r->all_steps > 0)
        r->value = r->last.value;
}

void run_fail(struct run *r, enum fail_class fail, const char *fmt, ...)
{
    if (r->ended)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->message, sizeof(r->message), fmt, ap);
    va_end(ap);
    r->message[strcspn(r->message, "\n")] = '\0';
    r->ended = true;
    r->state = TRIAL_FAIL;
    r->fail = fail;
    r->value = NAN;
}
