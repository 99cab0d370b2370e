#include "trials/gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/rank_test.h"

void gate_free(struct gate *g)
{
    for (size_t i = 0; i < g->n; i++) {
        free(g->results[i].group);
        free(g->results[i].crypto);
    }
    free(g->results);
    *g = (struct gate){0};
}

static const struct gate_result *find(const struct gate *g, const char *group, const char *crypto,
                                      int64_t fold)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct gate_result *r = &g->results[i];
        if (r->fold == fold && strcmp(r->group, group) == 0 && strcmp(r->crypto, crypto) == 0)
            return r;
    }
    return NULL;
}

int gate_add(struct gate *g, const char *group, const char *crypto, int64_t fold, double value,
             int64_t buys, struct err *err)
{
    if (find(g, group, crypto, fold) != NULL)
        return err_set(err, ERR_EXISTS, "%s has two results for %s, fold %lld", group, crypto,
                       (long long)fold);
    if (g->n == g->cap) {
        size_t cap = g->cap > 0 ? 2 * g->cap : 64;
        struct gate_result *grown = realloc(g->results, cap * sizeof(*grown));
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "comparison");
        g->results = grown;
        g->cap = cap;
    }
    struct gate_result r = {strdup(group), strdup(crypto), fold, value, buys};
    if (r.group == NULL || r.crypto == NULL) {
        free(r.group);
        free(r.crypto);
        return err_set(err, ERR_NOMEM, "comparison");
    }
    g->results[g->n++] = r;
    return 0;
}

const char *gate_verdict_name(enum gate_verdict v)
{
    static const char *const names[] = {"baseline", "lock", "keep_available", "abandon"};
    return names[v];
}

/* ---- one group ---- */

/* Memory for numbers of one group. */
struct scratch {
    double *a, *b;
};

static void describe(const struct gate *g, struct gate_group *out, const struct scratch *s)
{
    out->buys = -1;
    for (size_t i = 0; i < g->n; i++) {
        const struct gate_result *r = &g->results[i];
        if (strcmp(r->group, out->name) != 0)
            continue;
        s->a[out->n++] = r->value;
        if (r->buys >= 0 && (out->buys < 0 || r->buys < out->buys))
            out->buys = r->buys;
    }
    out->median = rank_quantile(s->a, out->n, 0.5);
    out->q1 = rank_quantile(s->a, out->n, 0.25);
    out->q3 = rank_quantile(s->a, out->n, 0.75);
}

/* Differences to the baseline, of one crypto or (NULL) of all; better ones are positive in *sign.
 */
static size_t differences(const struct gate *g, const struct gate_rules *rules, const char *group,
                          const char *crypto, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct gate_result *r = &g->results[i];
        if (strcmp(r->group, group) != 0 || (crypto != NULL && strcmp(r->crypto, crypto) != 0))
            continue;
        const struct gate_result *base = find(g, rules->baseline, r->crypto, r->fold);
        if (base != NULL)
            out[n++] = r->value - base->value;
    }
    return n;
}

static bool is_better(const struct gate_rules *rules, double difference)
{
    return rules->less_is_better ? difference < 0 : difference > 0;
}

static void count_cryptos(const struct gate *g, const struct gate_rules *rules,
                          struct gate_group *out, double *memory)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct gate_result *r = &g->results[i];
        bool first = strcmp(r->group, out->name) == 0;
        for (size_t k = 0; first && k < i; k++)
            first = strcmp(g->results[k].group, out->name) != 0 ||
                    strcmp(g->results[k].crypto, r->crypto) != 0;
        size_t n = first ? differences(g, rules, out->name, r->crypto, memory) : 0;
        if (n == 0)
            continue;
        out->cryptos++;
        out->cryptos_better += is_better(rules, rank_quantile(memory, n, 0.5));
    }
}

/* The ranks say which way a significant difference goes: the median is 0 where most pairs are
 * alike.
 */
static void judge(const struct gate_rules *rules, const struct rank_test *test,
                  struct gate_group *out)
{
    bool significant = out->p < rules->alpha,
         better = is_better(rules, significant ? test->plus - test->minus : out->difference);
    size_t cryptos = out->cryptos, agree = out->cryptos_better;
    out->verdict = GATE_KEEP;
    if (out->pairs < GATE_PAIRS) {
        (void)snprintf(out->why, sizeof(out->why), "%zu pairs are too few to tell", out->pairs);
    } else if (test->n == 0) {
        (void)snprintf(out->why, sizeof(out->why),
                       "the same as the baseline in every fold: was the factor in effect?");
    } else if (significant && !better) {
        out->verdict = GATE_ABANDON;
        (void)snprintf(out->why, sizeof(out->why), "significantly worse");
    } else if (!better && agree * 5 < cryptos * 2) {
        out->verdict = GATE_ABANDON;
        (void)snprintf(out->why, sizeof(out->why), "better in %zu of %zu cryptos only", agree,
                       cryptos);
    } else if (!significant) {
        (void)snprintf(out->why, sizeof(out->why), "no significant difference");
    } else if (cryptos < GATE_CRYPTOS) {
        (void)snprintf(out->why, sizeof(out->why), "better, but %zu crypto%s alone cannot tell",
                       cryptos, cryptos > 1 ? "s" : "");
    } else if (agree * 5 < cryptos * 4) {
        (void)snprintf(out->why, sizeof(out->why), "better, but in %zu of %zu cryptos only", agree,
                       cryptos);
    } else if (out->buys >= 0 && out->buys < GATE_BUYS) {
        (void)snprintf(out->why, sizeof(out->why),
                       "better, but a fold has %lld BUY signals, fewer than %d",
                       (long long)out->buys, GATE_BUYS);
    } else {
        out->verdict = GATE_LOCK;
        (void)snprintf(out->why, sizeof(out->why), "significantly better, in %zu of %zu cryptos",
                       agree, cryptos);
    }
}

static int compare(const struct gate *g, const struct gate_rules *rules, struct gate_group *out,
                   const struct scratch *s, struct err *err)
{
    struct rank_test test = {.p = 1};
    out->pairs = differences(g, rules, out->name, NULL, s->a);
    if (out->pairs == 0) {
        out->p = 1;
        judge(rules, &test, out);
        return 0;
    }
    int rc = rank_test(s->a, out->pairs, &test, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < out->pairs; i++)
        out->better += is_better(rules, s->a[i]);
    out->p = test.p;
    out->exact = test.exact;
    out->difference = rank_quantile(s->a, out->pairs, 0.5);
    count_cryptos(g, rules, out, s->b);
    judge(rules, &test, out);
    return 0;
}

/* ---- all ---- */

static size_t list_groups(const struct gate *g, struct gate_group *out)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        size_t k = 0;
        while (k < n && strcmp(out[k].name, g->results[i].group) != 0)
            k++;
        if (k == n)
            out[n++].name = g->results[i].group;
    }
    return n;
}

static int by_name(const void *a, const void *b, void *baseline)
{
    const struct gate_group *x = a, *y = b;
    int first = strcmp(x->name, baseline) == 0, second = strcmp(y->name, baseline) == 0;
    return first != second ? second - first : strcmp(x->name, y->name);
}

int gate_judge(const struct gate *g, const struct gate_rules *rules, struct gate_group **out,
               size_t *n, struct err *err)
{
    AUTO_FREE struct gate_group *groups = calloc(g->n + 1, sizeof(*groups));
    AUTO_FREE double *a = calloc(g->n + 1, sizeof(*a));
    AUTO_FREE double *b = calloc(g->n + 1, sizeof(*b));
    const struct scratch s = {a, b};
    if (groups == NULL || a == NULL || b == NULL)
        return err_set(err, ERR_NOMEM, "comparison");
    size_t count = list_groups(g, groups);
    qsort_r(groups, count, sizeof(*groups), by_name, (void *)rules->baseline);
    if (count == 0 || strcmp(groups[0].name, rules->baseline) != 0)
        return err_set(err, ERR_NOTFOUND, "there is no result of '%s'", rules->baseline);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        describe(g, &groups[i], &s);
        if (i == 0)
            groups[i].p = 1;
        else
            rc = compare(g, rules, &groups[i], &s, err);
    }
    if (rc < 0)
        return rc;
    *out = TAKE(groups);
    *n = count;
    return 0;
}
