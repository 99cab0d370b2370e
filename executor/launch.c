/* What a worker is started with: its program and arguments, its environment, its share of the
 * machine. */
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/internal.h"

/* A retry may get another share than a first try. */
static uint64_t memory_of(const struct run *r)
{
    const struct spec *spec = r->study->spec;
    double memory = (double)spec->slots.memory_bytes;
    double factor = spec->retry[r->retry_of].memory_factor;
    for (int i = 0; r->retry_of != FAIL_NONE && i < r->tries && factor > 0; i++)
        memory *= factor;
    return memory < 9e18 ? (uint64_t)memory : 0;
}

static int threads_of(const struct run *r)
{
    const struct spec *spec = r->study->spec;
    double cpus = r->retry_of != FAIL_NONE ? spec->retry[r->retry_of].cpus : 0;
    return cpus >= 1 ? (int)cpus : r->study->ex->plan.threads;
}

/* The CPUs of a slot: so many as it has threads, of those that we may use; neighbours get others as
 * long as there are some. 0: any. Only the first 64 CPUs of a machine are dealt out. */
static uint64_t cpus_of(const struct run *r, int slot)
{
    cpu_set_t set;
    int ours[64], n = 0, threads = threads_of(r);
    uint64_t mask = 0;
    if (!r->study->spec->slots.pin || sched_getaffinity(0, sizeof(set), &set) < 0)
        return 0;
    for (size_t cpu = 0; cpu < 64; cpu++) {
        if (CPU_ISSET(cpu, &set))
            ours[n++] = (int)cpu;
    }
    for (int i = 0; n > 0 && i < threads && i < n; i++)
        mask |= 1ull << ours[(slot * threads + i) % n];
    return mask;
}

/* --- the environment ---------------------------------------------------------------------------
 */

enum { OUR_ENTRIES = 16 };

/* Entries in order of their weight: a name that is set already is not set again. */
struct env {
    char **v; /* NULL-terminated; room for all that can come */
    size_t n;
    char *ours[OUR_ENTRIES]; /* made here, owned */
    size_t n_ours;
    bool failed;
};

/* Among the first so many entries. */
static bool is_set(const struct env *e, size_t among, const char *entry)
{
    size_t n = strcspn(entry, "=") + 1; /* the name and its "=" */
    for (size_t i = 0; i < among; i++) {
        if (strncmp(e->v[i], entry, n) == 0)
            return true;
    }
    return false;
}

static void env_add(struct env *e, char *entry)
{
    if (!is_set(e, e->n, entry))
        e->v[e->n++] = entry;
}

/* They came as one environment, whose names differ: each is compared only with what was set before
 * all of them. */
static void env_add_base(struct env *e, char *const *base, size_t n_base)
{
    size_t before = e->n;
    for (size_t i = 0; i < n_base; i++) {
        if (!is_set(e, before, base[i]))
            e->v[e->n++] = base[i];
    }
}

static void env_printf(struct env *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void env_printf(struct env *e, const char *fmt, ...)
{
    va_list ap;
    char *entry;
    va_start(ap, fmt);
    int n = vasprintf(&entry, fmt, ap);
    va_end(ap);
    assert(e->n_ours < OUR_ENTRIES);
    if (n < 0) {
        e->failed = true;
        return;
    }
    e->ours[e->n_ours++] = entry;
    env_add(e, entry);
}

static void env_free(struct env *e)
{
    for (size_t i = 0; i < e->n_ours; i++)
        free(e->ours[i]);
    free(e->v);
}

/* The contract's variables, then the spec's, then what the executor has itself, then defaults that
 * give way to all of them. */
static int env_build(struct env *e, const struct run *r, const struct spec_strings *of_spec,
                     int slot, unsigned life, struct err *err)
{
    char *const *base = r->study->ex->base_env;
    size_t n_base = 0;
    int threads = threads_of(r);
    while (base[n_base] != NULL)
        n_base++;
    *e = (struct env){.v = calloc(of_spec->n + n_base + OUR_ENTRIES + 1, sizeof(*e->v))};
    if (e->v == NULL)
        return err_set(err, ERR_NOMEM, "environment of trial %" PRId64, r->number);
    env_printf(e, "FORKLESS_FD=%d", SPAWN_CHANNEL_FD);
    env_printf(e, "FORKLESS_STUDY=%s", r->study->view.name);
    env_printf(e, "FORKLESS_TRIAL=%" PRId64, r->number);
    env_printf(e, "FORKLESS_TRIAL_ID=%" PRId64, r->id);
    env_printf(e, "FORKLESS_PARAMS=%s/params.json", r->dir);
    env_printf(e, "FORKLESS_SEED=%" PRIu32, r->seed);
    env_printf(e, "FORKLESS_TRIAL_DIR=%s", r->dir);
    env_printf(e, "FORKLESS_THREADS=%d", threads);
    env_printf(e, "FORKLESS_WORKER=%s.%d.%u", r->study->ex->mark, slot, life);
    for (size_t i = 0; i < of_spec->n; i++)
        env_add(e, of_spec->v[i]);
    env_add_base(e, base, n_base);
    env_printf(e, "OMP_NUM_THREADS=%d", threads);
    /* libgomp's spinning makes threads on busy cores many times slower */
    env_printf(e, "OMP_WAIT_POLICY=passive");
    /* joblib's workers then never fork */
    env_printf(e, "LOKY_START_METHOD=spawn");
    return e->failed ? err_set(err, ERR_NOMEM, "environment of trial %" PRId64, r->number) : 0;
}

/* --- starting ------------------------------------------------------------------------------------
 */

/* In the spare process, when there is one. */
static int start(struct spawned *out, struct slot *s, const struct spawn_req *req, struct err *err)
{
    if (s->spare.pid != 0) {
        *out = s->spare;
        s->spare = (struct spawned){0};
        if (spawn_waits(out) && spawn_order(out, req, err) == 0)
            return 0;
        spawn_abandon(out); /* it was ended by somebody while it waited */
    }
    return spawn_worker(out, s->ex->stub, slot_spawn_flags(s), req, err);
}

static int spawn_with(struct spawned *out, struct slot *s, const struct run *r, char *const *argv,
                      const char *program, struct err *err)
{
    const struct spec *spec = r->study->spec;
    const struct spec_trial t = run_spec_trial(r);
    struct spec_strings of_spec = {0};
    struct env env = {0};
    int rc = spec_env(spec, &t, &of_spec, err);
    if (rc == 0)
        rc = env_build(&env, r, &of_spec, s->index, s->life, err);
    if (rc == 0) {
        const struct spawn_req req = {.files = s->ex->worker_files,
                                      .path = program,
                                      .argv = argv,
                                      .envp = env.v,
                                      .cwd = spec->run.cwd,
                                      .memory_bytes = memory_of(r),
                                      .cpus = cpus_of(r, s->index)};
        rc = start(out, s, &req, err);
    }
    env_free(&env);
    free(of_spec.v);
    return rc;
}

int launch_worker(struct spawned *out, struct slot *s, const struct run *r, struct err *err)
{
    const struct study *st = r->study;
    if (st->spec->run.runner == RUN_XGBOOST) {
        char *argv[] = {(char *)"forkless-xgboost", (char *)"--config", st->xgboost_conf, NULL};
        return spawn_with(out, s, r, argv, st->program, err);
    }
    const struct spec_trial t = run_spec_trial(r);
    struct spec_strings argv = {0};
    AUTO_FREE char *own = NULL;
    int rc = spec_argv(st->spec, &t, &argv, err);
    if (rc == 0 && st->program == NULL)
        rc = spawn_resolve(&own, argv.v[0], st->spec->run.cwd, err);
    if (rc == 0)
        rc = spawn_with(out, s, r, argv.v, own != NULL ? own : st->program, err);
    free(argv.v);
    return rc;
}
