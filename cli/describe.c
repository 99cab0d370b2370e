#include "cli/describe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"

static void label(struct buf *b, const char *name, bool colour)
{
    buf_printf(b, "%s%-9s%s ", colour ? "\033[1m" : "", name, colour ? "\033[0m" : "");
}

static const char *human(uint64_t ms)
{
    static char text[32];
    return text_human_ms(ms, text);
}

static void put_size(struct buf *b, uint64_t bytes)
{
    double gib = (double)bytes / 0x1p30;
    if (gib >= 1)
        buf_printf(b, "%.4g GiB", gib);
    else
        buf_printf(b, "%.4g MiB", (double)bytes / 0x1p20);
}

static void put_study(struct buf *b, const struct spec_doc *doc, const struct spec *s)
{
    char url[512];
    size_t n = spec_cells(doc);
    struct spec last;
    buf_puts(b, s->study.name);
    if (n > 1 && spec_cell(doc, n - 1, &last, NULL) == 0) {
        buf_printf(b, " … %s, %zu studies by ", last.study.name, n);
        for (size_t i = 0; i < s->n_cell; i++)
            buf_printf(b, "%s%s", i > 0 ? " × " : "", s->cell[i].name);
        spec_free(&last);
    }
    buf_printf(b, "\n          %s %s, kept in %s\n",
               s->study.direction == DIRECTION_MAXIMIZE ? "maximize" : "minimize", s->study.metric,
               text_mask_url(s->study.storage, url, sizeof(url)));
}

static void put_budget(struct buf *b, const struct spec *s)
{
    const char *comma = "";
    if (s->budget.trials > 0 || s->budget.complete > 0) {
        int64_t n = s->budget.trials + s->budget.complete;
        buf_printf(b, "%" PRId64 " %s trial%s", n, s->budget.trials > 0 ? "finished" : "completed",
                   plural(n));
        comma = ", ";
    }
    if (s->budget.attempts > 0) {
        buf_printf(b, "%sat most %" PRId64 " attempt%s", comma, s->budget.attempts,
                   plural(s->budget.attempts));
        comma = ", ";
    }
    if (s->budget.wall_ms > 0)
        buf_printf(b, "%s%s", comma, human(s->budget.wall_ms));
    buf_putc(b, '\n');
}

static void put_slots(struct buf *b, const struct spec *s)
{
    if (s->slots.jobs > 0)
        buf_printf(b, "%u at a time, ", s->slots.jobs);
    else
        buf_puts(b, "as many at a time as the CPUs allow, ");
    if (s->slots.cpus > 0)
        buf_printf(b, "%g CPU", s->slots.cpus);
    else
        buf_puts(b, "the CPUs shared out");
    buf_puts(b, " and ");
    if (s->slots.memory_bytes > 0)
        put_size(b, s->slots.memory_bytes);
    else
        buf_puts(b, "any amount of memory");
    buf_puts(b, " each\n");
}

static void put_watch(struct buf *b, const struct spec *s)
{
    if (s->watch.stall_ms > 0)
        buf_printf(b, "stalled after %s idle", human(s->watch.stall_ms));
    else
        buf_puts(b, "stalls are not looked for");
    if (s->watch.trial_ms > 0)
        buf_printf(b, ", given up after %s", human(s->watch.trial_ms));
    buf_printf(b, ", %s from TERM to KILL\n", human(s->watch.grace_ms));
}

static void put_retry(struct buf *b, const struct spec *s)
{
    const char *comma = "";
    for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++) {
        const struct spec_retry *r = &s->retry[c];
        if (r->times == 0)
            continue;
        buf_printf(b, "%s%s ", comma, fail_class_name((enum fail_class)c));
        if (r->times == SPEC_UNLIMITED)
            buf_puts(b, "without limit");
        else
            buf_printf(b, "%" PRId64, r->times);
        if (r->memory_factor > 1)
            buf_printf(b, " (memory x%g)", r->memory_factor);
        comma = ", ";
    }
    buf_puts(b, *comma == '\0' ? "nothing\n" : "\n");
}

static void put_change(struct buf *b, const struct spec *s, const struct spec_change *c)
{
    struct dist one = {.kind = DIST_CHOICE, .choices = (struct value *)&c->value, .n_choices = 1};
    buf_printf(b, "%s ", c->name);
    if (c->relative)
        buf_printf(b, "%+g", c->by);
    else if (c->what == CHANGE_PARAM)
        dist_put_value_text(b, &s->space.params[c->index].dist, c->by);
    else
        dist_put_value_text(b, &one, 0);
}

/* "hessian, overflow: focal_gamma -1, 3 times", a line a step. */
static void put_fallback(struct buf *b, const struct spec *s, bool colour)
{
    for (size_t i = 0; i < s->n_fallback; i++) {
        const struct spec_fallback *f = &s->fallback[i];
        const char *comma = "";
        label(b, i == 0 ? "fallback" : "", colour);
        for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++) {
            if ((f->on >> c & 1u) == 0)
                continue;
            buf_printf(b, "%s%s", comma, fail_class_name((enum fail_class)c));
            comma = ", ";
        }
        for (size_t k = 0; k < f->n_changes; k++) {
            buf_puts(b, k == 0 ? ": " : ", ");
            put_change(b, s, &f->changes[k]);
        }
        if (f->times > 1)
            buf_printf(b, ", %u times", f->times);
        buf_puts(b, f->rolled_back ? ", marked rolled_back\n" : "\n");
    }
}

/* A line for each setting that the spec makes; the metric and the space are told elsewhere. */
static void put_xgboost(struct buf *b, const struct spec *s)
{
    AUTO_JSON json_t *config = json_read(s->run.config, strlen(s->run.config), NULL);
    const char *key;
    json_t *value;
    buf_puts(b, "the built-in XGBoost worker\n");
    json_object_foreach(config, key, value)
    {
        if (strcmp(key, "builtin") == 0 || strcmp(key, "metric") == 0 || strcmp(key, "space") == 0)
            continue;
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        buf_printf(b, "  %-18s %s\n", key,
                   json_is_string(value) ? json_string_value(value)
                   : text != NULL        ? text
                                         : "");
    }
}

static void put_search(struct buf *b, const struct spec *s)
{
    static const char *const samplers[] = {"auto", "tpe", "random"};
    const struct pruner_conf *p = &s->pruner;
    buf_puts(b, samplers[s->sampler.kind]);
    if (s->sampler.kind != SAMPLER_RANDOM)
        buf_printf(b, " (%d random trial%s first, %d candidate%s)", s->sampler.startup,
                   plural(s->sampler.startup), s->sampler.candidates,
                   plural(s->sampler.candidates));
    if (s->seeded)
        buf_printf(b, ", seed %" PRIu64 ", ", s->seed);
    else
        buf_puts(b, ", a seed of its own, ");
    if (p->kind == PRUNER_NONE)
        buf_puts(b, "no pruning\n");
    else if (p->kind == PRUNER_MEDIAN)
        buf_printf(b, "pruned below the median (after %d trial%s, %" PRId64 " step%s)\n",
                   p->startup_trials, plural(p->startup_trials), p->warmup_steps,
                   plural(p->warmup_steps));
    else
        buf_printf(b, "pruned by asha (first rung %" PRId64 ", eta %d)\n", p->min_resource,
                   p->reduction_factor);
}

static void put_proof(struct buf *b, const struct spec *s)
{
    buf_printf(b, "exit 0 only with %" PRId64 " trial%s%s read back from the store",
               s->prove.trials, plural(s->prove.trials), s->n_cell > 0 ? " of each study" : "");
    if (s->prove.rows > 0)
        buf_printf(b, " and %" PRId64 " row%s of %s", s->prove.rows, plural(s->prove.rows),
                   s->prove.table);
    buf_putc(b, '\n');
}

static void put_dist(struct buf *b, const struct dist *d)
{
    buf_printf(b, "%-7s", dist_kind_name(d->kind));
    dist_put_range(b, d);
}

/* The parameters of a cell that no earlier cell had. */
static void put_params(struct buf *b, const struct spec *s, const struct spec *first)
{
    for (size_t i = 0; i < s->space.n; i++) {
        const struct param *p = &s->space.params[i];
        if (s != first && space_find(&first->space, p->name) >= 0)
            continue;
        buf_printf(b, "  %-18s ", p->name);
        put_dist(b, &p->dist);
        buf_puts(b, p->when != NULL ? ", conditional" : "");
        if (s != first)
            buf_printf(b, ", only in studies like %s", s->study.name);
        buf_putc(b, '\n');
    }
    for (size_t i = 0; s == first && i < s->n_fixed; i++) {
        const struct dist one = {
            .kind = DIST_CHOICE, .choices = &s->fixed[i].value, .n_choices = 1};
        buf_printf(b, "  %-18s fixed  ", s->fixed[i].name);
        dist_put_value_text(b, &one, 0);
        buf_putc(b, '\n');
    }
}

static void put_space(struct buf *b, const struct spec_doc *doc, const struct spec *s)
{
    size_t most = s->space.n;
    put_params(b, s, s);
    for (size_t i = 0; i < spec_cells(doc); i++) {
        struct spec other;
        if (spec_cell(doc, i, &other, NULL) < 0)
            return;
        if (other.space.n > most) {
            most = other.space.n;
            put_params(b, &other, s);
        }
        spec_free(&other);
    }
}

void describe_spec(struct buf *b, const struct spec_doc *doc, const struct spec *s, bool colour)
{
    label(b, "study", colour);
    put_study(b, doc, s);
    label(b, "budget", colour);
    put_budget(b, s);
    label(b, "run", colour);
    if (s->run.runner == RUN_XGBOOST)
        put_xgboost(b, s);
    else
        buf_puts(b, "a command of your own, shown with the trials below\n");
    label(b, "slots", colour);
    put_slots(b, s);
    label(b, "watch", colour);
    put_watch(b, s);
    label(b, "retry", colour);
    put_retry(b, s);
    put_fallback(b, s, colour);
    label(b, "search", colour);
    put_search(b, s);
    label(b, "logs", colour);
    buf_printf(b, "%s/%s/NUMBER\n", s->run.dir, s->study.name);
    label(b, "proof", colour);
    put_proof(b, s);
    if (s->space.n + s->n_fixed == 0) {
        label(b, "space", colour);
        buf_puts(b, "asked for by the worker as it runs\n");
        return;
    }
    label(b, "space", colour);
    size_t n = s->space.n + s->n_fixed;
    buf_printf(b, "%zu parameter%s\n", n, plural((int64_t)n));
    put_space(b, doc, s);
}

static bool is_plain(const char *word)
{
    return *word != '\0' &&
           word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "_-+=./:,@%^")] == '\0';
}

void describe_word(struct buf *b, const char *word)
{
    if (is_plain(word)) {
        buf_puts(b, word);
        return;
    }
    buf_putc(b, '\'');
    for (const char *c = word; *c != '\0'; c++)
        buf_puts(b, *c == '\'' ? "'\\''" : (char[2]){*c, '\0'});
    buf_putc(b, '\'');
}

void describe_argv(struct buf *b, const struct spec_strings *argv)
{
    for (size_t i = 0; i < argv->n; i++) {
        buf_puts(b, i > 0 ? " " : "");
        describe_word(b, argv->v[i]);
    }
}
