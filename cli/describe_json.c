#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/describe.h"

static void key(struct buf *b, const char *name)
{
    buf_printf(b, "%s\"%s\":", b->len > 0 && strchr("{[", b->data[b->len - 1]) == NULL ? "," : "",
               name);
}

static void number(struct buf *b, const char *name, int64_t v)
{
    key(b, name);
    buf_printf(b, "%" PRId64, v);
}

static void real(struct buf *b, const char *name, double v)
{
    key(b, name);
    json_put_double(b, v);
}

static void text(struct buf *b, const char *name, const char *v)
{
    key(b, name);
    json_put_text(b, v);
}

static void open_object(struct buf *b, const char *name)
{
    key(b, name);
    buf_putc(b, '{');
}

static void put_space(struct buf *b, const struct spec *s)
{
    open_object(b, "space");
    for (size_t i = 0; i < s->space.n; i++) {
        buf_puts(b, i > 0 ? "," : "");
        json_put_string(b, s->space.params[i].name);
        buf_puts(b, ":{\"distribution\":");
        dist_put_json(b, &s->space.params[i].dist);
        buf_printf(b, ",\"conditional\":%s}", s->space.params[i].when != NULL ? "true" : "false");
    }
    buf_putc(b, '}');
    open_object(b, "fixed");
    for (size_t i = 0; i < s->n_fixed; i++) {
        const struct dist one = {
            .kind = DIST_CHOICE, .choices = &s->fixed[i].value, .n_choices = 1};
        buf_puts(b, i > 0 ? "," : "");
        json_put_string(b, s->fixed[i].name);
        buf_putc(b, ':');
        dist_put_value_json(b, &one, 0);
    }
    buf_putc(b, '}');
}

static void put_run(struct buf *b, const struct spec *s)
{
    open_object(b, "run");
    text(b, "builtin", s->run.runner == RUN_XGBOOST ? "xgboost" : NULL);
    if (s->run.config != NULL) {
        key(b, "config");
        buf_puts(b, s->run.config);
    }
    text(b, "cwd", s->run.cwd);
    text(b, "dir", s->run.dir);
    number(b, "trials_per_worker", s->run.trials_per_worker);
    buf_putc(b, '}');
}

static void put_limits(struct buf *b, const struct spec *s)
{
    open_object(b, "budget");
    number(b, "trials", s->budget.trials);
    number(b, "complete", s->budget.complete);
    number(b, "attempts", s->budget.attempts);
    number(b, "wall_ms", (int64_t)s->budget.wall_ms);
    buf_putc(b, '}');
    open_object(b, "slots");
    number(b, "jobs", s->slots.jobs);
    real(b, "cpus", s->slots.cpus);
    number(b, "memory_bytes", (int64_t)s->slots.memory_bytes);
    buf_putc(b, '}');
    open_object(b, "watch");
    number(b, "stall_ms", (int64_t)s->watch.stall_ms);
    number(b, "trial_ms", (int64_t)s->watch.trial_ms);
    number(b, "grace_ms", (int64_t)s->watch.grace_ms);
    buf_putc(b, '}');
    open_object(b, "retry");
    for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++)
        number(b, fail_class_name((enum fail_class)c), s->retry[c].times);
    buf_putc(b, '}');
    number(b, "flap", s->flap);
    open_object(b, "prove");
    number(b, "trials", s->prove.trials);
    number(b, "rows", s->prove.rows);
    text(b, "table", s->prove.table);
    buf_putc(b, '}');
}

/* {"on":["hessian"],"add":{"focal_gamma":-1.0},"set":{…},"times":3,"rolled_back":false} */
static void put_step(struct buf *b, const struct spec *s, const struct spec_fallback *f)
{
    buf_puts(b, "{\"on\":[");
    for (int c = FAIL_NONE + 1, n = 0; c < FAIL_CLASSES; c++) {
        if (f->on >> c & 1u)
            buf_printf(b, "%s\"%s\"", n++ > 0 ? "," : "", fail_class_name((enum fail_class)c));
    }
    buf_putc(b, ']');
    open_object(b, "add");
    for (size_t i = 0; i < f->n_changes; i++) {
        if (f->changes[i].relative)
            real(b, f->changes[i].name, f->changes[i].by);
    }
    buf_putc(b, '}');
    open_object(b, "set");
    for (size_t i = 0; i < f->n_changes; i++) {
        const struct spec_change *c = &f->changes[i];
        const struct dist one = {
            .kind = DIST_CHOICE, .choices = (struct value *)&c->value, .n_choices = 1};
        if (c->relative)
            continue;
        key(b, c->name);
        if (c->what == CHANGE_PARAM)
            dist_put_value_json(b, &s->space.params[c->index].dist, c->by);
        else
            dist_put_value_json(b, &one, 0);
    }
    buf_putc(b, '}');
    number(b, "times", f->times);
    buf_printf(b, ",\"rolled_back\":%s}", f->rolled_back ? "true" : "false");
}

static void put_failures(struct buf *b, const struct spec *s)
{
    key(b, "classify");
    buf_putc(b, '[');
    for (size_t i = 0; i < s->n_patterns; i++) {
        buf_puts(b, i > 0 ? ",{" : "{");
        text(b, "class", fail_class_name(s->patterns[i].fail));
        text(b, "pattern", s->patterns[i].text);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
    key(b, "fallback");
    buf_putc(b, '[');
    for (size_t i = 0; i < s->n_fallback; i++) {
        buf_puts(b, i > 0 ? "," : "");
        put_step(b, s, &s->fallback[i]);
    }
    buf_putc(b, ']');
}

void describe_spec_json(struct buf *b, const struct spec *s)
{
    char url[512];
    static const char *const samplers[] = {"auto", "tpe", "random"};
    static const char *const pruners[] = {"none", "median", "asha"};
    buf_putc(b, '{');
    text(b, "study", s->study.name);
    text(b, "storage", text_mask_url(s->study.storage, url, sizeof(url)));
    text(b, "direction", s->study.direction == DIRECTION_MAXIMIZE ? "maximize" : "minimize");
    text(b, "metric", s->study.metric);
    open_object(b, "matrix");
    for (size_t i = 0; i < s->n_cell; i++) {
        buf_puts(b, i > 0 ? "," : "");
        json_put_string(b, s->cell[i].name);
        buf_putc(b, ':');
        json_put_string(b, s->cell[i].value);
    }
    buf_putc(b, '}');
    put_space(b, s);
    text(b, "sampler", samplers[s->sampler.kind]);
    if (s->seeded)
        number(b, "seed", (int64_t)s->seed);
    else
        buf_puts(b, ",\"seed\":null");
    text(b, "pruner", pruners[s->pruner.kind]);
    put_run(b, s);
    put_limits(b, s);
    put_failures(b, s);
    buf_putc(b, '}');
}
