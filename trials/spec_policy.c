/* The parts of a spec that choose one of several policies: sampler, pruner, retry, folds. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/spec_read.h"

/* A number below one of these keys. */
struct option {
    const char *name;
    double min, max;
    bool whole;
    double *out;
};

static void read_option(struct spec_reader *r, const struct yaml_node *n, const char *path,
                        const struct option *o)
{
    char found[YAML_FOUND_MAX], low[TEXT_DOUBLE_MAX];
    bool is_number = n->kind == YAML_INT || n->kind == YAML_REAL;
    double v = n->kind == YAML_INT ? (double)n->i : n->kind == YAML_REAL ? n->d : 0;
    if (is_number && v >= o->min && v <= o->max && (!o->whole || floor(v) == v)) {
        *o->out = v;
        return;
    }
    (void)snprintf(low, sizeof(low), "%g", o->min);
    problem_at(r->problems, n, path, "%s: expected a %snumber of at least %s, found %s", o->name,
               o->whole ? "whole " : "", low, yaml_found(n, found));
}

static void read_options(struct spec_reader *r, const struct yaml_node *map, const char *path,
                         const struct option *options, size_t n)
{
    const char *names[8];
    char found[YAML_FOUND_MAX];
    if (map->kind == YAML_NULL)
        return;
    if (map->kind != YAML_MAP) {
        problem_at(r->problems, map, path, "expected a mapping, found %s", yaml_found(map, found));
        return;
    }
    for (size_t i = 0; i < n; i++)
        names[i] = options[i].name;
    for (size_t i = 0; i < map->n; i++) {
        size_t k = 0;
        while (k < n && strcmp(map->pairs[i].key, names[k]) != 0)
            k++;
        if (k == n && n == 0)
            problem_key(r->problems, &map->pairs[i], path, "'%.60s': there is nothing to set here",
                        map->pairs[i].key);
        else if (k == n)
            problem_unknown(r->problems, &map->pairs[i], path, names, n);
        else
            read_option(r, map->pairs[i].value, path, &options[k]);
    }
}

/* The index of the policy's name, noted as a mistake and -1 if there is no such name. */
static int find_policy(struct spec_reader *r, const struct yaml_node *at, const char *path,
                       const char *name, const char *const *policies, size_t n)
{
    char list[200] = "";
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, policies[i]) == 0)
            return (int)i;
        size_t len = strlen(list);
        (void)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", policies[i]);
    }
    const char *near = text_nearest(name, policies, n);
    if (near != NULL)
        problem_at(r->problems, at, path, "'%.60s': did you mean '%s'?", name, near);
    else
        problem_at(r->problems, at, path, "'%.60s': expected one of %s", name, list);
    return -1;
}

/* `tpe` or `{tpe: {…}}`. Sets *options to the inner mapping, or leaves it NULL; `beside` is a key
 * that may stand beside the policy, put into *extra. Returns the index, or -1 when there is none.
 */
static int read_policy(struct spec_reader *r, const struct yaml_node *n, const char *path,
                       const char *const *policies, size_t n_policies,
                       const struct yaml_node **options, const char *beside,
                       const struct yaml_node **extra)
{
    char found[YAML_FOUND_MAX];
    if (n->kind == YAML_TEXT)
        return find_policy(r, n, path, n->text, policies, n_policies);
    if (n->kind == YAML_NULL)
        return -1;
    if (n->kind != YAML_MAP) {
        problem_at(r->problems, n, path, "expected a name or a mapping, found %s",
                   yaml_found(n, found));
        return -1;
    }
    int chosen = -1;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        if (beside != NULL && strcmp(p->key, beside) == 0) {
            *extra = p->value;
            continue;
        }
        struct yaml_node at = *p->value;
        at.line = p->line;
        at.column = p->column;
        int k = find_policy(r, &at, path, p->key, policies, n_policies);
        if (k >= 0 && chosen >= 0)
            problem_key(r->problems, p, path, "'%s' and '%s': choose one", policies[chosen],
                        policies[k]);
        if (k >= 0) {
            chosen = k;
            *options = p->value;
        }
    }
    return chosen;
}

void spec_read_sampler(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    static const char *const kinds[] = {"auto", "tpe", "random"}; /* enum sampler_kind */
    struct sampler_conf *conf = &r->spec->sampler;
    const struct yaml_node *inner = NULL, *seed = NULL;
    double startup = conf->startup, candidates = conf->candidates,
           seed_value = (double)r->spec->seed;
    int kind = read_policy(r, node, path, kinds, ARRAY_LEN(kinds), &inner, "seed", &seed);
    const struct option options[] = {{"startup", 0, 1e6, true, &startup},
                                     {"candidates", 1, 1e6, true, &candidates}};
    if (kind >= 0)
        conf->kind = (enum sampler_kind)kind;
    if (inner != NULL)
        read_options(r, inner, path, options,
                     conf->kind == SAMPLER_RANDOM ? 0 : ARRAY_LEN(options));
    if (seed != NULL)
        read_option(r, seed, path, &(struct option){"seed", 0, 0x1p53, true, &seed_value});
    r->spec->seeded = r->spec->seeded || seed != NULL;
    conf->startup = (int)startup;
    conf->candidates = (int)candidates;
    r->spec->seed = conf->seed = (uint64_t)seed_value;
}

void spec_read_pruner(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    static const char *const kinds[] = {"none", "median", "asha"}; /* enum pruner_kind */
    struct pruner_conf *conf = &r->spec->pruner;
    const struct yaml_node *inner = NULL;
    double startup = conf->startup_trials, warmup = (double)conf->warmup_steps,
           interval = (double)conf->interval_steps, min = (double)conf->min_resource,
           eta = conf->reduction_factor, early_rate = conf->min_early_stopping_rate;
    const struct option median[] = {{"startup", 0, 1e6, true, &startup},
                                    {"warmup", 0, 1e9, true, &warmup},
                                    {"interval", 1, 1e9, true, &interval}};
    const struct option asha[] = {{"min", 1, 1e9, true, &min},
                                  {"eta", 2, 1e3, true, &eta},
                                  {"early_rate", 0, 60, true, &early_rate}};
    int kind = read_policy(r, node, path, kinds, ARRAY_LEN(kinds), &inner, NULL, NULL);
    if (kind >= 0)
        conf->kind = (enum pruner_kind)kind;
    if (inner != NULL)
        read_options(r, inner, path, conf->kind == PRUNER_MEDIAN ? median : asha,
                     conf->kind == PRUNER_NONE ? 0 : 3);
    conf->startup_trials = (int)startup;
    conf->warmup_steps = (int64_t)warmup;
    conf->interval_steps = (int64_t)interval;
    conf->min_resource = (int64_t)min;
    conf->reduction_factor = (int)eta;
    conf->min_early_stopping_rate = (int)early_rate;
}

/* ---- retry ---- */

static bool read_times(const struct yaml_node *n, int64_t *times)
{
    if (n->kind == YAML_TEXT && strcmp(n->text, "unlimited") == 0)
        *times = SPEC_UNLIMITED;
    else if (n->kind == YAML_INT && n->i >= 0 && n->i <= 1000000)
        *times = n->i;
    else
        return false;
    return true;
}

/* "x1.5" */
static bool read_factor(const struct yaml_node *n, double *factor)
{
    double v;
    if (n->kind != YAML_TEXT || n->text[0] != 'x' || !text_double(n->text + 1, &v) || !(v >= 1) ||
        v > 100)
        return false;
    *factor = v;
    return true;
}

static void read_retry_key(struct spec_reader *r, const struct yaml_pair *p, const char *path,
                           struct spec_retry *retry)
{
    static const char *const keys[] = {"times", "backoff", "memory", "cpus"};
    static const char *const forms[] = {
        "expected a whole number or 'unlimited'", "expected a duration like 10s",
        "expected a factor like x1.5, at least x1", "expected a number of threads"};
    const struct yaml_node *n = p->value;
    char found[YAML_FOUND_MAX];
    size_t k = 0;
    while (k < ARRAY_LEN(keys) && strcmp(p->key, keys[k]) != 0)
        k++;
    bool ok = true;
    switch (k) {
    case 0:
        ok = read_times(n, &retry->times);
        break;
    case 1:
        ok = spec_is_scalar(n) && text_duration_ms(n->text, &retry->backoff_ms);
        break;
    case 2:
        ok = read_factor(n, &retry->memory_factor);
        break;
    case 3:
        ok = (n->kind == YAML_INT && n->i >= 1 && n->i <= 4096);
        if (ok)
            retry->cpus = (double)n->i;
        break;
    default:
        problem_unknown(r->problems, p, path, keys, ARRAY_LEN(keys));
    }
    if (!ok)
        problem_at(r->problems, n, path, "%s: %s, found %s", keys[k], forms[k],
                   yaml_found(n, found));
}

static void read_retry_class(struct spec_reader *r, const struct yaml_node *n, const char *path,
                             struct spec_retry *retry)
{
    char found[YAML_FOUND_MAX];
    if (n->kind == YAML_MAP) {
        for (size_t i = 0; i < n->n; i++)
            read_retry_key(r, &n->pairs[i], path, retry);
        if (yaml_get(n, "times") == NULL && retry->times == 0)
            retry->times = 1;
    } else if (!read_times(n, &retry->times)) {
        problem_at(r->problems, n, path,
                   "expected a number of times, 'unlimited' or {times: n, …}, found %s",
                   yaml_found(n, found));
    }
}

void spec_read_retry(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    const char *names[FAIL_CLASSES];
    char found[YAML_FOUND_MAX];
    size_t n = 0;
    names[n++] = "default";
    for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++)
        names[n++] = fail_class_name((enum fail_class)c);
    if (node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_MAP) {
        problem_at(r->problems, node, path,
                   "expected a mapping like {oom: 1, default: 0}, found %s",
                   yaml_found(node, found));
        return;
    }
    const struct yaml_node *rest = yaml_get(node, "default");
    if (rest != NULL) {
        struct spec_retry all = r->spec->retry[FAIL_EXIT];
        read_retry_class(r, rest, "retry.default", &all);
        for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++) {
            if (c != FAIL_LOST && c != FAIL_PREEMPTED && c != FAIL_CALIBRATION)
                r->spec->retry[c] = all;
        }
    }
    for (size_t i = 0; i < node->n; i++) {
        enum fail_class c;
        const char *below = pool_printf(r->pool, "%s.%s", path, node->pairs[i].key);
        if (strcmp(node->pairs[i].key, "default") == 0)
            continue;
        if (!fail_class_from_name(node->pairs[i].key, &c) || c == FAIL_NONE)
            problem_unknown(r->problems, &node->pairs[i], path, names, n);
        else
            read_retry_class(r, node->pairs[i].value, below != NULL ? below : path,
                             &r->spec->retry[c]);
    }
    if (r->spec->retry[FAIL_CALIBRATION].times != 0) {
        problem_key(r->problems, yaml_find(node, "calibration"), path,
                    "calibration: a soft label stays one, such a trial is never tried again");
    }
}

/* ---- folds of the XGBoost worker ---- */

void spec_read_folds(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    double holdout = 0, walk = 0, kfold = 0, embargo = 0;
    const struct option options[] = {{"holdout", 1e-6, 0.999999, false, &holdout},
                                     {"walk_forward", 1, 1000, true, &walk},
                                     {"kfold", 2, 1000, true, &kfold},
                                     {"embargo", 0, 1e9, true, &embargo}};
    struct yaml_node *rest = yaml_shallow_copy(r->pool, node);
    const struct yaml_pair *shuffle = yaml_find(node, "shuffle");
    if (rest == NULL)
        return;
    if (shuffle != NULL) {
        yaml_remove(rest, "shuffle");
        if (shuffle->value->kind != YAML_BOOL)
            problem_at(r->problems, shuffle->value, path, "shuffle: expected true or false");
        else if (yaml_get(node, "kfold") == NULL)
            problem_key(r->problems, shuffle, path,
                        "shuffle goes with kfold: rows are in order of time");
    }
    unsigned before = r->problems->n;
    read_options(r, rest, path, options, ARRAY_LEN(options));
    if (r->problems->n == before && (holdout > 0) + (walk > 0) + (kfold > 0) != 1)
        problem_at(r->problems, node, path,
                   "expected one of holdout: 0.2, walk_forward: 5, kfold: 5");
}

/* [dump], [dump, kill] or all three: nothing is ended for a hang without its evidence. */
void spec_read_on_stall(struct spec_reader *r, const struct yaml_node *node, const char *path)
{
    static const char *const steps[] = {"dump", "kill", "retry"};
    char found[YAML_FOUND_MAX];
    if (node->kind == YAML_NULL)
        return;
    if (node->kind != YAML_LIST || node->n == 0) {
        problem_at(r->problems, node, path, "expected a list such as [dump, kill, retry], found %s",
                   yaml_found(node, found));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *step = node->items[i];
        if (i >= ARRAY_LEN(steps) || step->kind != YAML_TEXT || strcmp(step->text, steps[i]) != 0) {
            problem_at(r->problems, step, path,
                       "expected the beginning of [dump, kill, retry], found %s",
                       yaml_found(step, found));
            return;
        }
    }
    r->spec->watch.only_tell = node->n == 1;
    r->spec->watch.no_retry = node->n < 3;
}
