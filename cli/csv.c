#include "cli/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* The names that any trial has, in order of appearance. */
struct names {
    char **v; /* owned */
    size_t n;
    size_t next; /* where the next name most likely is */
};

struct csv {
    struct names params, attrs;
    size_t n_objectives;
    struct buf line;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
    free(names->v);
}

static void csv_free(struct csv *c)
{
    names_free(&c->params);
    names_free(&c->attrs);
    buf_free(&c->line);
}

static int names_add(struct names *names, const char *name)
{
    for (size_t k = 0; k < names->n; k++) {
        size_t i = (names->next + k) % names->n;
        if (strcmp(names->v[i], name) == 0) {
            names->next = i + 1;
            return 0;
        }
    }
    char **grown = realloc(names->v, (names->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ERR_NOMEM;
    names->v = grown;
    names->v[names->n] = strdup(name);
    return names->v[names->n] == NULL ? -ERR_NOMEM : (names->n++, 0);
}

static int gather(void *ctx, const struct trial *t)
{
    struct csv *c = ctx;
    int rc = 0;
    for (size_t i = 0; i < t->n_params && rc == 0; i++)
        rc = names_add(&c->params, t->params[i].name);
    for (size_t i = 0; i < t->n_user_attrs && rc == 0; i++)
        rc = names_add(&c->attrs, t->user_attrs[i].key);
    return rc;
}

static void put_field(struct buf *b, const char *text)
{
    if (b->len > 0)
        buf_putc(b, ',');
    if (strpbrk(text, ",\"\r\n") == NULL) {
        buf_puts(b, text);
        return;
    }
    buf_putc(b, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            buf_putc(b, '"');
        buf_putc(b, *p);
    }
    buf_putc(b, '"');
}

static void put_prefixed(struct buf *b, const char *prefix, const char *name)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    buf_printf(&text, "%s%s", prefix, name);
    put_field(b, buf_str(&text));
}

static int put_line(struct buf *b)
{
    buf_putc(b, '\n');
    if (b->failed)
        return -ERR_NOMEM;
    return fwrite(b->data, 1, b->len, stdout) == b->len ? 0 : 1;
}

static int put_header(struct csv *c)
{
    put_field(&c->line, "number");
    for (size_t i = 0; i < c->n_objectives; i++) {
        if (c->n_objectives == 1)
            put_field(&c->line, "value");
        else
            buf_printf(&c->line, ",values_%zu", i);
    }
    put_field(&c->line, "datetime_start");
    put_field(&c->line, "datetime_complete");
    put_field(&c->line, "duration");
    for (size_t i = 0; i < c->params.n; i++)
        put_prefixed(&c->line, "params_", c->params.v[i]);
    for (size_t i = 0; i < c->attrs.n; i++)
        put_prefixed(&c->line, "user_attrs_", c->attrs.v[i]);
    put_field(&c->line, "state");
    return put_line(&c->line);
}

static void put_time(struct buf *b, int64_t utc_us)
{
    char text[CLOCK_TEXT_MAX];
    put_field(b, utc_us != 0 ? clock_sql(utc_us, text) : "");
}

static void put_param(struct buf *b, const struct trial *t, const char *name)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    for (size_t i = 0; i < t->n_params; i++) {
        if (strcmp(t->params[i].name, name) == 0)
            dist_put_value_text(&text, t->params[i].dist, t->params[i].value);
    }
    put_field(b, buf_str(&text));
}

static void put_attr(struct buf *b, const struct trial *t, const char *key)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    const char *json = trial_attr_find(t->user_attrs, t->n_user_attrs, key);
    trial_attr_text(t->user_attrs, t->n_user_attrs, key, &text);
    put_field(b, text.len > 0 || json == NULL || json[0] == '"' ? buf_str(&text) : json);
}

static int put_trial(void *ctx, const struct trial *t)
{
    struct csv *c = ctx;
    char number[TEXT_DOUBLE_MAX];
    buf_clear(&c->line);
    (void)snprintf(number, sizeof(number), "%lld", (long long)t->number);
    put_field(&c->line, number);
    for (size_t i = 0; i < c->n_objectives; i++)
        put_field(&c->line, i < t->n_values ? text_from_double(t->values[i], number) : "");
    put_time(&c->line, t->start_us);
    put_time(&c->line, t->complete_us);
    (void)snprintf(number, sizeof(number), "%.6f", (double)(t->complete_us - t->start_us) / 1e6);
    put_field(&c->line, t->complete_us != 0 && t->start_us != 0 ? number : "");
    for (size_t i = 0; i < c->params.n; i++)
        put_param(&c->line, t, c->params.v[i]);
    for (size_t i = 0; i < c->attrs.n; i++)
        put_attr(&c->line, t, c->attrs.v[i]);
    put_field(&c->line, trial_state_name(t->state));
    return put_line(&c->line);
}

int csv_trials(const struct reading *r, struct err *err)
{
    AUTO(csv_free) struct csv c = {.n_objectives = r->n_objectives};
    const struct store_each_opts opts = {.want = WANT_PARAMS | WANT_USER_ATTRS};
    int rc = store_trials_each(r->store, r->study, &opts, gather, &c, err);
    if (rc == 0)
        rc = put_header(&c);
    return rc != 0 ? rc : store_trials_each(r->store, r->study, &opts, put_trial, &c, err);
}
