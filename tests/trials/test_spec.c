/* What a good spec becomes. Mistakes: test_spec_errors.c. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/trials/spec_file.h"
#include "trials/spec.h"

TestSuite(spec, .init = spec_file_setup, .fini = spec_file_teardown);

static struct spec spec;

static void load(const char *text)
{
    struct spec_doc *doc = spec_file_load(text);
    cr_assert_eq(spec_cell(doc, 0, &spec, NULL), 0);
    spec_doc_destroy(doc);
}

static const char *argv_of(const struct spec *s, const struct spec_trial *t)
{
    static char line[1000];
    struct spec_strings argv;
    cr_assert_eq(spec_argv(s, t, &argv, NULL), 0);
    line[0] = '\0';
    for (size_t i = 0; i < argv.n; i++)
        (void)strcat(strcat(strcat(line, "["), argv.v[i]), "]");
    cr_expect_null(argv.v[argv.n]);
    free(argv.v);
    return line;
}

Test(spec, a_short_spec_has_the_documented_defaults)
{
    load("run: [python, train.py]\nbudget: {trials: 50}\n");
    cr_expect_str_eq(spec.study.name, "t");
    cr_expect_str_eq(spec.study.storage, "sqlite:///forkless.db");
    cr_expect_str_eq(spec.study.metric, "value");
    cr_expect_eq(spec.study.direction, DIRECTION_MINIMIZE);
    cr_expect_eq(spec.budget.trials, 50);
    cr_expect_eq(spec.budget.attempts, 110);
    cr_expect_eq(spec.budget.wall_ms, 0);
    cr_expect_eq(spec.run.runner, RUN_COMMAND);
    cr_expect_str_eq(spec.run.dir, "forkless-runs");
    cr_expect_eq(spec.run.trials_per_worker, 1);
    cr_expect_eq(spec.slots.jobs, 0);
    cr_expect_eq(spec.slots.cpus, 1);
    cr_expect_eq(spec.slots.memory_bytes, 8ull << 30);
    cr_expect_eq(spec.watch.stall_ms, 300000);
    cr_expect_eq(spec.watch.trial_ms, 0);
    cr_expect_eq(spec.watch.grace_ms, 10000);
    cr_expect_eq(spec.report.heartbeat_ms, 25000);
    cr_expect_null(spec.report.xcom);
    cr_expect_null(spec.report.termination_log);
    cr_expect_eq(spec.retry[FAIL_LOST].times, 3);
    cr_expect_eq(spec.retry[FAIL_STALLED].times, 1);
    cr_expect_eq(spec.retry[FAIL_PREEMPTED].times, SPEC_UNLIMITED);
    cr_expect_eq(spec.retry[FAIL_EXIT].times, 0);
    cr_expect_eq(spec.flap, 4);
    cr_expect_eq(spec.prove.trials, 50);
    cr_expect_eq(spec.prove.rows, 0);
    cr_expect_str_eq(spec.prove.table, "finetune_results");
    cr_expect_eq(spec.sampler.kind, SAMPLER_AUTO);
    cr_expect_eq(spec.sampler.startup, 10);
    cr_expect_eq(spec.sampler.candidates, 24);
    cr_expect_eq(spec.sampler.space, &spec.space);
    cr_expect_eq(spec.pruner.kind, PRUNER_NONE);
    cr_expect_eq(spec.space.n, 0);
    spec_free(&spec);
}

Test(spec, every_section_reaches_its_field)
{
    load("study: {name: s1, storage: 'sqlite:///x.db', direction: maximize, metric: val_f1}\n"
         "budget: {complete: 20, attempts: 33, wall: 2h}\n"
         "run: {command: [./w], cwd: /tmp, dir: out, trials_per_worker: 5, env: {A: 'b'}}\n"
         "sampler: {tpe: {startup: 5, candidates: 48}, seed: 42}\n"
         "pruner: {asha: {min: 20, eta: 3, early_rate: 1}}\n"
         "slots: {jobs: 3, cpus: 1.5, memory: 3GiB}\n"
         "watch: {stall: 1m, trial: 20m, grace: 2s}\n"
         "retry: {default: 2, oom: {times: 1, memory: x1.5, cpus: 1, backoff: 5s}, lost: "
         "unlimited, nan: 0}\n"
         "flap: off\n"
         "prove: {rows: 75, trials: 10}\n"
         "report: {heartbeat: 5s, xcom: true, termination_log: /tmp/t}\n");
    cr_expect_str_eq(spec.study.name, "s1");
    cr_expect_str_eq(spec.study.storage, "sqlite:///x.db");
    cr_expect_eq(spec.study.direction, DIRECTION_MAXIMIZE);
    cr_expect_str_eq(spec.study.metric, "val_f1");
    cr_expect(spec.budget.complete == 20 && spec.budget.trials == 0 && spec.budget.attempts == 33);
    cr_expect_eq(spec.budget.wall_ms, 7200000);
    cr_expect_str_eq(spec.run.cwd, "/tmp");
    cr_expect_str_eq(spec.run.dir, "out");
    cr_expect_eq(spec.run.trials_per_worker, 5);
    cr_expect(spec.sampler.kind == SAMPLER_TPE && spec.sampler.startup == 5 &&
              spec.sampler.candidates == 48);
    cr_expect(spec.seed == 42 && spec.sampler.seed == 42);
    cr_expect_eq(spec.sampler.direction, DIRECTION_MAXIMIZE);
    cr_expect(spec.pruner.kind == PRUNER_ASHA && spec.pruner.min_resource == 20 &&
              spec.pruner.reduction_factor == 3 && spec.pruner.min_early_stopping_rate == 1);
    cr_expect_eq(spec.pruner.direction, DIRECTION_MAXIMIZE);
    cr_expect(spec.slots.jobs == 3 && spec.slots.cpus == 1.5 &&
              spec.slots.memory_bytes == 3ull << 30);
    cr_expect(spec.watch.stall_ms == 60000 && spec.watch.trial_ms == 1200000 &&
              spec.watch.grace_ms == 2000);
    cr_expect_eq(spec.retry[FAIL_EXIT].times, 2);
    cr_expect_eq(spec.retry[FAIL_STALLED].times, 2);
    cr_expect_eq(spec.retry[FAIL_NAN].times, 0);
    cr_expect_eq(spec.retry[FAIL_LOST].times, SPEC_UNLIMITED);
    cr_expect_eq(spec.retry[FAIL_PREEMPTED].times, SPEC_UNLIMITED);
    const struct spec_retry *oom = &spec.retry[FAIL_OOM];
    cr_expect(oom->times == 1 && oom->memory_factor == 1.5 && oom->cpus == 1 &&
              oom->backoff_ms == 5000);
    cr_expect_eq(spec.flap, 0);
    cr_expect(spec.prove.rows == 75 && spec.prove.trials == 10);
    cr_expect_eq(spec.report.heartbeat_ms, 5000);
    cr_expect_str_eq(spec.report.xcom, "/airflow/xcom/return.json");
    cr_expect_str_eq(spec.report.termination_log, "/tmp/t");
    spec_free(&spec);
}

Test(spec, short_forms_mean_the_long_ones)
{
    load("run: [x]\nbudget: {wall: 90}\nsampler: random\npruner: median\nslots: {jobs: auto, "
         "memory: off}\n"
         "watch: {stall: off}\n");
    cr_expect_eq(spec.sampler.kind, SAMPLER_RANDOM);
    cr_expect(spec.pruner.kind == PRUNER_MEDIAN && spec.pruner.startup_trials == 5);
    cr_expect(spec.slots.jobs == 0 && spec.slots.memory_bytes == 0 && spec.watch.stall_ms == 0);
    cr_expect(spec.budget.wall_ms == 90000 && spec.budget.attempts == 0 && spec.prove.trials == 1);
    spec_free(&spec);
}

Test(spec, the_direction_follows_from_a_known_metric)
{
    static const struct {
        const char *metric;
        enum direction direction;
    } cases[] = {{"auc", DIRECTION_MAXIMIZE},      {"val_accuracy", DIRECTION_MAXIMIZE},
                 {"eval/AUC", DIRECTION_MAXIMIZE}, {"loss", DIRECTION_MINIMIZE},
                 {"mapping", DIRECTION_MINIMIZE},  {"rmse", DIRECTION_MINIMIZE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "run: [x]\nbudget: {trials: 1}\nstudy: {metric: %s}\n",
                       cases[i].metric);
        load(text);
        cr_expect_eq(spec.study.direction, cases[i].direction, "%s", cases[i].metric);
        spec_free(&spec);
    }
}

Test(spec, parameters_become_optuna_distributions)
{
    load("run: [x]\nbudget: {trials: 1}\nspace:\n"
         "  eta: {float: [1e-3, 0.3], log: true}\n"
         "  sub: {float: [0.5, 1.0], step: 0.05}\n"
         "  depth: {int: [3, 10]}\n"
         "  units: {int: [1, 1024], log: true}\n"
         "  act: {choice: [relu, 2, 0.5, true, null, '1']}\n"
         "  c1: float:1e-5..1e-1:log\n"
         "  c2: int:1..6:2\n"
         "  c3: choice:relu,tanh,3\n"
         "  c4: float:-1..1:0.5\n"
         "  fixed: 0.5\n"
         "  text: {value: hello}\n");
    /* the texts are what optuna.distributions.distribution_to_json gives */
    static const char *const json[] = {
        "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.001, "
        "\"high\": 0.3, \"log\": true}}",
        "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.05, \"low\": 0.5, "
        "\"high\": 1.0, \"log\": false}}",
        "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 1, \"low\": 3, "
        "\"high\": 10}}",
        "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": true, \"step\": 1, \"low\": 1, "
        "\"high\": 1024}}",
        "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"relu\", 2, 0.5, "
        "true, null, \"1\"]}}",
        "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, "
        "\"high\": 0.1, \"log\": true}}",
        "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, "
        "\"high\": 5}}",
        "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"relu\", "
        "\"tanh\", 3]}}",
        "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.5, \"low\": -1.0, "
        "\"high\": 1.0, \"log\": false}}",
    };
    cr_assert_eq(spec.space.n, ARRAY_LEN(json));
    for (size_t i = 0; i < ARRAY_LEN(json); i++) {
        AUTO(buf_free) struct buf b = BUF_INIT;
        dist_put_json(&b, &spec.space.params[i].dist);
        cr_expect_str_eq(buf_str(&b), json[i]);
    }
    cr_assert_eq(spec.n_fixed, 2);
    cr_expect_str_eq(spec.fixed[0].name, "fixed");
    cr_expect(spec.fixed[0].value.kind == VALUE_REAL && spec.fixed[0].value.d == 0.5);
    cr_expect_str_eq(spec.fixed[1].value.s, "hello");
    spec_free(&spec);
}

static const char matrix_spec[] =
    "matrix: {crypto: [OP, ARB], factor: [base, focal]}\n"
    "study: {name: 'ftf-${matrix.crypto}-${matrix.factor}'}\n"
    "run: {command: [./w, '--data=data/${matrix.crypto}.csv', '--g=${gamma}', "
    "'--objective=${objective}'],\n"
    "      env: {FACTOR: '${matrix.factor}'}}\n"
    "budget: {trials: 5}\n"
    "space:\n"
    "  gamma: {float: [0, 5], when: factor == 'focal'}\n"
    "  booster: {choice: [gbtree, dart]}\n"
    "  drop: {float: [0, 1], when: booster == 'dart' and matrix.factor != 'focal'}\n"
    "  objective: {value: focal, when: factor == 'focal'}\n";

Test(spec, a_matrix_gives_a_study_a_cell)
{
    struct spec_doc *doc = spec_file_load(matrix_spec);
    cr_assert_eq(spec_cells(doc), 4);
    static const char *const names[] = {"ftf-OP-base", "ftf-OP-focal", "ftf-ARB-base",
                                        "ftf-ARB-focal"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(spec_cell(doc, i, &spec, NULL), 0);
        bool focal = i % 2 == 1;
        cr_expect_str_eq(spec.study.name, names[i]);
        cr_expect_eq(spec.n_cell, 2);
        cr_expect_str_eq(spec.cell[0].name, "crypto");
        cr_expect_str_eq(spec.cell[0].value, i < 2 ? "OP" : "ARB");
        cr_expect_str_eq(spec.cell[1].value, focal ? "focal" : "base");
        cr_expect_eq(space_find(&spec.space, "gamma"), focal ? 0 : -1);
        cr_expect_eq(spec.n_fixed, focal ? 1u : 0u);
        int drop = space_find(&spec.space, "drop");
        cr_expect(focal ? drop < 0 : drop == 1 && spec.space.params[drop].when != NULL);
        double values[] = {2.5, 0, 0};
        bool active[] = {true, true, true};
        struct spec_trial t = {.values = values, .active = active, .dir = "d"};
        cr_expect_str_eq(argv_of(&spec, &t),
                         i == 0   ? "[./w][--data=data/OP.csv]"
                         : i == 1 ? "[./w][--data=data/OP.csv][--g=2.5][--objective=focal]"
                         : i == 2 ? "[./w][--data=data/ARB.csv]"
                                  : "[./w][--data=data/ARB.csv][--g=2.5][--objective=focal]");
        struct spec_strings env;
        cr_assert_eq(spec_env(&spec, &t, &env, NULL), 0);
        cr_expect_eq(env.n, 1);
        cr_expect_str_eq(env.v[0], focal ? "FACTOR=focal" : "FACTOR=base");
        free(env.v);
        spec_free(&spec);
    }
    struct err err;
    cr_expect_eq(spec_cell(doc, 4, &spec, &err), -ERR_NOTFOUND);
    spec_doc_destroy(doc);
}

Test(spec, a_matrix_value_keeps_its_type)
{
    load("matrix: {depth: [7]}\nrun: [x]\nbudget: {trials: '${matrix.depth}'}\n"
         "space: {d: {int: [1, '${matrix.depth}']}, s: 'd${matrix.depth}', lit: "
         "'$${matrix.depth}'}\n");
    cr_expect_eq(spec.budget.trials, 7);
    cr_expect_eq(spec.space.params[0].dist.high, 7);
    cr_expect_str_eq(spec.fixed[0].value.s, "d7");
    cr_expect_str_eq(spec.fixed[1].value.s, "${matrix.depth}");
    cr_expect_str_eq(spec.study.name, "t-7");
    spec_free(&spec);
}

Test(spec, declared_environment_is_replaced)
{
    (void)setenv("SPEC_TEST_URL", "sqlite:///e.db", 1);
    (void)unsetenv("SPEC_TEST_N");
    load("env: {SPEC_TEST_URL: other, SPEC_TEST_N: 12}\nstudy: {storage: '${SPEC_TEST_URL}'}\nrun: "
         "[x, 'u=${SPEC_TEST_URL}']\n"
         "budget: {trials: '${SPEC_TEST_N}'}\n");
    cr_expect_str_eq(spec.study.storage, "sqlite:///e.db");
    cr_expect_eq(spec.budget.trials, 12);
    cr_expect_str_eq(argv_of(&spec, &(struct spec_trial){.dir = ""}), "[x][u=sqlite:///e.db]");
    spec_free(&spec);
}

Test(spec, commands_are_expanded_item_by_item)
{
    load("study: {name: st}\nbudget: {trials: 1}\n"
         "run: [python, -u, train.py, '--lr=${lr}', '${args}', 'n=${trial} s=${seed}', "
         "'${trial_dir}/m', '${study}',\n"
         "      '$${lr} $lr ${trialParameters.act}', '', 5, true, '--drop=${drop}', "
         "'${overrides}']\n"
         "space: {lr: {float: [0, 1]}, act: {choice: [a b, \"c'd\"]}, flag: {choice: [true, "
         "false]},\n"
         "        drop: {float: [0, 1], when: flag}, k: 3}\n");
    double values[] = {1e-5, 1, 1, 0.5};
    bool active[] = {true, true, true, false};
    struct spec_trial t = {
        .values = values, .active = active, .number = 12, .seed = 99, .dir = "/r/12"};
    cr_expect_str_eq(argv_of(&spec, &t), "[python][-u][train.py][--lr=1e-05]"
                                         "[--lr=1e-05][--act=c'd][--flag=false][--k=3]"
                                         "[n=12 s=99][/r/12/m][st][${lr} $lr c'd][][5][true]"
                                         "[lr=1e-05][act=c'd][flag=false][k=3]");
    active[3] = true;
    AUTO(buf_free) struct buf b = BUF_INIT;
    spec_put_params(&b, &spec, &t);
    cr_expect_str_eq(buf_str(&b),
                     "{\"lr\":1e-05,\"act\":\"c'd\",\"flag\":false,\"drop\":0.5,\"k\":3}");
    cr_expect(strstr(argv_of(&spec, &t), "[--drop=0.5][lr=1e-05]") != NULL);
    spec_free(&spec);
}

Test(spec, a_parameter_may_hide_a_builtin_name)
{
    load("budget: {trials: 1}\nrun: [x, '${seed}']\nspace: {seed: {int: [1, 3]}}\n");
    double values[] = {2};
    bool active[] = {true};
    cr_expect_str_eq(
        argv_of(&spec,
                &(struct spec_trial){.values = values, .active = active, .seed = 77, .dir = ""}),
        "[x][2]");
    spec_free(&spec);
}

Test(spec, xgboost_settings_become_json)
{
    load("budget: {trials: 1}\n"
         "run: {builtin: xgboost, data: d.csv, label: 1, drop: id, folds: {walk_forward: 5, "
         "embargo: 24}, rounds: 4e2,\n"
         "      early_stop: off, fixed: {tree_method: hist, eval_metric: [auc, aucpr]}, threshold: "
         "0.25, dir: r}\nspace: {eta: {float: [0, 1]}, booster: {choice: [gbtree, dart]}, lambda: "
         "3,\n"
         "  objective: {choice: [focal], when: booster == 'dart'}}\nstudy: {metric: auc}\n");
    cr_expect_eq(spec.run.runner, RUN_XGBOOST);
    cr_expect_null(spec.run.command);
    cr_expect_str_eq(spec.study.metric, "auc");
    cr_expect_eq(spec.study.direction, DIRECTION_MAXIMIZE);
    cr_expect_str_eq(
        spec.run.config,
        "{\"builtin\":\"xgboost\",\"metric\":\"auc\",\"data\":\"d.csv\",\"label\":\"1\",\"drop\":["
        "\"id\"],"
        "\"folds\":{\"walk_forward\":5,\"embargo\":24},\"rounds\":400,\"early_stop\":0,"
        "\"fixed\":{\"tree_method\":\"hist\",\"eval_metric\":[\"auc\",\"aucpr\"]},\"threshold\":0."
        "25,\"space\":{\"eta\":[],\"booster\":[\"gbtree\",\"dart\"],\"objective\":[null,"
        "\"focal\"],\"lambda\":[3]}}");
    spec_free(&spec);
    load("budget: {trials: 1}\nrun: {builtin: xgboost, data: d.csv, label: y, objective: "
         "'reg:squarederror'}\n");
    cr_expect_str_eq(spec.study.metric, "rmse");
    cr_expect_eq(spec.study.direction, DIRECTION_MINIMIZE);
    spec_free(&spec);
}

Test(spec, the_metric_follows_an_objective_that_is_fixed_anywhere)
{
    static const char *const texts[] = {
        "run: {builtin: xgboost, data: d, label: y, fixed: {objective: 'reg:gamma'}}\n",
        "run: {builtin: xgboost, data: d, label: y}\nspace: {objective: 'reg:gamma'}\n",
        "run: {builtin: xgboost, data: d, label: y}\nspace: {objective: {value: 'reg:gamma'}}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "%sbudget: {trials: 1}\n", texts[i]);
        load(text);
        cr_expect_str_eq(spec.study.metric, "rmse", "%s", text);
        spec_free(&spec);
    }
}

Test(spec, what_depends_on_a_parameter_that_is_never_active_is_never_active)
{
    load("run: [x, '--b=${b}']\nbudget: {trials: 1}\nmatrix: {factor: [baseline]}\nspace:\n"
         "  a: {float: [0, 1], when: factor == 'focal'}\n"
         "  b: {float: [0, 1], when: a > 0.5}\n"
         "  c: {choice: [p, q], when: b > 0.5 or a > 0.5}\n"
         "  d: {value: 3, when: c == 'p'}\n"
         "  e: {float: [0, 1], when: not (a > 0.5)}\n");
    cr_assert_eq(spec.space.n, 1);
    cr_expect_str_eq(spec.space.params[0].name, "e");
    cr_expect_null(spec.space.params[0].when);
    cr_expect_eq(spec.n_fixed, 0);
    cr_expect_str_eq(argv_of(&spec, &(struct spec_trial){.values = (double[]){0},
                                                         .active = (bool[]){true},
                                                         .seed = 7,
                                                         .dir = ""}),
                     "[x]");
    spec_free(&spec);
}

/* ---- the command line ---- */

static void load_with(const char *text, const char *const *settings, size_t n)
{
    struct spec_doc *doc = NULL;
    AUTO(buf_free) struct buf problems = BUF_INIT;
    struct spec_source src = {.path = spec_file_write(text), .settings = settings, .n_settings = n};
    cr_assert_eq(spec_load(&doc, &src, &problems, NULL), 0, "%s", buf_str(&problems));
    cr_assert_eq(spec_cell(doc, 0, &spec, NULL), 0);
    spec_doc_destroy(doc);
}

Test(spec, settings_override_the_file)
{
    static const char *const settings[] = {
        "budget.trials=20",        "sampler.seed=7",  "space.eta.float=[0.01, 0.2]",
        "space.new=int:1..3",      "eta.log=1",       "depth=4",
        "study.name=a: b",         "slots={jobs: 2}", "act=choice:x,y",
        "optimizer.lr=float:0..1",
    };
    static const char text[] = "run: [x]\nbudget: {trials: 5, wall: 1h}\nsampler: tpe\n"
                               "space: {eta: {float: [0, 1], log: false}, depth: {int: [1, 9]}}\n";
    const char *used[10];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i], "eta.log=1") != 0)
            used[n++] = settings[i];
    }
    load_with(text, used, n);
    cr_expect_eq(spec.budget.trials, 20);
    cr_expect_eq(spec.budget.wall_ms, 3600000);
    cr_expect(spec.sampler.kind == SAMPLER_TPE && spec.seed == 7);
    cr_expect_eq(spec.space.n, 4);
    cr_expect(spec.space.params[0].dist.low == 0.01 && spec.space.params[0].dist.high == 0.2);
    cr_expect_str_eq(spec.space.params[1].name, "new");
    cr_expect_str_eq(spec.space.params[2].name, "act");
    cr_expect_str_eq(spec.space.params[3].name, "optimizer.lr");
    cr_assert_eq(spec.n_fixed, 1);
    cr_expect_str_eq(spec.fixed[0].name, "depth");
    cr_expect_str_eq(spec.study.name, "a: b");
    cr_expect_eq(spec.slots.jobs, 2);
    spec_free(&spec);
}

Test(spec, settings_fit_the_short_forms)
{
    static const char *const settings[] = {"run.env.A=1", "pruner.median.startup=2", "sampler=tpe",
                                           "budget.trials=7"};
    load_with(
        "run: [x, y]\nbudget: {complete: 5}\nsampler: {random: {}, seed: 3}\npruner: median\n",
        settings, 4);
    struct spec_trial t = {.dir = ""};
    struct spec_strings env;
    cr_expect_str_eq(argv_of(&spec, &t), "[x][y]");
    cr_assert_eq(spec_env(&spec, &t, &env, NULL), 0);
    cr_expect_str_eq(env.v[0], "A=1");
    free(env.v);
    cr_expect_eq(spec.pruner.startup_trials, 2);
    cr_expect(spec.sampler.kind == SAMPLER_TPE && spec.seed == 3, "the seed stays");
    cr_expect(spec.budget.trials == 7 && spec.budget.complete == 0,
              "one target replaces the other");
    spec_free(&spec);
}

Test(spec, a_command_line_replaces_the_command_of_a_file)
{
    static const char *const command[] = {"z"};
    struct spec_doc *doc;
    struct spec_source src = {.path = spec_file_write("run: [x, y]\nbudget: {trials: 5}\n"),
                              .command = command,
                              .n_command = 1};
    cr_assert_eq(spec_load(&doc, &src, NULL, NULL), 0);
    cr_assert_eq(spec_cell(doc, 0, &spec, NULL), 0);
    spec_doc_destroy(doc);
    cr_expect_str_eq(argv_of(&spec, &(struct spec_trial){.dir = ""}), "[z]");
    spec_free(&spec);
}

Test(spec, no_file_is_needed)
{
    static const char *const settings[] = {"lr=float:1e-5..1e-1:log", "layers=int:1..6:2",
                                           "act=choice:relu,tanh", "x=0.5"};
    static const char *const command[] = {"python", "-u", "sub/train.py", "--lr=${lr}", "${args}"};
    static const struct spec_option options[] = {
        {"-n", "budget.trials", "50"},
        {"-j", "slots.jobs", "4"},
        {"--storage", "study.storage", "sqlite:///a: b.db"},
        {"--env", "run.env.A", "x=y"}};
    struct spec_source src = {.settings = settings,
                              .n_settings = ARRAY_LEN(settings),
                              .options = options,
                              .n_options = ARRAY_LEN(options),
                              .command = command,
                              .n_command = ARRAY_LEN(command)};
    struct spec_doc *doc;
    struct err err = {0};
    cr_assert_eq(spec_load(&doc, &src, NULL, &err), 0, "%s", err.msg);
    cr_assert_eq(spec_cell(doc, 0, &spec, NULL), 0);
    spec_doc_destroy(doc);
    cr_expect_str_eq(spec.study.name, "train");
    cr_expect_str_eq(spec.study.storage, "sqlite:///a: b.db");
    cr_expect(spec.budget.trials == 50 && spec.slots.jobs == 4 && spec.space.n == 3 &&
              spec.n_fixed == 1);
    double values[] = {0.5, 3, 1};
    bool active[] = {true, true, true};
    struct spec_trial t = {.values = values, .active = active, .dir = ""};
    cr_expect_str_eq(
        argv_of(&spec, &t),
        "[python][-u][sub/train.py][--lr=0.5][--lr=0.5][--layers=3][--act=tanh][--x=0.5]");
    struct spec_strings env;
    cr_assert_eq(spec_env(&spec, &t, &env, NULL), 0);
    cr_expect_str_eq(env.v[0], "A=x=y");
    free(env.v);
    spec_free(&spec);
}

Test(spec, doubts_are_notes_not_mistakes)
{
    struct spec_doc *doc = spec_file_load(
        "study: {metric: auc, direction: minimize}\nbudget: {trials: 1}\n"
        "run: [x, '${d}']\nmatrix: {f: [a, b]}\n"
        "space: {c: {choice: [p, q]}, d: {float: [0, 1], when: c == 'pp' or f == 'c'}}\n");
    cr_expect_str_eq(spec_notes(doc),
                     "t.yaml:5:55: space.d.when: 'c' never has the value 'pp'\n"
                     "t.yaml:5:55: space.d.when: 'f' never has the value 'c'\n"
                     "t.yaml:1:33: study.direction: the metric looks like one to maximize\n");
    spec_doc_destroy(doc);
}

static void expect_note(const char *text, const char *note)
{
    struct spec_doc *doc = spec_file_load(text);
    cr_expect_str_eq(spec_notes(doc), note);
    spec_doc_destroy(doc);
}

Test(spec, a_parameter_that_the_command_never_names_is_noted)
{
    expect_note("budget: {trials: 1}\nspace: {a: int:1..2, b: int:1..2}\nrun: [x, '--a=${a}']\n",
                "t.yaml:2:25: space.b: the command has no ${b}: only a worker that reads the file "
                "FORKLESS_PARAMS gets it\n");
    expect_note("budget: {trials: 1}\nspace: {a: int:1..2, b: int:1..2}\nrun: [x]\n",
                "t.yaml:2:12: space.a: the command has no ${a}, ${b}: only a worker that reads the "
                "file FORKLESS_PARAMS gets them\n");
    expect_note("budget: {trials: 1}\nspace: {a: int:1..2, b: {int: [1, 2], when: a == 1}}\n"
                "run: {command: [x], env: {B: '${b}'}}\n",
                "");
    expect_note("budget: {trials: 1}\nspace: {a: int:1..2, c: 3}\nrun: [x, '${args}']\n", "");
    expect_note("budget: {trials: 1}\nspace: {a: int:1..2}\n"
                "run: {command: [x], trials_per_worker: 2}\n",
                "");
}

Test(spec, patterns_of_failures_are_read_by_class)
{
    load("run: [x]\nbudget: {trials: 1}\n"
         "classify: {hessian: \"LinAlgError: * singular\", bad_data: [no rows, all NaN]}\n");
    cr_assert_eq(spec.n_patterns, 3);
    cr_expect_eq(spec.patterns[0].fail, FAIL_HESSIAN);
    cr_expect_str_eq(spec.patterns[0].text, "LinAlgError: * singular");
    cr_expect_eq(spec.patterns[2].fail, FAIL_BAD_DATA);
    cr_expect_str_eq(spec.patterns[2].text, "all NaN");
}
