/* What depends on more than one key: defaults that follow others, and contradictions. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/fallback.h"
#include "trials/spec_read.h"

/* ---- study ---- */

/* The last word of a metric's name: val_auc, eval/auc and auc are one. */
static const char *last_word(const char *metric)
{
    const char *word = metric;
    for (const char *p = metric; *p != '\0'; p++) {
        if (strchr("_-/.:", *p) != NULL && p[1] != '\0')
            word = p + 1;
    }
    return word;
}

static bool is_maximized(const char *metric)
{
    static const char *const names[] = {"auc",  "aucpr",     "auroc",  "accuracy", "acc",
                                        "f1",   "precision", "recall", "r2",       "map",
                                        "ndcg", "score",     "reward", "sharpe"};
    const char *word = last_word(metric);
    if (strcasestr(metric, "brier") != NULL || strcasestr(metric, "loss") != NULL ||
        strcasestr(metric, "error") != NULL)
        return false; /* brier_score */
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcasecmp(word, names[i]) == 0)
            return true;
    }
    return false;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What all trials have, or NULL: where a parameter of that name is fixed, it wins. */
static const char *xgboost_objective(const struct spec_reader *r, const struct yaml_node *run)
{
    for (size_t i = 0; i < r->spec->n_fixed; i++) {
        if (strcmp(r->spec->fixed[i].name, "objective") == 0)
            return r->spec->fixed[i].value.kind == VALUE_TEXT ? r->spec->fixed[i].value.s : NULL;
    }
    const struct yaml_node *n = yaml_get(yaml_get(run, "fixed"), "objective");
    n = n != NULL ? n : yaml_get(run, "objective");
    return n != NULL ? n->text : NULL;
}

/* The metric that the XGBoost worker reports by default for its objective. */
static const char *xgboost_metric(struct spec_reader *r, const struct yaml_node *run)
{
    const char *objective = xgboost_objective(r, run);
    if (space_find(&r->spec->space, "objective") >= 0) {
        problem_at(r->problems, run, "study.metric",
                   "missing: the objective is sampled, so say what to compare by");
        return "auc";
    }
    if (objective == NULL || starts_with(objective, "binary:") || strcmp(objective, "focal") == 0)
        return "auc";
    return starts_with(objective, "multi:") ? "mlogloss" : "rmse";
}

static void finish_study(struct spec_reader *r)
{
    struct spec *s = r->spec;
    const struct yaml_node *run = yaml_get(r->root, "run");
    if (s->study.metric == NULL)
        s->study.metric = yaml_get(run, "builtin") != NULL ? xgboost_metric(r, run) : "value";
    if (s->study.direction == 0)
        s->study.direction =
            is_maximized(s->study.metric) ? DIRECTION_MAXIMIZE : DIRECTION_MINIMIZE;
    else if (s->study.direction == DIRECTION_MINIMIZE && is_maximized(s->study.metric))
        spec_note(r, yaml_get(yaml_get(r->root, "study"), "direction"), "study.direction",
                  "the metric looks like one to maximize");
    s->sampler.direction = s->pruner.direction = s->study.direction;
    s->study.named = s->study.name != NULL;
    if (s->study.named)
        return;
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, r->doc->stem);
    for (size_t i = 0; i < s->n_cell; i++)
        buf_printf(&b, "-%s", s->cell[i].value);
    s->study.name = pool_strdup(r->pool, buf_str(&b));
}

static void check_study_name(struct spec_reader *r)
{
    const struct yaml_node *at = yaml_get(yaml_get(r->root, "study"), "name");
    const char *name = r->spec->study.name;
    /* it names a directory, and a column of 512 characters holds it */
    if (name != NULL && (strlen(name) > 200 || strchr(name, '/') != NULL || name[0] == '.'))
        problem_at(
            r->problems, at != NULL ? at : r->root, "study.name",
            "'%.60s': a study's name has at most 200 characters, no '/', and no '.' in front",
            name);
}

/* ---- budget and proof ---- */

static const struct yaml_node *place(const struct spec_reader *r, const char *section,
                                     const char *key)
{
    const struct yaml_node *s = yaml_get(r->root, section);
    const struct yaml_node *k = yaml_get(s, key);
    return k != NULL ? k : s != NULL ? s : r->root;
}

/* Whether the document names an end, even if with a mistake that was told. */
static bool names_end(const struct spec_reader *r)
{
    const struct yaml_node *budget = yaml_get(r->root, "budget");
    return yaml_find(budget, "trials") != NULL || yaml_find(budget, "complete") != NULL ||
           yaml_find(budget, "wall") != NULL;
}

static void finish_budget(struct spec_reader *r)
{
    struct spec *s = r->spec;
    int64_t target = s->budget.trials > 0 ? s->budget.trials : s->budget.complete;
    if (s->budget.trials > 0 && s->budget.complete > 0)
        problem_at(r->problems, place(r, "budget", "complete"), "budget",
                   "trials (completed and pruned) and complete (completed only): choose one");
    if (target == 0 && s->budget.wall_ms == 0 && !(names_end(r) && r->problems->n > 0))
        problem_at(r->problems, place(r, "budget", ""), "budget",
                   r->doc->from_file
                       ? "missing: expected {trials: 50}, {complete: 50} or a time limit {wall: 2h}"
                       : "missing: expected a number of trials, -n 50, or a time limit, --wall 2h");
    if (s->budget.attempts == 0 && target > 0)
        s->budget.attempts = (2 + fallback_rungs(s)) * target + 10;
    if (s->budget.attempts > 0 && s->budget.attempts < target)
        problem_at(r->problems, place(r, "budget", "attempts"), "budget.attempts",
                   "%lld attempts cannot give %lld trials", (long long)s->budget.attempts,
                   (long long)target);
    if (s->prove.trials == 0)
        s->prove.trials = target > 0 ? target : 1;
    if (target > 0 && s->prove.trials > target)
        problem_at(r->problems, place(r, "prove", "trials"), "prove.trials",
                   "%lld trials cannot be proved when the budget ends at %lld",
                   (long long)s->prove.trials, (long long)target);
}

void spec_finish(struct spec_reader *r)
{
    finish_study(r);
    check_study_name(r);
    spec_finish_fallback(r);
    finish_budget(r);
    spec_finish_run(r);
    if (r->spec->run.trials_per_worker > 1 && r->spec->slots.jobs > 0 && r->problems->n == 0 &&
        r->spec->budget.trials > 0 && (int64_t)r->spec->slots.jobs > r->spec->budget.trials)
        spec_note(r, place(r, "slots", "jobs"), "slots.jobs", "more jobs than trials");
}
