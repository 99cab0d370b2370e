#include "trials/spec_keys.h"

#include <string.h>

#include "base/cleanup.h"

static const char *const directions[] = {"minimize", "maximize", NULL}; /* enum direction - 1 */
static const char *const builtins[] = {"xgboost", NULL};
static const char *const forks[] = {"off", "warn", "deny", "auto",
                                    NULL}; /* enum in spec.watch - 1 */
static const char *const factors[] = {"baseline", "cleanlab", "focal_loss", "label_smoothing",
                                      NULL};
static const char *const calibrations[] = {"none", "platt", "isotonic", NULL};
static const char *const base_envs[] = {"ftf_config", NULL};
static const char *const tables[] = {"finetune_results", NULL};

#define AT(field) offsetof(struct spec, field)
#define XGB .offset = NO_FIELD, .group = XGBOOST_ONLY

/* A section stands before its keys. */
/* clang-format off */
const struct spec_key spec_keys[] = {
    {"env", KEY_OWN, NO_FIELD, NULL, .doc = "environment variables that `${NAME}` may stand for anywhere in the spec; a mapping gives defaults",
     .form = "list of names, or `{NAME: default}`"},
    {"matrix", KEY_OWN, NO_FIELD, NULL, .doc = "one study for each combination of the values; `${matrix.KEY}` is the value of the cell",
     .form = "mapping of lists"},

    {"study", KEY_SECTION, NO_FIELD, NULL, .doc = "what is optimised, and where it is kept"},
    {"study.name", KEY_TEXT, AT(study.name), NULL, .doc = "the study in the store; run again with the same name to continue",
     .shown = "the file's name, then the matrix values"},
    {"study.storage", KEY_TEXT, AT(study.storage), "sqlite:///forkless.db", .doc = "URL of the store, as Optuna writes it; where neither this nor `--storage` names one, `$FORKLESS_STORAGE`, then `$OPTUNA_STORAGE` does"},
    {"study.metric", KEY_TEXT, AT(study.metric), NULL, .doc = "what the worker's `metric=value` lines and results call the objective",
     .shown = "`value`; for xgboost `auc`, `rmse` or `mlogloss`, by its objective"},
    {"study.direction", KEY_WORD, AT(study.direction), NULL, .doc = "which way is better", .words = directions,
     .shown = "`maximize` for metrics like auc, accuracy, f1 or r2, else `minimize`"},

    {"budget", KEY_SECTION, NO_FIELD, NULL, .doc = "when the sweep ends; `trials`, `complete` or `wall` must be given"},
    {"budget.trials", KEY_INT, AT(budget.trials), NULL, .doc = "target of finished trials, pruned ones included, over all restarts", .min = 1, .max = 1e9},
    {"budget.complete", KEY_INT, AT(budget.complete), NULL, .doc = "target of completed trials, pruned ones not counted", .min = 1, .max = 1e9},
    {"budget.attempts", KEY_INT, AT(budget.attempts), NULL, .doc = "trials started at most, failed and retried ones included", .min = 1, .max = 1e9,
     .shown = "twice the target and 10 more"},
    {"budget.wall", KEY_DURATION, AT(budget.wall_ms), NULL, .doc = "time limit of this run", .min = 1, .shown = "none"},

    {"run", KEY_SECTION, NO_FIELD, NULL, .doc = "what a trial is: `command` or `builtin`; a list is short for `{command: …}`"},
    {"run.command", KEY_OWN, NO_FIELD, NULL, .doc = "program and arguments, never a shell; `${name}`, `${args}`, `${trial}` … are replaced",
     .form = "list of text", .read = spec_read_command, .group = COMMAND_ONLY},
    {"run.builtin", KEY_TEXT, NO_FIELD, NULL, .doc = "a worker that comes with forkless, instead of a command", .words = builtins},
    {"run.env", KEY_OWN, NO_FIELD, NULL, .doc = "additions to the worker's environment; may hold `${name}` like the command",
     .form = "mapping of text", .read = spec_read_env},
    {"run.base_env", KEY_TEXT, AT(run.base_env), NULL, .doc = "`ftf_config`: workers get the settings of that table (`forkless config`) as environment variables, below `run.env` and above forkless's own; the XGBoost worker puts them over the keys here and under a trial's parameters", .words = base_envs, .shown = "none"},
    {"run.cwd", KEY_TEXT, AT(run.cwd), NULL, .doc = "working directory of the workers; a relative one in a spec file begins at the file's folder", .shown = "that of forkless"},
    {"run.dir", KEY_TEXT, AT(run.dir), "forkless-runs", .doc = "logs, parameters and models of a trial go to `DIR/STUDY/NUMBER`"},
    {"run.crypto", KEY_TEXT, AT(run.crypto), NULL, .doc = "`crypto_symbol` of the rows in finetune_results and training_runs", .shown = "`${matrix.crypto}`, if there is one"},
    {"run.loss_function", KEY_TEXT, AT(run.loss_function), NULL, .doc = "`loss_function` of the rows in training_runs; a command has such rows when it or a crypto is given", .shown = "the trial's `objective` or `loss_function`; xgboost: its objective"},
    {"run.trials_per_worker", KEY_COUNT, AT(run.trials_per_worker), "1", .doc = "trials before a worker is replaced; more than 1 needs a worker that speaks the channel",
     .min = 1, .max = 1e6},
    {"run.data", KEY_TEXT, .doc = "CSV file with a header line; a relative path begins at `run.cwd` if that is given, else at the spec file's folder", .shown = "required", XGB},
    {"run.label", KEY_TEXT, .doc = "column to predict", .shown = "required, unless `prices` makes it", XGB},
    {"run.prices", KEY_MAP, .doc = "the file is a price series (open, high, low, close, perhaps volume): features over `windows` bars, and the label *buy*, the return over `horizon` bars above `threshold`, are made of it; `cost` of a trade for the metric *expectancy*; `newest_first: true` for files that go back in time", .shown = "off; `{windows: [3, 12, 48], horizon: 12, threshold: 0.01, cost: 0.001}`", XGB},
    {"run.features", KEY_TEXTS, .doc = "columns to learn from, in this order", .shown = "all but the label", XGB},
    {"run.drop", KEY_TEXTS, .doc = "columns to leave out; not together with `features`", XGB},
    {"run.categorical", KEY_TEXTS, .doc = "text columns, whose sorted distinct values become the codes 0, 1, 2 …", XGB},
    {"run.missing", KEY_TEXTS, .doc = "cells that mean \"no value\"", .shown = "empty, `NA`, `NaN`, `null`", XGB},
    {"run.objective", KEY_TEXT, .doc = "an XGBoost objective, or `focal`; may be sampled instead", .shown = "`binary:logistic`", XGB},
    {"run.folds", KEY_OWN, .doc = "how rows become training and validation sets: the last part, walk-forward, or k-fold; `embargo: n` rows between them; `shuffle: true` for kfold",
     .form = "`{holdout: f}`, `{walk_forward: n}` or `{kfold: n}`", .shown = "`{holdout: 0.2}`", .read = spec_read_folds, XGB},
    {"run.rounds", KEY_COUNT, .doc = "boosting rounds; may be sampled instead", .min = 1, .max = 1e6, .shown = "100", XGB},
    {"run.early_stop", KEY_COUNT, .doc = "stop after so many rounds without a better metric; may be sampled instead", .max = 1e6, .zero = "off", .shown = "off", XGB},
    {"run.report_every", KEY_COUNT, .doc = "rounds between two intermediate values, which pruners see", .min = 1, .max = 1e6, .shown = "10", XGB},
    {"run.threshold", KEY_REAL, .doc = "probability from which a row is predicted positive", .min = 0, .max = 1, .shown = "0.5", XGB},
    {"run.fixed", KEY_MAP, .doc = "XGBoost parameters that are not sampled; `eval_metric` adds metrics to the results", XGB},
    {"run.factor", KEY_TEXT, .doc = "what a sweep compares, in one word: the plain objective, suspect labels pruned, focal loss, or soft labels; may be sampled instead", .words = factors, .shown = "the other keys alone speak", XGB},
    {"run.cleanlab", KEY_MAP, .doc = "confident learning on out-of-fold probabilities inside the training part: `{mode: prune, filter: prune_by_noise_rate, quality: self_confidence, folds: 5, cap_pct: 5}`; mode is `off`, `prune`, `weight` or `relabel`, and at most `cap_pct` percent of a class are touched", .shown = "off; `prune` with factor cleanlab", XGB},
    {"run.label_smoothing", KEY_REAL, .doc = "training targets move by so much towards one half; may be sampled instead", .min = 0, .max = 0.99, .shown = "0; 0.1 with factor label_smoothing", XGB},
    {"run.calibrate", KEY_TEXT, .doc = "probabilities are calibrated on out-of-fold scores of the training part, from discrete labels alone", .words = calibrations, .shown = "none", XGB},
    {"run.min_buys", KEY_COUNT, .doc = "a fold with fewer rows predicted positive is warned of", .max = 1e9, .zero = "off", .shown = "50 with a factor or prices, else off", XGB},
    {"run.variant", KEY_TEXT, .doc = "`variant` of the rows in finetune_results", .shown = "the factor, else the objective", XGB},
    {"run.save_model", KEY_FLAG, .doc = "write `model.ubj` and `model.json` to the trial's directory", .shown = "true", XGB},
    {"run.cache", KEY_TEXT, .doc = "directory of the parsed data, which all workers share", .shown = "`.data` in `run.dir`", XGB},

    {"space", KEY_OWN, NO_FIELD, NULL, .doc = "the parameters: `{float: [low, high]}`, `{int: [low, high]}`, `{choice: […]}` with `log: true`, `step: s`, `when: CONDITION`; a plain value, or `{value: v, when: …}`, is fixed",
     .form = "mapping", .read = spec_read_space},
    {"sampler", KEY_OWN, NO_FIELD, "auto", .doc = "how parameters are chosen: `auto`, `tpe` or `random`; `{tpe: {startup: 10, candidates: 24}, seed: 42}`. Without a seed a study draws one when it is made and keeps it (attribute `forkless:seed`)",
     .form = "name or mapping", .read = spec_read_sampler},
    {"pruner", KEY_OWN, NO_FIELD, "none", .doc = "which trials are stopped early: `none`, `median` or `asha`; `{median: {startup: 5, warmup: 0, interval: 1}}`, `{asha: {min: 1, eta: 4, early_rate: 0}}`",
     .form = "name or mapping", .read = spec_read_pruner},

    {"slots", KEY_SECTION, NO_FIELD, NULL, .doc = "what runs at the same time"},
    {"slots.jobs", KEY_COUNT, AT(slots.jobs), "auto", .doc = "workers at a time; auto: as many as the CPU quota allows", .min = 1, .max = 4096, .zero = "auto"},
    {"slots.cpus", KEY_REAL, AT(slots.cpus), "1", .doc = "threads of a worker; auto: the CPU quota divided by the jobs", .min = 0.001, .max = 4096, .zero = "auto"},
    {"slots.pin", KEY_FLAG, AT(slots.pin), "false", .doc = "bind each worker to CPUs of its own, so that what counts the machine's CPUs counts those"},
    {"slots.memory", KEY_SIZE, AT(slots.memory_bytes), "8GiB", .doc = "memory limit of a worker", .min = 1 << 20, .zero = "off"},

    {"watch", KEY_SECTION, NO_FIELD, NULL, .doc = "when a trial is given up"},
    {"watch.stall", KEY_DURATION, AT(watch.stall_ms), "5m", .doc = "no output, no message, no CPU time and no I/O for so long: `stalled`", .min = 1, .zero = "off"},
    {"watch.trial", KEY_DURATION, AT(watch.trial_ms), "off", .doc = "hard time limit of a trial: `timeout`", .min = 1, .zero = "off"},
    {"watch.grace", KEY_DURATION, AT(watch.grace_ms), "10s", .doc = "time between SIGTERM and SIGKILL", .min = 1},
    {"watch.deadlock", KEY_DURATION, AT(watch.deadlock_ms), "10s", .doc = "a child that was forked from a process with threads, and is proven to wait for ever, for so long: `fork_deadlock`", .min = 1, .zero = "off"},
    {"watch.fork", KEY_WORD, AT(watch.fork), "auto", .doc = "`warn` and `deny` see forks in a worker as they happen, by a seccomp filter: `warn` tells of those in a process with threads that go on without exec; `deny` also refuses them (EAGAIN) while gRPC or OpenMP threads live. With a C library that forks with signals open (glibc before 2.41) they are not for workers that catch signals without SA_RESTART, as shells do: their forks may fail with EINTR. `off`: such children are found by a search every 2.5 s. `auto`: `warn` where a fork cannot fail so, else `off`", .words = forks},
    {"watch.on_stall", KEY_OWN, NO_FIELD, NULL, .doc = "what is done about a hang, in this order: evidence, the end of the worker, another try; without `kill` it is only told, without `retry` not tried again whatever `retry` says",
     .form = "list of `dump`, `kill`, `retry`", .shown = "`[dump, kill, retry]`", .read = spec_read_on_stall},

    {"retry", KEY_OWN, NO_FIELD, NULL, .doc = "further attempts of a trial by failure class: `{oom: 1}` or `{oom: {times: 1, backoff: 1s, memory: x1.5, cpus: 1}}`; `default` is for the classes not named; `backoff` is 1s unless given, for `fork_deadlock` none",
     .form = "mapping", .read = spec_read_retry, .shown = "`{lost: 3, stalled: 1, fork_deadlock: 1, preempted: unlimited, default: 0}`; `calibration` always 0"},
    {"flap", KEY_COUNT, AT(flap), "4", .doc = "stop when the first so many trials all fail the same way", .min = 1, .max = 1e6, .zero = "off"},
    {"classify", KEY_OWN, NO_FIELD, NULL, .doc = "more patterns of a worker's output that tell the class of its failure: `{hessian: \"LinAlgError: * singular\", bad_data: [\"no rows\", \"all NaN\"]}`; a `*` stands for anything",
     .form = "mapping of texts or lists of them", .read = spec_read_classify},
    {"fallback", KEY_OWN, NO_FIELD, NULL, .doc = "what a failed trial is run again with, by failure class: `[{on: [hessian, overflow], set: {focal_gamma: -1.0}, times: 3}, {on: [hessian, overflow], set: {objective: \"binary:logistic\"}, mark: rolled_back}]`; a number with a sign is added, other values are set",
     .form = "list of `{on, set, times, mark}`"},

    {"prove", KEY_SECTION, NO_FIELD, NULL, .doc = "what must be in the store, read again at the end, for exit code 0"},
    {"prove.trials", KEY_INT, AT(prove.trials), NULL, .doc = "finished trials of each study", .min = 1, .max = 1e9, .shown = "the budget's target"},
    {"prove.rows", KEY_INT, AT(prove.rows), NULL, .doc = "rows of `prove.table` from this run, over all its studies; a shard must bring its share", .min = 1, .max = 1e9, .shown = "none"},
    {"prove.table", KEY_TEXT, AT(prove.table), "finetune_results", .doc = "the table", .words = tables},

    {"report", KEY_SECTION, NO_FIELD, NULL, .doc = "who is told"},
    {"report.heartbeat", KEY_DURATION, AT(report.heartbeat_ms), "25s", .doc = "interval of the `hpo_heartbeat` event", .min = 1000},
    {"report.xcom", KEY_PATH, AT(report.xcom), "false", .doc = "file for the result as JSON; true: where Airflow's sidecar looks", .when_true = "/airflow/xcom/return.json"},
    {"report.failure_log", KEY_PATH, AT(report.failure_log), "false", .doc = "file to which each failed training is appended, a JSON line with its parameters and where its logs are; true: where Airflow keeps logs", .when_true = "/opt/airflow/logs/xgboost_failure.log"},
    {"report.termination_log", KEY_PATH, AT(report.termination_log), "false", .doc = "file for the reason of the end; true: where Kubernetes looks", .when_true = "/dev/termination-log"},
    {"report.metrics", KEY_LATER, NO_FIELD, NULL, .doc = "there is no metrics listener", .form = "address"},
};
/* clang-format on */

const size_t n_spec_keys = ARRAY_LEN(spec_keys);

const struct spec_key *spec_key_find(const char *path)
{
    for (size_t i = 0; i < n_spec_keys; i++) {
        if (strcmp(spec_keys[i].path, path) == 0)
            return &spec_keys[i];
    }
    return NULL;
}

static const char *key_below(const char *path, const char *section)
{
    size_t n = strlen(section);
    if (n == 0)
        return strchr(path, '.') == NULL ? path : NULL;
    return strncmp(path, section, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

size_t spec_key_children(const char *section, const char **names, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < n_spec_keys && n < max; i++) {
        const char *name = key_below(spec_keys[i].path, section);
        if (name != NULL)
            names[n++] = name;
    }
    return n;
}
