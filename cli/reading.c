#include "cli/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#define BUSY_MS 10000 /* how long a locked store is waited for */

void reading_close(struct reading *r)
{
    store_destroy(r->store);
    free(r->name);
    *r = (struct reading){0};
}

int reading_failed(const struct err *err)
{
    cli_error("%s", err->msg);
    return err->code == ERR_INVALID || err->code == ERR_NOTFOUND ? EXIT_USAGE : EXIT_STORE;
}

int reading_open_existing(struct store **out, const char *url, struct err *err)
{
    const struct store_opts look = {.read_only = true, .busy_ms = BUSY_MS};
    const struct store_opts opts = {.busy_ms = BUSY_MS};
    struct store *there = NULL;
    int rc = store_open(&there, url, &look, err);
    store_destroy(there);
    return rc < 0 ? rc : store_open(out, url, &opts, err);
}

/* url NULL: the default. */
static int open_store(struct reading *r, const char *url, bool write)
{
    const struct store_opts opts = {.read_only = !write, .busy_ms = BUSY_MS};
    struct err err;
    url = url != NULL ? url : cli_default_storage();
    (void)text_mask_url(url, r->url, sizeof(r->url));
    int rc = store_open(&r->store, url, &opts, &err);
    if (rc == -ERR_NOTFOUND) {
        cli_error("%s: name the store with --storage sqlite:///FILE", err.msg);
        return EXIT_USAGE;
    }
    return rc < 0 ? reading_failed(&err) : CLI_GO_ON;
}

/* The names there are, and the one wanted among them. */
struct search {
    struct reading *r;
    const char *wanted; /* NULL: any */
    char **names;       /* owned */
    size_t n;
    bool found;
};

static void search_free(struct search *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->names[i]);
    free(s->names);
}

static int look_at(void *ctx, const struct study_info *info)
{
    struct search *s = ctx;
    char **grown = realloc(s->names, (s->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ERR_NOMEM;
    s->names = grown;
    s->names[s->n] = strdup(info->name);
    if (s->names[s->n] == NULL)
        return -ERR_NOMEM;
    if (s->wanted == NULL || strcmp(s->wanted, info->name) == 0) {
        s->found = true;
        s->r->study = info->id;
        s->r->direction = info->directions[0];
        s->r->n_objectives = info->n_directions;
        free(s->r->name);
        s->r->name = strdup(info->name);
    }
    s->n++;
    return 0;
}

static int no_such_study(const struct search *s, const char *url)
{
    const char *near = text_nearest(s->wanted, (const char *const *)s->names, s->n);
    if (near != NULL)
        cli_error("there is no study '%s' in %s: did you mean '%s'?", s->wanted, url, near);
    else
        cli_error("there is no study '%s' in %s: forkless status lists what there is", s->wanted,
                  url);
    return EXIT_USAGE;
}

static int name_one(const struct search *s, const char *url)
{
    AUTO(buf_free) struct buf names = BUF_INIT;
    for (size_t i = 0; i < s->n && i < 8; i++)
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", s->names[i]);
    cli_error("%s has %zu studies, name one: %s%s", url, s->n, buf_str(&names),
              s->n > 8 ? ", …" : "");
    return EXIT_USAGE;
}

/* By name, or the only one when name is NULL. */
static int pick(struct reading *r, const char *name)
{
    AUTO(search_free) struct search s = {.r = r, .wanted = name};
    struct err err = {.msg = "out of memory"};
    int rc = store_studies_each(r->store, look_at, &s, &err);
    if (rc < 0)
        return reading_failed(&err);
    if (s.n == 0) {
        cli_error("%s has no studies yet", r->url);
        return EXIT_USAGE;
    }
    if (!s.found)
        return no_such_study(&s, r->url);
    return name == NULL && s.n > 1 ? name_one(&s, r->url) : CLI_GO_ON;
}

int reading_open(struct reading *r)
{
    return open_store(r, r->storage, false);
}

int reading_reopen(struct reading *r)
{
    store_destroy(TAKE(r->store));
    return open_store(r, r->storage, true);
}

int reading_open_study(struct reading *r, const char *url, const char *name)
{
    int code = open_store(r, url, false);
    return code == CLI_GO_ON ? pick(r, name) : code;
}

static int wrong_words(const char *command, enum reading_words words)
{
    if (words == READING_NONE)
        cli_error("%s takes no word: forkless %s --help", command, command);
    else if (words == READING_TRIAL_STUDY)
        cli_error("%s takes the number of a trial, then perhaps a study: forkless %s 7", command,
                  command);
    else
        cli_error("%s takes one study%s", command, words == READING_ALL ? ", or none for all" : "");
    return EXIT_USAGE;
}

int reading_begin(struct reading *r, const struct cli_usage *usage, int argc, char **argv,
                  enum reading_words words, struct cli_args *args)
{
    size_t before = words == READING_TRIAL_STUDY ? 1 : 0,
           most = words == READING_NONE ? 0 : before + 1;
    int code = cli_parse(usage, argc, argv, args);
    if (code != CLI_GO_ON)
        return code;
    if (args->words.n < before || args->words.n > most)
        return wrong_words(usage->command, words);
    const char *name = args->words.n > before ? args->words.v[before] : NULL;
    bool needs_one = words == READING_STUDY || words == READING_TRIAL_STUDY;
    code = open_store(r, r->storage, false);
    return code == CLI_GO_ON && (name != NULL || needs_one) ? pick(r, name) : code;
}

int reading_run_dir(const struct reading *r, char **out)
{
    AUTO_FREE char *json = NULL;
    struct err err;
    int rc = store_study_attr_get(r->store, r->study, ATTR_USER, "forkless:dir", &json, &err);
    AUTO_JSON json_t *text = rc == 0 ? json_read(json, strlen(json), NULL) : NULL;
    if (!json_is_string(text)) {
        cli_error("study '%s' has no run directory: its trials were not run by forkless", r->name);
        return EXIT_USAGE;
    }
    *out = strdup(json_string_value(text));
    return *out != NULL ? CLI_GO_ON : EXIT_STORE;
}

const char *trial_attr_find(const struct trial_attr *attrs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(attrs[i].key, key) == 0)
            return attrs[i].json;
    }
    return NULL;
}

void trial_attr_text(const struct trial_attr *attrs, size_t n, const char *key, struct buf *out)
{
    const char *json = trial_attr_find(attrs, n, key);
    AUTO_JSON json_t *value = json != NULL ? json_read(json, strlen(json), NULL) : NULL;
    if (json_is_string(value))
        buf_puts(out, json_string_value(value));
}

void trial_params_text(const struct trial *t, struct buf *out)
{
    for (size_t i = 0; i < t->n_params; i++) {
        const struct trial_param *p = &t->params[i];
        buf_printf(out, "%s%s=", i > 0 ? " " : "", p->name);
        if (p->dist->kind == DIST_FLOAT)
            buf_printf(out, "%.6g", p->value);
        else
            dist_put_value_text(out, p->dist, p->value);
    }
}

uint64_t trial_duration_ms(const struct trial *t)
{
    int64_t end = t->complete_us != 0 ? t->complete_us : clock_utc_us();
    return t->start_us == 0 || end < t->start_us ? 0 : (uint64_t)(end - t->start_us) / 1000;
}

void json_put_value(struct buf *b, double v)
{
    if (isfinite(v))
        json_put_double(b, v);
    else
        buf_puts(b, isnan(v) ? "\"nan\"" : v > 0 ? "\"inf\"" : "\"-inf\"");
}

void json_put_python(struct buf *b, const char *json)
{
    static const char *const words[][2] = {
        {"NaN", "\"nan\""}, {"Infinity", "\"inf\""}, {"-Infinity", "\"-inf\""}};
    bool in_string = false;
    for (const char *p = json; *p != '\0'; p++) {
        size_t w = 0;
        while (w < ARRAY_LEN(words) &&
               (in_string || strncmp(p, words[w][0], strlen(words[w][0])) != 0))
            w++;
        if (w < ARRAY_LEN(words)) {
            buf_puts(b, words[w][1]);
            p += strlen(words[w][0]) - 1;
            continue;
        }
        buf_putc(b, *p);
        if (in_string && *p == '\\' && p[1] != '\0')
            buf_putc(b, *++p);
        else if (*p == '"')
            in_string = !in_string;
    }
}

static void put_time(struct buf *b, const char *key, int64_t utc_us)
{
    char text[CLOCK_TEXT_MAX];
    if (utc_us == 0)
        buf_printf(b, ",\"%s\":null", key);
    else
        buf_printf(b, ",\"%s\":\"%s\"", key, clock_rfc3339(utc_us, text));
}

static void put_attrs(struct buf *b, const char *name, const struct trial_attr *attrs, size_t n)
{
    buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(b, ',');
        json_put_string(b, attrs[i].key);
        buf_putc(b, ':');
        json_put_python(b, attrs[i].json);
    }
    buf_putc(b, '}');
}

static void put_params(struct buf *b, const struct trial *t)
{
    AUTO(buf_free) struct buf value = BUF_INIT;
    buf_puts(b, ",\"params\":{");
    for (size_t i = 0; i < t->n_params; i++) {
        if (i > 0)
            buf_putc(b, ',');
        json_put_string(b, t->params[i].name);
        buf_putc(b, ':');
        buf_clear(&value);
        dist_put_value_json(&value, t->params[i].dist, t->params[i].value);
        json_put_python(b, buf_str(&value));
    }
    buf_putc(b, '}');
}

void json_put_trial(struct buf *b, const struct trial *t, bool all)
{
    buf_printf(b, "{\"number\":%lld,\"state\":\"%s\",\"values\":[", (long long)t->number,
               trial_state_name(t->state));
    for (size_t i = 0; i < t->n_values; i++) {
        if (i > 0)
            buf_putc(b, ',');
        json_put_value(b, t->values[i]);
    }
    buf_putc(b, ']');
    put_time(b, "start", t->start_us);
    put_time(b, "complete", t->complete_us);
    put_params(b, t);
    if (all) {
        buf_puts(b, ",\"intermediate_values\":{");
        for (size_t i = 0; i < t->n_steps; i++) {
            buf_printf(b, "%s\"%lld\":", i > 0 ? "," : "", (long long)t->steps[i].step);
            json_put_value(b, t->steps[i].value);
        }
        buf_putc(b, '}');
        put_attrs(b, "system_attrs", t->system_attrs, t->n_system_attrs);
    }
    put_attrs(b, "user_attrs", t->user_attrs, t->n_user_attrs);
    buf_putc(b, '}');
}
