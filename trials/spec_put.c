/* What a spec looks like from outside: a trial's parameters as JSON, the reference of all keys. */
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "trials/spec_keys.h"
#include "trials/spec_read.h"

uint32_t spec_trial_seed(uint64_t study_seed, int64_t number)
{
    return (uint32_t)(rng_mix(study_seed, (uint64_t)number) >> 33);
}

const struct value *spec_fixed_value(const struct spec *s, const struct spec_trial *t, size_t i)
{
    for (size_t k = 0; k < t->n_instead; k++) {
        if (strcmp(t->instead[k].name, s->fixed[i].name) == 0)
            return &t->instead[k].value;
    }
    return &s->fixed[i].value;
}

static bool is_fixed(const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_fixed; i++) {
        if (strcmp(s->fixed[i].name, name) == 0)
            return true;
    }
    return false;
}

static void put_pair(struct buf *b, const char **comma, const char *name, const struct dist *d,
                     double internal)
{
    buf_puts(b, *comma);
    json_put_string(b, name);
    buf_putc(b, ':');
    dist_put_value_json(b, d, internal);
    *comma = ",";
}

static struct dist only(const struct value *v)
{
    return (struct dist){.kind = DIST_CHOICE, .choices = (struct value *)v, .n_choices = 1};
}

void spec_put_params(struct buf *b, const struct spec *s, const struct spec_trial *t)
{
    const char *comma = "";
    buf_putc(b, '{');
    for (size_t i = 0; i < s->space.n; i++) {
        if (t->active[i])
            put_pair(b, &comma, s->space.params[i].name, &s->space.params[i].dist, t->values[i]);
    }
    for (size_t i = 0; i < s->n_fixed; i++) {
        const struct dist one = only(spec_fixed_value(s, t, i));
        put_pair(b, &comma, s->fixed[i].name, &one, 0);
    }
    for (size_t i = 0; i < t->n_instead; i++) {
        const struct dist one = only(&t->instead[i].value);
        if (!is_fixed(s, t->instead[i].name))
            put_pair(b, &comma, t->instead[i].name, &one, 0);
    }
    buf_putc(b, '}');
}

static const char *form(const struct spec_key *k)
{
    static const char *const forms[] = {
        [KEY_TEXT] = "text",           [KEY_FLAG] = "true or false",
        [KEY_INT] = "whole number",    [KEY_COUNT] = "whole number",
        [KEY_REAL] = "number",         [KEY_DURATION] = "duration",
        [KEY_SIZE] = "size",           [KEY_PATH] = "path, true or false",
        [KEY_TEXTS] = "list of texts", [KEY_MAP] = "mapping",
    };
    return k->form != NULL ? k->form : forms[k->type];
}

static void put_type(struct buf *b, const struct spec_key *k)
{
    if (k->words != NULL) {
        for (size_t i = 0; k->words[i] != NULL; i++)
            buf_printf(b, "%s`%s`", i > 0 ? " or " : "", k->words[i]);
        return;
    }
    buf_puts(b, form(k));
    if (k->zero != NULL)
        buf_printf(b, " or `%s`", k->zero);
}

static void put_default(struct buf *b, const struct spec_key *k)
{
    if (k->type == KEY_LATER)
        buf_puts(b, "not in this version");
    else if (k->shown != NULL)
        buf_puts(b, k->shown);
    else if (k->preset != NULL)
        buf_printf(b, "`%s`", k->preset);
    else
        buf_puts(b, "none");
}

static void put_row(struct buf *b, const struct spec_key *k)
{
    buf_printf(b, "| `%s` | ", k->path);
    put_type(b, k);
    buf_puts(b, " | ");
    put_default(b, k);
    buf_printf(b, " | %s%s |\n", k->group == XGBOOST_ONLY ? "(xgboost) " : "", k->doc);
}

void spec_put_reference(struct buf *b)
{
    static const char head[] = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n";
    buf_printf(b, "### Keys of their own\n\n%s", head);
    for (size_t i = 0; i < n_spec_keys; i++) {
        if (spec_keys[i].type != KEY_SECTION && strchr(spec_keys[i].path, '.') == NULL)
            put_row(b, &spec_keys[i]);
    }
    for (size_t i = 0; i < n_spec_keys; i++) {
        const struct spec_key *k = &spec_keys[i];
        if (k->type == KEY_SECTION)
            buf_printf(b, "\n### %s: %s\n\n%s", k->path, k->doc, head);
        else if (strchr(k->path, '.') != NULL)
            put_row(b, k);
    }
}
