/* The sweep spec: what a user asks for, checked and resolved to plain data.
 *
 * A document (a YAML file, command-line settings, or both) describes one study, or with `matrix:`
 * one study a cell. spec_load checks every cell; spec_cell resolves one, with ${matrix.…} and
 * declared
 * ${VAR} substituted everywhere. Every key with its type, default and meaning: spec_keys.c,
 * docs/spec.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "trials/pruners/pruner.h"
#include "trials/samplers/sampler.h"
#include "trials/space.h"
#include "trials/trial.h"

struct pool;
struct spec_doc;
struct spec_template;

/* ---- from text to document ---- */

/* A command-line option that stands for a key: {"--stall", "watch.stall", "5m"}. */
struct spec_option {
    const char *option; /* as the user typed it, for errors */
    const char *path;   /* dotted path of the key */
    const char *value;  /* taken as one scalar, never as YAML syntax */
};

struct spec_source {
    const char *path; /* the spec file; NULL: none; "-": stdin */
    /* "key=value" arguments. Dotted paths into the document, the value in YAML (budget.trials=20,
     * space.lr.float=[0.1,1]); or parameters: lr=float:1e-5..1e-1:log, layers=int:1..6:2,
     * act=choice:relu,tanh; without a file also fixed values: x=0.5. Later ones win. */
    const char *const *settings;
    size_t n_settings;
    const struct spec_option *options; /* applied after the settings */
    size_t n_options;
    const char *const *command; /* what stands after `--`: becomes run.command; NULL: none */
    size_t n_command;
    const char *storage; /* study.storage where nothing else says it; NULL: the key's own default */
};

/* Reads and checks everything, all cells included. On success *out is the caller's; the strings of
 * src are no longer needed. `problems` (NULL allowed) gets up to ten mistakes, each a line
 * "sweep.yaml:12:9: space.eta.flaot: unknown key 'flaot', did you mean 'float'?"; err has the
 * first. Errors: ERR_INVALID, ERR_IO (the file), ERR_NOMEM. */
int spec_load(struct spec_doc **out, const struct spec_source *src, struct buf *problems,
              struct err *err);
void spec_doc_destroy(struct spec_doc *doc); /* NULL is fine */
/* Whether an argument is a parameter with a colon in place of its '=': x:float:0..1. */
bool spec_lacks_equals(const char *argument);

/* What is allowed but looks like a mistake, a line each; "" when there is nothing. The document's.
 */
const char *spec_notes(const struct spec_doc *doc);
/* Appends every key with its type, default and meaning, as Markdown. */
void spec_put_reference(struct buf *b);

/* Number of matrix combinations; 1 without a matrix. The last key of the matrix varies fastest. */
size_t spec_cells(const struct spec_doc *doc);

/* ---- one cell, resolved ---- */

struct spec_pair {
    const char *name, *value;
};

/* A parameter that is not searched: every trial gets it beside the sampled ones (params.json,
 * ${name},
 * ${args}); it is no parameter of the study. */
struct spec_fixed {
    const char *name;
    struct value value;
};

enum spec_runner { RUN_COMMAND, RUN_XGBOOST };

struct spec_run {
    enum spec_runner runner;
    /* RUN_COMMAND: see spec_argv */
    struct spec_template *command;
    /* additions to the worker's environment: see spec_env */
    struct spec_template *env;
    /* RUN_XGBOOST: JSON text of the worker's settings, with `metric`; a relative path of the data
     * begins at cwd */
    const char *config;
    const char *cwd;            /* working directory of workers; NULL: the executor's */
    const char *base_env;       /* "ftf_config": workers get its settings; NULL: none */
    const char *crypto;         /* crypto_symbol of rows; NULL: none */
    const char *loss_function;  /* of training_runs; NULL: not said */
    const char *dir;            /* run directory; trials live in <dir>/<study>/<number>/ */
    unsigned trials_per_worker; /* >= 1; more than 1: the worker is reused over its channel */
};

#define SPEC_UNLIMITED (-1)

/* A pattern of a worker's output that tells why its trial failed. */
struct spec_pattern {
    enum fail_class fail;
    const char *text; /* a `*` in it stands for anything */
};

/* One value that a trial is run again with. */
struct spec_change {
    enum { CHANGE_PARAM, CHANGE_FIXED, CHANGE_EXTRA, CHANGE_NONE } what;
    size_t index; /* of the parameter or the fixed value */
    const char *name;
    bool relative;      /* by `by`, a number; else `value` instead */
    double by;          /* for a parameter of the space also the new value, internal */
    struct value value; /* not relative */
};

/* What a trial that failed with one of the classes is run again with, so many times. */
struct spec_fallback {
    unsigned on; /* bits of enum fail_class */
    unsigned times;
    struct spec_change *changes;
    size_t n_changes;
    bool rolled_back; /* it gives up what was asked for: its trials are marked */
};

struct spec_retry {
    int64_t times;        /* further attempts after this failure class; SPEC_UNLIMITED */
    uint64_t backoff_ms;  /* before the first retry; doubles with each, at most 60 s */
    double memory_factor; /* of slots.memory, for each retry; 1: unchanged */
    double cpus;          /* threads of the retried worker; 0: unchanged */
};

struct spec {
    struct pool *pool;      /* owns what no other comment gives an owner */
    const char *file;       /* as given, "command line" without a file */
    struct spec_pair *cell; /* the matrix values of this cell, in the order of the matrix */
    size_t n_cell;

    struct {
        const char *name;
        bool named;          /* by the document: else after its file, or after the command */
        const char *storage; /* URL as Optuna writes it; may hold a password */
        enum direction direction;
        const char *metric; /* what stdout lines and results call the objective */
    } study;

    /* At most one of trials and complete is set; with neither wall_ms is, and its end is success.
     */
    struct {
        int64_t trials;   /* target of COMPLETE + PRUNED trials; 0: none */
        int64_t complete; /* target of COMPLETE trials; 0: none */
        int64_t attempts; /* workers' attempts at most, failed and retried ones included; 0: none */
        uint64_t wall_ms; /* 0: none */
    } budget;

    struct spec_run run;
    struct space space; /* what can be active in this cell; may be empty (define-by-run) */
    struct spec_fixed *fixed;
    size_t n_fixed;
    uint64_t seed;               /* of the study; also in sampler.seed */
    bool seeded;                 /* it was named: else each study draws its own when it is made */
    struct sampler_conf sampler; /* its space is the one above, so never copy the struct */
    struct pruner_conf pruner;

    struct {
        unsigned jobs;         /* 0: as many as the CPUs allow */
        double cpus;           /* threads of a worker; 0: CPUs / jobs, at least 1 */
        bool pin;              /* bind each worker to CPUs of its own */
        uint64_t memory_bytes; /* limit of a worker; 0: none */
    } slots;

    struct {
        uint64_t stall_ms; /* no output, no message, no CPU time for so long: stalled; 0: never */
        uint64_t deadlock_ms; /* a proven deadlock that stands so long; 0: none is looked for */
        uint64_t trial_ms;    /* hard limit of one trial; 0: none */
        uint64_t grace_ms;    /* from TERM to KILL */
        bool only_tell;       /* a hang is written down, and the worker goes on */
        bool no_retry;        /* of a trial that hung, whatever `retry` says */
        enum { WATCH_FORK_OFF = 1, WATCH_FORK_WARN, WATCH_FORK_DENY, WATCH_FORK_AUTO } fork;
    } watch;

    struct spec_retry retry[FAIL_CLASSES];
    struct spec_pattern *patterns;
    size_t n_patterns;
    struct spec_fallback *fallback; /* in this order; see fallback.h */
    size_t n_fallback;
    unsigned flap; /* the first so many trials all fail with one class: stop; 0: never */

    struct {
        int64_t rows;      /* of the table, over all studies of the run; 0: not asked for */
        const char *table; /* never NULL */
        int64_t trials;    /* finished trials of this study, counted as the budget counts */
    } prove;

    struct {
        uint64_t heartbeat_ms;       /* of the hpo_heartbeat event */
        const char *xcom;            /* path for the result as JSON; NULL: none */
        const char *failure_log;     /* path that failed trainings are appended to; NULL: none */
        const char *termination_log; /* path for the last words, at most 4096 bytes; NULL: none */
    } report;
};

/* Fills *out; the document may be destroyed before the spec. Errors: ERR_NOMEM, and ERR_NOTFOUND
 * when there is no cell i; what was checked at load cannot fail here. */
int spec_cell(const struct spec_doc *doc, size_t i, struct spec *out, struct err *err);
void spec_free(struct spec *s);

/* ---- at every trial ---- */

struct spec_trial {
    const double *values; /* [space.n], internal representation */
    const bool *active;   /* [space.n] */
    int64_t number;
    uint32_t seed;
    const char *dir;                  /* the trial's directory */
    const struct spec_fixed *instead; /* [n_instead] in place of fixed values, and besides */
    size_t n_instead;
};

/* The seed of trial `number` (spec_trial.seed, FORKLESS_SEED): 0 … 2^31-1, from the study's seed.
 */
uint32_t spec_trial_seed(uint64_t study_seed, int64_t number);

/* A NULL-terminated list of strings, in one allocation that also holds the text. */
struct spec_strings {
    char **v; /* owned: free(v) frees all */
    size_t n;
};

/* The program of the command when it is the same for every trial, else NULL. */
const char *spec_program(const struct spec *s);
/* The command of the trial: ${name} (parameter or fixed value), ${trial}, ${trial_dir}, ${seed},
 * ${study}; an item ${args} becomes one item --name=value for each active parameter. An item that
 * names a parameter inactive in this trial is left out. Errors: ERR_NOMEM. */
int spec_argv(const struct spec *s, const struct spec_trial *t, struct spec_strings *out,
              struct err *err);
/* run.env of the trial as "NAME=value". */
int spec_env(const struct spec *s, const struct spec_trial *t, struct spec_strings *out,
             struct err *err);
/* Whether run.env names the variable. */
bool spec_env_has(const struct spec *s, const char *name);
/* Appends the trial's parameters and the fixed values as a JSON object: what params.json holds. */
void spec_put_params(struct buf *b, const struct spec *s, const struct spec_trial *t);
