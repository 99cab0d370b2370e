#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/json.h"
#include "base/text.h"
#include "executor/spool/spool.h"

/* The JSON of a line, or NULL when the line is not what was written. */
static json_t *open_line(const char *line, size_t n)
{
    uint32_t seal = 0;
    if (n < 10 || line[8] != ' ')
        return NULL;
    for (int i = 0; i < 8; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = line[i] != '\0' ? strchr(digits, line[i]) : NULL;
        if (at == NULL)
            return NULL;
        seal = seal << 4 | (uint32_t)(at - digits);
    }
    if (crc32c(line + 9, n - 9) != seal)
        return NULL;
    json_t *doc = json_read(line + 9, n - 9, NULL);
    if (json_is_object(doc))
        return doc;
    json_decref(doc);
    return NULL;
}

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

static bool number_of(const json_t *j, double *out)
{
    if (json_is_number(j))
        *out = json_number_value(j);
    return json_is_number(j) || (json_is_string(j) && text_double(json_string_value(j), out));
}

static void entry_free(struct spool_entry *e)
{
    for (size_t i = 0; e->dists != NULL && i < e->entry.n_params; i++)
        dist_free(&e->dists[i]);
    free(e->dists);
    free(e->params);
    free(e->steps);
    json_decref(e->doc);
}

/* Each reads a part of the entry; false: it is not as spool_put writes it. Memory that runs out is
 * told by *nomem. */

static bool read_param(struct spool_entry *e, size_t i, const json_t *param)
{
    const char *name = json_string_value(json_array_get(param, 0));
    const char *dist = json_string_value(json_array_get(param, 2));
    double value;
    if (name == NULL || dist == NULL || !number_of(json_array_get(param, 1), &value) ||
        dist_read_stored(&e->dists[i], dist, strlen(dist), NULL) < 0)
        return false;
    e->params[i] = (struct trial_param){name, &e->dists[i], value};
    return true;
}

static bool read_params(struct spool_entry *e, const json_t *list, bool *nomem)
{
    size_t n = json_array_size(list);
    if (n == 0)
        return list == NULL;
    e->dists = calloc(n, sizeof(*e->dists));
    e->params = calloc(n, sizeof(*e->params));
    *nomem = e->dists == NULL || e->params == NULL;
    if (*nomem)
        return false;
    e->entry.params = e->params;
    e->entry.n_params = n;
    for (size_t i = 0; i < n; i++) {
        if (!read_param(e, i, json_array_get(list, i)))
            return false;
    }
    return true;
}

static bool read_steps(struct spool_entry *e, const json_t *list, bool *nomem)
{
    size_t n = json_array_size(list);
    if (n == 0)
        return list == NULL;
    e->steps = calloc(n, sizeof(*e->steps));
    *nomem = e->steps == NULL;
    if (*nomem)
        return false;
    e->entry.steps = e->steps;
    e->entry.n_steps = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_array_get(list, i), *number = json_array_get(step, 0);
        if (!json_is_integer(number) || !number_of(json_array_get(step, 1), &e->steps[i].value))
            return false;
        e->steps[i].step = json_integer_value(number);
    }
    return true;
}

static bool read_rows(struct entry_end *out, const json_t *end)
{
    const char *direction = text_of(end, "direction");
    out->run_id = text_of(end, "run_id");
    out->crypto = text_of(end, "crypto");
    out->factor = text_of(end, "factor");
    out->training = json_object_get(end, "training");
    if (out->training != NULL && (!json_is_object(out->training) || out->run_id == NULL))
        return false;
    out->rows = json_object_get(end, "rows");
    if (out->rows == NULL)
        return true;
    out->params = text_of(end, "params");
    out->direction = direction != NULL && strcmp(direction, "maximize") == 0 ? DIRECTION_MAXIMIZE
                                                                             : DIRECTION_MINIMIZE;
    return json_is_array(out->rows) && out->params != NULL && out->run_id != NULL &&
           direction != NULL;
}

static bool read_end(struct spool_entry *e, const json_t *end)
{
    const char *state = text_of(end, "state"), *fail = text_of(end, "fail");
    const char *message = text_of(end, "message");
    const json_t *retry = json_object_get(end, "retry_at_us");
    struct entry_end *out = &e->end;
    if (end == NULL)
        return true;
    if (state == NULL || !trial_state_from_name(state, &out->state) ||
        !trial_state_finished(out->state) ||
        !number_of(json_object_get(end, "value"), &out->value) ||
        (fail != NULL && !fail_class_from_name(fail, &out->fail)) ||
        (retry != NULL && !json_is_integer(retry)))
        return false;
    out->message = message != NULL ? message : "";
    out->refused = text_of(end, "refused");
    out->retry = retry != NULL;
    out->retry_at_us = json_integer_value(retry);
    out->fallback = json_object_get(end, "fallback");
    if (out->fallback != NULL && !json_is_object(out->fallback))
        return false;
    e->entry.end = out;
    return read_rows(out, end);
}

static bool is_object_or_none(const json_t *j)
{
    return j == NULL || json_is_object(j);
}

static bool read_entry(struct spool_entry *e, bool *nomem)
{
    const json_t *number = json_object_get(e->doc, "trial"),
                 *part = json_object_get(e->doc, "part");
    e->entry.study = text_of(e->doc, "study");
    e->entry.number = json_integer_value(number);
    e->part = (unsigned)json_integer_value(part);
    e->at_us = json_integer_value(json_object_get(e->doc, "at_us"));
    e->entry.attrs = json_object_get(e->doc, "user");
    e->entry.rungs = json_object_get(e->doc, "system");
    return e->entry.study != NULL && json_is_integer(number) && json_is_integer(part) &&
           is_object_or_none(e->entry.attrs) && is_object_or_none(e->entry.rungs) &&
           read_params(e, json_object_get(e->doc, "params"), nomem) &&
           read_steps(e, json_object_get(e->doc, "steps"), nomem) &&
           read_end(e, json_object_get(e->doc, "end"));
}

static struct spool_entry *add(struct spool_data *d)
{
    if (d->n == d->cap) {
        size_t cap = d->cap == 0 ? 16 : d->cap * 2;
        struct spool_entry *grown = realloc(d->entries, cap * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        d->entries = grown;
        d->cap = cap;
    }
    return &d->entries[d->n++];
}

static bool take_head(struct spool_data *d, json_t *doc)
{
    const json_t *version = json_object_get(doc, "forkless_spool");
    if (d->head != NULL || json_integer_value(version) != 1)
        return false;
    d->head = doc;
    d->storage = text_of(doc, "storage");
    d->cwd = text_of(doc, "cwd");
    d->run_id = text_of(doc, "run_id");
    d->owner = text_of(doc, "owner");
    return true;
}

static void note_damage(struct spool_data *d, size_t line)
{
    if (d->damaged++ == 0)
        d->first_damaged = line;
}

/* Takes over doc. */
static int take_entry(struct spool_data *d, json_t *doc, size_t line, struct err *err)
{
    bool nomem = false;
    struct spool_entry e = {.doc = doc};
    if (!read_entry(&e, &nomem)) {
        entry_free(&e);
        if (nomem)
            return err_set(err, ERR_NOMEM, "spool");
        note_damage(d, line);
        return 0;
    }
    struct spool_entry *at = add(d);
    if (at == NULL) {
        entry_free(&e);
        return err_set(err, ERR_NOMEM, "spool");
    }
    *at = e;
    return 0;
}

/* The entries have moved for the last time. */
static void point_ends(struct spool_data *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->entries[i].entry.end != NULL)
            d->entries[i].entry.end = &d->entries[i].end;
    }
}

static int read_line(struct spool_data *d, const char *line, size_t n, size_t number,
                     struct err *err)
{
    json_t *doc = open_line(line, n);
    if (doc == NULL) {
        note_damage(d, number);
        return 0;
    }
    return number == 1 && take_head(d, doc) ? 0 : take_entry(d, doc, number, err);
}

int spool_read(struct spool_data *out, const char *bytes, size_t n, struct err *err)
{
    struct spool_data d = {0};
    int rc = 0;
    size_t number = 1;
    for (size_t at = 0; at < n && rc == 0; number++) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t len = end != NULL ? (size_t)(end - bytes) - at : n - at;
        d.torn = end == NULL;
        if (!d.torn)
            rc = read_line(&d, bytes + at, len, number, err);
        at += len + 1;
    }
    if (rc == 0 && d.head == NULL && d.n == 0)
        rc = err_set(err, ERR_INVALID, "this is no spool of forkless");
    if (rc < 0) {
        spool_data_free(&d);
        return rc;
    }
    point_ends(&d);
    *out = d;
    return 0;
}

size_t spool_data_ended(const struct spool_data *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->entries[i].entry.end != NULL;
    return n;
}

void spool_data_free(struct spool_data *d)
{
    for (size_t i = 0; i < d->n; i++)
        entry_free(&d->entries[i]);
    free(d->entries);
    json_decref(d->head);
    *d = (struct spool_data){0};
}
