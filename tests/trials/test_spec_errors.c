/* What a user reads when a spec is wrong. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/trials/spec_file.h"
#include "trials/spec.h"

TestSuite(spec_errors, .init = spec_file_setup, .fini = spec_file_teardown);

struct golden {
    const char *spec, *says; /* all lines but the file's name */
};

static const char *mistakes(const struct spec_source *src)
{
    static struct buf text;
    static char bare[8000];
    struct spec_doc *doc = NULL;
    struct err err = {0};
    buf_clear(&text);
    int rc = spec_load(&doc, src, &text, &err);
    cr_assert(rc < 0, "it was accepted");
    cr_assert_null(doc);
    size_t n = strcspn(buf_str(&text), "\n");
    cr_expect(strlen(err.msg) == n && strncmp(buf_str(&text), err.msg, n) == 0,
              "err has the first: %s", err.msg);
    bare[0] = '\0';
    for (const char *at = buf_str(&text); *at != '\0';) {
        size_t len = strcspn(at, "\n") + 1;
        size_t skip = strncmp(at, "t.yaml:", 7) == 0 ? 7 : 0;
        (void)strncat(bare, at + skip, len - skip);
        at += len;
    }
    if (*bare != '\0')
        bare[strlen(bare) - 1] = '\0';
    return bare;
}

static void check(const struct golden *cases, size_t n, const char *around)
{
    for (size_t i = 0; i < n; i++) {
        char text[2000];
        (void)snprintf(text, sizeof(text), "%s%s", cases[i].spec, around);
        struct spec_source src = {.path = spec_file_write(text)};
        cr_expect_str_eq(mistakes(&src), cases[i].says);
    }
}

Test(spec_errors, unknown_keys_get_a_suggestion)
{
    static const struct golden cases[] = {
        {"space:\n  eta:\n    flaot: [0, 1]\n",
         "3:5: space.eta.flaot: unknown key 'flaot', did you mean 'float'?"},
        {"sapce: {}\n", "1:1: sapce: unknown key 'sapce', did you mean 'space'?"},
        {"watch: {stal: 5m}\n", "1:9: watch.stal: unknown key 'stal', did you mean 'stall'?"},
        {"space: {a: {categorical: [x]}}\n",
         "1:13: space.a.categorical: unknown key 'categorical', did you mean 'choice'?"},
        {"prove: {zzz: 1}\n", "1:9: prove.zzz: unknown key 'zzz': expected trials, rows, table"},
        {"sampler: {tpe: {startups: 1}}\n",
         "1:17: sampler: unknown key 'startups', did you mean 'startup'?"},
        {"sampler: tpee\n", "1:10: sampler: 'tpee': did you mean 'tpe'?"},
        {"pruner: {hyperband: {}}\n",
         "1:10: pruner: 'hyperband': expected one of none, median, asha"},
        {"pruner: {asha: {}, median: {}}\n", "1:20: pruner: 'asha' and 'median': choose one"},
        {"sampler: {random: {startup: 1}}\n",
         "1:20: sampler: 'startup': there is nothing to set here"},
        {"retry: {oon: 1}\n", "1:9: retry: unknown key 'oon', did you mean 'oom'?"},
        {"retry: {oom: {time: 1}}\n", "1:15: retry.oom: unknown key 'time', did you mean 'times'?"},
        {"study.name: x\n", "1:1: study.name: write it nested: study: {name: …}"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, values_say_what_was_expected)
{
    static const struct golden cases[] = {
        {"watch: {stall: soon}\n",
         "1:16: watch.stall: expected a duration like 90s, 5m or 2h (a bare number is "
         "seconds), or 'off', found 'soon'"},
        {"watch: {grace: 0}\n", "1:16: watch.grace: expected a duration like 90s, 5m or 2h (a bare "
                                "number is seconds), found 0"},
        {"slots: {memory: 8GB2}\n", "1:17: slots.memory: expected a size like 512MiB or 8GiB (at "
                                    "least 1MiB), or 'off', found '8GB2'"},
        {"slots: {jobs: 0}\n",
         "1:15: slots.jobs: expected a whole number in 1 … 4096, or 'auto', found 0"},
        {"slots: {jobs: 1.5}\n",
         "1:15: slots.jobs: expected a whole number in 1 … 4096, or 'auto', found 1.5"},
        {"study: {direction: maximise}\n",
         "1:20: study.direction: 'maximise': did you mean 'maximize'?"},
        {"study: {direction: up}\n",
         "1:20: study.direction: expected 'minimize' or 'maximize', found 'up'"},
        {"study: {name: a/b}\n",
         "1:15: study.name: 'a/b': a study's name has at most 200 characters, no '/', and no "
         "'.' in front"},
        {"study: x\n", "1:8: study: expected a mapping of keys, found 'x'"},
        {"report: {xcom: 3}\n", "1:16: report.xcom: expected a path, true or false, found 3"},
        {"retry: {oom: often}\n", "1:14: retry.oom: expected a number of times, 'unlimited' or "
                                  "{times: n, …}, found 'often'"},
        {"retry: {oom: {memory: 1.5}}\n",
         "1:23: retry.oom: memory: expected a factor like x1.5, at least x1, found 1.5"},
        {"sampler: {seed: -1}\n",
         "1:17: sampler: seed: expected a whole number of at least 0, found -1"},
        {"sampler: {tpe: 3}\n", "1:16: sampler: expected a mapping, found 3"},
        {"matrix: {a: 3}\n", "1:13: matrix.a: expected a list of values, found 3"},
        {"matrix: {a: [x, x]}\n", "1:17: matrix.a: 'x' stands there twice"},
        {"env: [FORKLESS_SURELY_UNSET]\n",
         "1:7: env: FORKLESS_SURELY_UNSET is not set; to give it a default: env: "
         "{FORKLESS_SURELY_UNSET: value}"},
        {"prove: {trials: 2}\n",
         "1:17: prove.trials: 2 trials cannot be proved when the budget ends at 1"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, the_space_is_checked)
{
    static const struct golden cases[] = {
        {"space: [a]\n", "1:8: space: expected a mapping of parameters, found a list"},
        {"space: {a: [0, 1]}\n",
         "1:12: space.a: expected {float: [low, high]}, {int: [low, high]} or {choice: […]}"},
        {"space: {a: {float: [-1.7e308, 1.7e308]}}\n",
         "1:20: space.a: from low to high are more units than a number can tell"},
        {"space: {a: {float: [0, 1], step: 1e-320}}\n",
         "1:20: space.a: from low to high are more steps than a number can tell"},
        {"space: {a: {float: 3}}\n", "1:20: space.a: expected [low, high], found 3"},
        {"space: {a: {float: [0, x]}}\n",
         "1:20: space.a: expected [low, high], found a list of something else"},
        {"space: {a: {int: [0, 1.5]}}\n",
         "1:18: space.a: the bounds of an int must be whole numbers"},
        {"space: {a: {log: true}}\n",
         "1:12: space.a: expected one of float: [low, high], int: [low, high], choice: […]"},
        {"space: {a: {choice: [x], log: true}}\n", "1:26: space.a: a choice has no 'log'"},
        {"space: {a: {choice: [1, 1.0]}}\n", "1:25: space.a: the choices 1 and 1.0 are equal"},
        {"space: {a: {choice: []}}\n",
         "1:21: space.a: expected a list of values, found an empty or endless one"},
        {"space: {a: {float: [0, 1], step: 0}}\n",
         "1:34: space.a: step: expected a number above 0"},
        {"space: {a: {float: [0, 1], log: yes}}\n", "1:33: space.a: log: expected true or false"},
        {"space: {a: 'float:1-2'}\n",
         "1:12: space.a: expected float:LOW..HIGH, float:LOW..HIGH:log or "
         "float:LOW..HIGH:STEP, found 'float:1-2'"},
        {"space: {a: 'choice:x,,y'}\n", "1:12: space.a: an empty choice in 'choice:x,,y'"},
        {"space: {'a b': 1}\n",
         "1:9: space.a b: a parameter's name has 1 to 200 characters without blanks and ${}=\"'"},
        {"space: {args: 1}\n",
         "1:9: space.args: the name is taken: ${args} stands for all parameters"},
        {"matrix: {f: [a]}\nspace: {f: 1}\n", "2:9: space.f: the name is taken by a key of matrix"},
        {"space: {a: {value: 1, log: true}}\n",
         "1:23: space.a: 'log': beside 'value' only 'when' may stand"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, conditions_are_checked_against_the_space)
{
    static const struct golden cases[] = {
        {"space:\n  b: {choice: [x]}\n  a: {float: [0, 1], when: bb == 'x'}\n",
         "3:28: space.a.when: unknown name 'bb', did you mean 'b'?"},
        {"space:\n  a: {float: [0, 1], when: later == 'x'}\n  later: {choice: [x]}\n",
         "2:28: space.a.when: 'later' must stand above the parameter that depends on it"},
        {"space:\n  a: {float: [0, 1], when: a > 0}\n",
         "2:28: space.a.when: 'a' must stand above the parameter that depends on it"},
        {"space:\n  b: {choice: [dart]}\n  a: {float: [0, 1], when: b == dart}\n",
         "3:28: space.a.when: unknown name 'dart': expected a parameter above or a key of matrix "
         "(a text needs quotes)"},
        {"space:\n  a: {float: [0, 1], when: b = 1}\n",
         "2:28: space.a.when: column 3: write '==' to compare in 'b = 1'"},
        {"space:\n  b: {int: [0, 1]}\n  a: {value: 3, when: b == 1}\n",
         "3:6: space.a: the condition of a fixed value may name keys of matrix and fixed values "
         "only"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, commands_are_checked_when_the_spec_is_read)
{
    static const struct golden cases[] = {
        {"run: python train.py\n", "1:6: run: expected a mapping of keys or a list of texts, the "
                                   "command, found 'python train.py'"},
        {"run: {command: python train.py}\n",
         "1:16: run.command: expected a list like [python, train.py, \"--lr=${lr}\"] (no shell "
         "reads it), found "
         "'python train.py'"},
        {"run: [x, '--lr=${lrr}']\nspace: {lr: 1}\n",
         "1:10: run: unknown ${lrr}: did you mean ${lr}?"},
        {"run: [x, '${HOMEDIR}']\n",
         "1:10: run: unknown ${HOMEDIR}: no parameter of this name; to use an environment "
         "variable, declare it: env: [HOMEDIR]; to mean the text itself, write $${HOMEDIR}"},
        {"run: [x, '${lr}']\nspace: {lr: {flaot: [0, 1]}}\n",
         "2:14: space.lr.flaot: unknown key 'flaot', did you mean 'float'?"},
        {"run: [x, 'a${args}']\n",
         "1:10: run: ${args} becomes several items: write it as an item of its own"},
        {"run: [x, '${lr']\n", "1:10: run: '${lr' has no closing }; to mean the text, write $${"},
        {"run: [x, --drop, '${d}']\nspace: {b: {choice: [true, false]}, d: {float: [0, 1], when: "
         "b}}\n",
         "1:18: run: '--drop' would stand alone where the parameter is inactive: write --drop=${d} "
         "as one item"},
        {"run: {command: [x], data: d.csv}\n", "1:21: run.data: this key needs builtin: xgboost"},
        {"run: {builtin: xgboost, command: [x], data: d, label: y}\n",
         "1:25: run.command: command and builtin: choose one"},
        {"run: {builtin: xgboost, data: d, label: {a: b}}\n",
         "1:41: run.label: expected text, found a mapping"},
        {"run: {builtin: xgboost}\n", "1:6: run: 'data' is missing: the CSV file to learn from\n"
                                      "1:6: run: 'label' is missing: the column to predict"},
        {"run: {builtin: xgbost, data: d, label: y}\n",
         "1:16: run.builtin: 'xgbost': did you mean 'xgboost'?"},
        {"run: {cwd: /tmp}\n",
         "1:6: run: expected command: [program, argument, …] or builtin: xgboost"},
        {"run: {command: [x], env: {FORKLESS_FD: 3}}\n",
         "1:27: run.env: FORKLESS_FD: names that start with FORKLESS_ are set by forkless"},
        {"run: {builtin: xgboost, data: d, label: y, folds: {kfold: 5, holdout: 0.1}}\n",
         "1:51: run.folds: expected one of holdout: 0.2, walk_forward: 5, kfold: 5"},
        {"run: {builtin: xgboost, data: d, label: y}\nspace: {eval_metric: {choice: [auc, f1]}}\n",
         "2:9: space.eval_metric: it says what is recorded, the same for all trials: set "
         "run.fixed.eval_metric"},
    };
    check(cases, ARRAY_LEN(cases), "budget: {trials: 1}\n");
}

Test(spec_errors, what_is_missing_is_said)
{
    static const struct golden cases[] = {
        {"run: [x]\n",
         "1:1: budget: missing: expected {trials: 50}, {complete: 50} or a time limit {wall: 2h}"},
        {"budget: {trials: 1}\n",
         "1:1: run: missing: expected {command: [program, argument, …]} or {builtin: xgboost, …}"},
        {"run: [x]\nbudget: {trials: 5, complete: 5}\n",
         "2:31: budget: trials (completed and pruned) and complete (completed only): choose one"},
        {"run: [x]\nbudget: {trials: 5, attempts: 4}\n",
         "2:31: budget.attempts: 4 attempts cannot give 5 trials"},
        {"run: [x]\nbudget: {trials: none}\n",
         "2:18: budget.trials: expected a whole number, at least 1, found 'none'"},
        {"run: [x]\nbudget: {trials: }\n",
         "2:18: budget.trials: expected a whole number, at least 1, found nothing"},
        {"- 1\n", "1:1: expected a mapping with the keys run, space, budget …"},
    };
    check(cases, ARRAY_LEN(cases), "");
}

Test(spec_errors, nothing_is_ended_for_a_hang_without_its_evidence)
{
    static const struct golden cases[] = {
        {"watch: {on_stall: [kill, retry]}\n",
         "1:20: watch.on_stall: expected the beginning of [dump, kill, retry], found 'kill'"},
        {"watch: {on_stall: kill}\n",
         "1:19: watch.on_stall: expected a list such as [dump, kill, retry], found 'kill'"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, what_this_version_cannot_do_is_refused)
{
    static const struct golden cases[] = {
        {"report: {metrics: ':9464'}\n",
         "1:19: report.metrics: not supported in this version: there is no metrics "
         "listener; leave the key out"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, references_are_checked)
{
    static const struct golden cases[] = {
        {"study: {storage: '${STORE}'}\n",
         "1:18: study.storage: unknown ${STORE}: to use an environment variable, "
         "declare it: env: [STORE]; to mean the text itself, write $${STORE}"},
        {"matrix: {crypto: [a]}\nstudy: {name: '${matrix.cyrpto}'}\n",
         "2:15: study.name: unknown ${matrix.cyrpto}: did you mean ${matrix.crypto}?"},
        {"study: {name: '${matrix.x}'}\n",
         "1:15: study.name: unknown ${matrix.x}: matrix has no such key"},
        {"matrix: {a: [1, 2], b: [1, 2]}\nstudy: {name: 's${matrix.a}'}\n",
         "2:15: study.name: cells 0 and 1 of the matrix would share the study 's1': use every key, "
         "like ${matrix.b}"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}

Test(spec_errors, several_mistakes_are_told_at_once)
{
    static const struct golden cases[] = {
        {"study: {nmae: x}\nwatch: {stall: soon}\nspace: {a: {float: 1}}\n",
         "3:20: space.a: expected [low, high], found 1\n"
         "1:9: study.nmae: unknown key 'nmae', did you mean 'name'?\n"
         "2:16: watch.stall: expected a duration like 90s, 5m or 2h (a bare number is seconds), or "
         "'off', found 'soon'"},
        {"x1: 1\nx2: 1\nx3: 1\nx4: 1\nx5: 1\nx6: 1\nx7: 1\nx8: 1\nx9: 1\nx10: 1\nx11: 1\nx12: 1\n",
         NULL},
    };
    check(cases, 1, "run: [x]\nbudget: {trials: 1}\n");
    struct spec_source src = {.path = spec_file_write(cases[1].spec)};
    const char *text = mistakes(&src);
    cr_expect(strstr(text, "and 4 more") != NULL, "%s", text);
}

Test(spec_errors, a_mistake_in_a_later_cell_names_the_cell)
{
    static const struct golden cases[] = {
        {"matrix: {hi: [5, -5]}\nspace: {a: {float: [0, '${matrix.hi}']}}\n", NULL},
    };
    char text[300];
    (void)snprintf(text, sizeof(text), "%srun: [x]\nbudget: {trials: 1}\n", cases[0].spec);
    struct spec_source src = {.path = spec_file_write(text)};
    const char *says = mistakes(&src);
    cr_expect(strncmp(says, "2:20: space.a: ", 15) == 0, "%s", says);
    cr_expect(strstr(says, "cell 1 (where hi=-5)") != NULL, "%s", says);
}

Test(spec_errors, arguments_are_named_as_typed)
{
    static const char good[] = "run: [x]\nbudget: {trials: 1}\nspace: {eta: {float: [0, 1]}}\n";
    static const struct {
        const char *setting, *says;
    } cases[] = {
        {"budget.trails=3",
         "argument 'budget.trails=3': budget.trails: unknown key 'trails', did you mean 'trials'?"},
        {"space.eta.flaot=[0,1]", "argument 'space.eta.flaot=[0,1]': space.eta.flaot: unknown key "
                                  "'flaot', did you mean 'float'?"},
        {"budgte=3", "argument 'budgte=3': budgte: unknown key 'budgte', did you mean 'budget'?"},
        {"nonsense", "argument 'nonsense': expected key=value"},
        {"other.yaml", "argument 'other.yaml': expected key=value (one spec file at a time)"},
        {"=3", "argument '=3': expected key=value"},
        {"budget..x=3", "argument 'budget..x=3': an empty name in the path 'budget..x'"},
        {"budget.trials.x=1", "argument 'budget.trials.x=1': 'budget.trials' is not a mapping, so "
                              "nothing can be set in it"},
        {"slots={jobs: ", "argument 'slots={jobs: ': did not find expected node content while "
                          "parsing a flow node"},
        {"lr=float:1",
         "argument 'lr=float:1': space.lr: expected float:LOW..HIGH, float:LOW..HIGH:log or "
         "float:LOW..HIGH:STEP, found 'float:1'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spec_source src = {
            .path = spec_file_write(good), .settings = &cases[i].setting, .n_settings = 1};
        cr_expect_str_eq(mistakes(&src), cases[i].says);
    }
    struct spec_option option = {"--stall", "watch.stall", "soon"};
    struct spec_source src = {.path = spec_file_write(good), .options = &option, .n_options = 1};
    cr_expect_str_eq(mistakes(&src),
                     "option --stall: watch.stall: expected a duration like 90s, 5m or 2h (a bare "
                     "number is seconds), or 'off', found 'soon'");
}

/* Without a file a name with a dot could be a parameter's, and mostly is not. */
Test(spec_errors, a_misspelt_section_on_a_command_line_is_no_parameter)
{
    static const char *const settings[] = {"bugdet.trials=3", "x=int:1..6"};
    static const char *const command[] = {"true"};
    struct spec_source src = {
        .settings = settings, .n_settings = 2, .command = command, .n_command = 1};
    const char *says = mistakes(&src);
    cr_expect(strstr(says, "'bugdet', did you mean 'budget'?") != NULL, "%s", says);
}

Test(spec_errors, one_name_given_twice_on_a_command_line_is_refused)
{
    static const char *const settings[] = {"x=float:0..1", "x.log=true", "x=int:5..9"};
    static const char *const command[] = {"train", "${x}"};
    struct spec_source src = {.settings = settings,
                              .n_settings = ARRAY_LEN(settings),
                              .command = command,
                              .n_command = ARRAY_LEN(command)};
    cr_expect_str_eq(mistakes(&src), "argument 'x=int:5..9': 'x' is given twice");
}

Test(spec_errors, a_command_line_is_told_what_command_lines_need)
{
    static const char *const settings[] = {"lr=float:0..1", "python"};
    struct spec_source src = {.settings = settings, .n_settings = 1};
    cr_expect_str_eq(
        mistakes(&src),
        "command line: budget: missing: expected a number of trials, -n 50, or a time limit, "
        "--wall 2h\n"
        "command line: run: missing: expected the command after --, like -- python train.py "
        "--lr='${lr}'");
    src.n_settings = 2;
    cr_expect_str_eq(mistakes(&src),
                     "argument 'python': expected key=value (a command stands after --)");
}

Test(spec_errors, a_missing_file_is_said)
{
    struct spec_doc *doc;
    struct err err;
    cr_expect_eq(spec_load(&doc, &(struct spec_source){.path = "none.yaml"}, NULL, &err),
                 -ERR_NOTFOUND);
    cr_expect_str_eq(err.msg, "none.yaml: no such file");
}

/* As a constant each would make a sweep that searches nothing. */
Test(spec_errors, a_mistyped_range_is_no_constant)
{
    static const char good[] = "run: [x]\nbudget: {trials: 1}\nspace: {lr: {float: [0, 1]}}\n";
#define TEXT_INSTEAD " To mean the text, write {value: '…'}"
    static const struct {
        const char *setting, *says;
    } cases[] = {
        {"lr=flot:0..1", "space.lr: 'flot:0..1' looks like a range: did you mean "
                         "'float:0..1'?" TEXT_INSTEAD},
        {"lr=uniform:0,1", "space.lr: 'uniform:0,1' looks like a range: did you mean "
                           "'float:0,1'?" TEXT_INSTEAD},
        {"lr=log:1e-5..1", "space.lr: 'log:1e-5..1' looks like a range: did you mean "
                           "'float:1e-5..1:log'?" TEXT_INSTEAD},
        {"lr=0..1", "space.lr: '0..1' looks like a range: did you mean 'float:0..1'?" TEXT_INSTEAD},
        {"act=choise:relu,tanh", "space.act: 'choise:relu,tanh' looks like a range: did you mean "
                                 "'choice:relu,tanh'?" TEXT_INSTEAD},
        {"lr=gauss:0..1", "space.lr: 'gauss:0..1' looks like a range: expected float:LOW..HIGH, "
                          "int:LOW..HIGH or choice:A,B; to mean the text, write {value: '…'}"},
        {"lr=int:1.5..3", "space.lr: expected int:LOW..HIGH, int:LOW..HIGH:log or "
                          "int:LOW..HIGH:STEP in whole numbers, found 'int:1.5..3'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spec_source src = {
            .path = spec_file_write(good), .settings = &cases[i].setting, .n_settings = 1};
        const char *says = mistakes(&src);
        const char *what = strstr(says, "': ");
        cr_assert_not_null(what, "%s", says);
        cr_expect_str_eq(what + 3, cases[i].says);
    }
}

Test(spec_errors, texts_with_colons_and_dots_are_constants)
{
    static const char *const settings[] = {
        "a=../data/x.csv", "b=cuda:0", "c=file:///x", "d=a..b",     "e=1../x",
        "f=relu,tanh",     "g=git:x",  "h=v1.2.3",    "i=12:30,45", "j={value: 'flot:0..1'}",
    };
    const char *const command[] = {"x"};
    const struct spec_option option = {"--trials", "budget.trials", "1"};
    struct spec_source src = {.settings = settings,
                              .n_settings = ARRAY_LEN(settings),
                              .options = &option,
                              .n_options = 1,
                              .command = command,
                              .n_command = 1};
    struct spec_doc *doc = NULL;
    struct err err = {0};
    cr_assert_eq(spec_load(&doc, &src, NULL, &err), 0, "%s", err.msg);
    spec_doc_destroy(doc);
}

Test(spec_errors, patterns_and_fallbacks_say_what_was_expected)
{
    static const struct golden cases[] = {
        {"classify: {hesian: x}\n",
         "1:12: classify: unknown key 'hesian', did you mean 'hessian'?"},
        {"classify: {lost: x}\n",
         "1:12: classify: unknown key 'lost': expected oom, nan, hessian, overflow, calibration, "
         "missing_dependency, bad_data"},
        {"classify: {hessian: [x, 3]}\n",
         "1:25: classify.hessian: expected a text to look for, found 3"},
        {"classify: {hessian: '**'}\n",
         "1:21: classify.hessian: '**' would be found in every line"},
        {"fallback: {on: nan}\n",
         "1:11: fallback: expected a list of at most 63 steps like {on: hessian, set: "
         "{focal_gamma: -1.0}, times: 3}, found a mapping"},
        {"fallback: [{on: nan}]\n",
         "1:12: fallback: 'set' is missing: expected {on: [class], set: {name: value}}"},
        {"fallback: [{on: calibration, set: {g: -1}}]\nspace: {g: {float: [0, 5]}}\n",
         "1:17: fallback.on: calibration: a soft label stays one, such a trial is never tried "
         "again"},
        {"fallback: [{on: [hesian], set: {g: -1}}]\nspace: {g: {float: [0, 5]}}\n",
         "1:18: fallback.on: 'hesian': did you mean 'hessian'?"},
        {"fallback: [{on: lost, set: {g: -1}}]\nspace: {g: {float: [0, 5]}}\n",
         "1:17: fallback.on: expected classes out of stalled, timeout, oom, signal, exit, nan, "
         "hessian, overflow, bad_data, found 'lost'"},
        {"fallback: [{on: nan, set: {gama: -1}}]\nspace: {gamma: {float: [0, 5]}}\n",
         "1:28: fallback.set: unknown name 'gama': did you mean 'gamma'?"},
        {"fallback: [{on: nan, set: {loss: x}}]\nspace: {gamma: {float: [0, 5]}}\n",
         "1:28: fallback.set: 'loss' is no parameter and no fixed value of space: a command gets "
         "no other values"},
        {"fallback: [{on: nan, set: {g: -1}}]\nspace: {g: {choice: [a, b]}}\n",
         "1:31: fallback.set: g: -1 is added to a number, but there is none"},
        {"fallback: [{on: nan, set: {g: -0.5}}]\nspace: {g: {int: [0, 5]}}\n",
         "1:31: fallback.set: g: expected a whole number, found -0.5"},
        {"fallback: [{on: nan, set: {g: c}}]\nspace: {g: {choice: [a, b]}}\n",
         "1:31: fallback.set: g: expected one of its values in space, found 'c'"},
        {"fallback: [{on: nan, set: {g: 9}}]\nspace: {g: {float: [0, 5]}}\n",
         "1:31: fallback.set: g: expected one of its values in space, found 9"},
        {"fallback: [{on: nan, set: {g: 1}, mark: bad}]\nspace: {g: {float: [0, 5]}}\n",
         "1:41: fallback.mark: expected rolled_back, found 'bad'"},
        {"fallback: [{on: nan, set: {g: 1}, times: 64}]\nspace: {g: {float: [0, 5]}}\n",
         "1:42: fallback.times: expected a whole number in 1 … 63, found 64"},
        {"fallback: [{on: nan, set: {g: 1}, time: 2}]\nspace: {g: {float: [0, 5]}}\n",
         "1:35: fallback: unknown key 'time', did you mean 'times'?"},
        {"retry: {calibration: 1}\n",
         "1:9: retry: calibration: a soft label stays one, such a trial is never tried again"},
    };
    check(cases, ARRAY_LEN(cases), "run: [x]\nbudget: {trials: 1}\n");
}
