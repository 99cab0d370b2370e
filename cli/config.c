/* forkless config: the settings that new runs start from, and who changed them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/named.h"
#include "cli/reading.h"
#include "cli/settings.h"
#include "cli/table.h"
#include "trials/base_env.h"

static const char *const synopsis[] = {
    "config get [OPTION …] [KEY]",
    "config set [OPTION …] KEY=VALUE …",
    "config history [OPTION …]",
    "config rollback [OPTION …] [VERSION]",
    NULL,
};

static const char examples[] =
    "  forkless config get                                     what new runs start from\n"
    "  forkless config set CVN_LOSS_FUNCTION=binary:logistic --why 'INC-7: path A'\n"
    "  forkless config history                                 who changed what, when and why\n"
    "  forkless config rollback                                to what was before the last change\n"
    "  forkless config rollback 3                              to what version 3 had set\n"
    "\n"
    "Keys: CVN_LOSS_FUNCTION, CVN_FOCAL_GAMMA, CVN_FOCAL_ALPHA, CVN_CLEANLAB_MODE, in the one row "
    "of\n"
    "the table ftf_config. Exit code 1: somebody else changed it meanwhile (--version), there is\n"
    "nothing to go back to, or the key has no value.\n";

struct config {
    struct reading r;
    const char *why, *who;
    int64_t version, newest;
    bool json;
};

static void config_free(struct config *c)
{
    reading_close(&c->r);
}

/* ---- get ---- */

static int get(struct config *c, const char *key)
{
    AUTO_STORE_CONFIG struct store_config now = {0};
    AUTO_JSON json_t *env = NULL;
    struct err err;
    int rc = settings_read(c->r.store, &now, &env, &err);
    if (rc < 0)
        return reading_failed(&err);
    if (key != NULL) {
        const char *value = json_string_value(json_object_get(env, key));
        if (value != NULL)
            return puts(value) < 0 ? EXIT_UNMET : EXIT_OK;
        const char *near = text_nearest(key, base_env_keys, n_base_env_keys);
        cli_error("ftf_config has no value for '%s'%s%s%s", key,
                  near != NULL ? ": did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
        return EXIT_UNMET;
    }
    if (c->json) {
        AUTO(buf_free) struct buf b = BUF_INIT;
        settings_put_json(&b, &now);
        return puts(buf_str(&b)) < 0 ? EXIT_UNMET : EXIT_OK;
    }
    AUTO(table_free) struct table table;
    table_init(&table, (const char *const[]){"KEY", "VALUE", NULL});
    const char *name;
    json_t *value;
    json_object_foreach(env, name, value)
    {
        table_cell(&table, name);
        table_cell(&table, json_is_string(value) ? json_string_value(value) : "(no text)");
    }
    table_print(&table);
    char at[CLOCK_TEXT_MAX];
    (void)printf("version %" PRId64 ", since %.19s UTC\n", now.version,
                 clock_sql(now.changed_us, at));
    return EXIT_OK;
}

/* ---- set ---- */

static int told(struct config *c, int rc, const struct err *err)
{
    if (rc == -ERR_CONFLICT) {
        cli_error("%s", err->msg);
        return EXIT_UNMET;
    }
    return rc < 0 ? reading_failed(err) : get(c, NULL);
}

static int set(struct config *c, const char *const *words, size_t n)
{
    AUTO_JSON json_t *changes = json_object();
    struct err err;
    if (n == 0) {
        cli_error("config set takes KEY=VALUE, such as CVN_FOCAL_GAMMA=3.0");
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < n; i++) {
        char key[64], note[200];
        const char *eq = strchr(words[i], '=');
        (void)snprintf(key, sizeof(key), "%.*s", eq != NULL ? (int)(eq - words[i]) : 60, words[i]);
        if (eq == NULL) {
            cli_error("config set takes KEY=VALUE, found '%s'", words[i]);
            return EXIT_USAGE;
        }
        if (base_env_check(key, eq + 1, note, sizeof(note), &err) < 0) {
            cli_error("%s", err.msg);
            return EXIT_USAGE;
        }
        if (note[0] != '\0')
            (void)fprintf(stderr, "forkless: note: %s\n", note);
        (void)json_object_set_new(changes, key, json_string(eq + 1));
    }
    return told(c, settings_change(c->r.store, changes, c->version, c->who, c->why, &err), &err);
}

/* ---- history and rollback ---- */

struct history {
    struct table *table; /* NULL: JSON lines */
    int64_t left;
};

/* "CVN_FOCAL_GAMMA 4.0 > 3.0" of what differs. */
static void put_changes(struct buf *b, const char *old_env, const char *new_env)
{
    AUTO_JSON json_t *before = old_env != NULL ? json_read(old_env, strlen(old_env), NULL) : NULL;
    AUTO_JSON json_t *after = json_read(new_env, strlen(new_env), NULL);
    const char *key;
    json_t *value;
    json_object_foreach(after, key, value)
    {
        const char *was = json_string_value(json_object_get(before, key));
        if (json_equal(json_object_get(before, key), value))
            continue;
        buf_printf(b, "%s%s %s%s%s", b->len > 0 ? ", " : "", key, was != NULL ? was : "",
                   was != NULL ? " > " : "",
                   json_is_string(value) ? json_string_value(value) : "?");
    }
    json_object_foreach(before, key, value)
    {
        if (json_object_get(after, key) == NULL)
            buf_printf(b, "%s%s removed", b->len > 0 ? ", " : "", key);
    }
}

static int show_event(void *ctx, const struct store_config_event *e)
{
    struct history *h = ctx;
    char at[CLOCK_TEXT_MAX];
    AUTO(buf_free) struct buf b = BUF_INIT;
    if (h->table != NULL) {
        table_cellf(h->table, "%" PRId64, e->version);
        table_cellf(h->table, "%.19s", clock_sql(e->changed_us, at));
        table_cell(h->table, e->who);
        put_changes(&b, e->old_env, e->new_env);
        table_cell(h->table, buf_str(&b));
        table_cell(h->table, e->why != NULL ? e->why : "");
    } else {
        buf_printf(&b, "{\"version\":%" PRId64 ",\"changed_at\":", e->version);
        json_put_string(&b, clock_rfc3339(e->changed_us, at));
        buf_puts(&b, ",\"changed_by\":");
        json_put_string(&b, e->who);
        buf_puts(&b, ",\"reason\":");
        json_put_text(&b, e->why);
        buf_printf(&b, ",\"old_env\":%s,\"new_env\":%s}\n",
                   e->old_env != NULL ? e->old_env : "null", e->new_env);
        (void)fputs(buf_str(&b), stdout);
    }
    return --h->left == 0;
}

static int history(struct config *c)
{
    AUTO(table_free) struct table table;
    table_init(&table,
               (const char *const[]){">VERSION", "CHANGED AT (UTC)", "BY", "CHANGE", "WHY", NULL});
    struct history h = {.table = c->json ? NULL : &table, .left = c->newest > 0 ? c->newest : -1};
    struct err err;
    int rc = store_config_history(c->r.store, show_event, &h, &err);
    if (rc < 0)
        return reading_failed(&err);
    if (!c->json)
        table_print(&table);
    return EXIT_OK;
}

struct search {
    int64_t wanted; /* a version */
    char *env;
    int64_t newest;
};

static int find_version(void *ctx, const struct store_config_event *e)
{
    struct search *s = ctx;
    s->newest = s->newest > 0 ? s->newest : e->version;
    if (e->version != s->wanted)
        return 0;
    s->env = strdup(e->new_env);
    return s->env != NULL ? 1 : -ERR_NOMEM;
}

/* The last two changes. */
struct last {
    int n;
    int64_t version[2];            /* the newest first */
    char *old_env[2], *new_env[2]; /* NULL: there was none */
};

static void last_free(struct last *l)
{
    for (int i = 0; i < 2; i++) {
        free(l->old_env[i]);
        free(l->new_env[i]);
    }
}

static int take_last(void *ctx, const struct store_config_event *e)
{
    struct last *l = ctx;
    int i = l->n++;
    l->version[i] = e->version;
    l->old_env[i] = e->old_env != NULL ? strdup(e->old_env) : NULL;
    l->new_env[i] = strdup(e->new_env);
    if (l->new_env[i] == NULL || (e->old_env != NULL && l->old_env[i] == NULL))
        return -ERR_NOMEM;
    return l->n == 2;
}

static bool same_settings(const char *a, const char *b)
{
    AUTO_JSON json_t *left = a != NULL ? json_read(a, strlen(a), NULL) : NULL;
    AUTO_JSON json_t *right = b != NULL ? json_read(b, strlen(b), NULL) : NULL;
    return left != NULL && json_equal(left, right);
}

/* Whoever goes back twice may mean two changes, and gets the first one again. */
static void tell_redone(const struct last *l)
{
    if (l->n == 2 && same_settings(l->new_env[0], l->old_env[1]))
        (void)fprintf(stderr,
                      "forkless: note: version %" PRId64 " had undone version %" PRId64
                      ": these are the values of version %" PRId64
                      " again. To go further back, name the version: forkless config history\n",
                      l->version[0], l->version[1], l->version[1]);
}

static int replace(struct config *c, const char *env, int64_t newest, const char *what,
                   int64_t version)
{
    struct err err;
    char why[80];
    (void)snprintf(why, sizeof(why), "rollback to %s version %" PRId64, what, version);
    return told(c,
                settings_replace(c->r.store, env, c->version >= 0 ? c->version : newest, c->who,
                                 c->why != NULL ? c->why : why, &err),
                &err);
}

static int undo(struct config *c)
{
    AUTO(last_free) struct last l = {0};
    struct err err = {.msg = "out of memory"};
    int rc = store_config_history(c->r.store, take_last, &l, &err);
    if (rc < 0)
        return reading_failed(&err);
    if (l.n == 0 || l.old_env[0] == NULL) {
        cli_error("there is no earlier ftf_config to go back to");
        return EXIT_UNMET;
    }
    int code = replace(c, l.old_env[0], l.version[0], "what was before", l.version[0]);
    if (code == EXIT_OK)
        tell_redone(&l);
    return code;
}

static int rollback(struct config *c, const char *version)
{
    struct search s = {0};
    struct err err = {.msg = "out of memory"};
    if (version == NULL)
        return undo(c);
    if (!text_int(version, &s.wanted) || s.wanted < 1) {
        cli_error("config rollback takes the number of a version, found '%s'", version);
        return EXIT_USAGE;
    }
    int rc = store_config_history(c->r.store, find_version, &s, &err);
    AUTO_FREE char *env = s.env;
    if (rc < 0)
        return reading_failed(&err);
    if (env == NULL) {
        cli_error("there is no version %s of ftf_config: forkless config history lists them",
                  version);
        return EXIT_UNMET;
    }
    return replace(c, env, s.newest, "the values of", s.wanted);
}

/* ---- the command ---- */

static int run_get(struct config *c, const char *const *words, size_t n)
{
    return get(c, n > 0 ? words[0] : NULL);
}

static int run_history(struct config *c, const char *const *words, size_t n)
{
    (void)words;
    (void)n;
    return history(c);
}

static int run_rollback(struct config *c, const char *const *words, size_t n)
{
    return rollback(c, n > 0 ? words[0] : NULL);
}

static const struct action {
    const char *name;
    int (*run)(struct config *c, const char *const *words, size_t n);
    size_t most; /* words */
    bool writes;
} actions[] = {
    {"get", run_get, 1, false},
    {"set", set, SIZE_MAX, true},
    {"history", run_history, 0, false},
    {"rollback", run_rollback, 1, true},
    {NULL, NULL, 0, false},
};

static int config(struct config *c, const struct cli_args *args)
{
    static const char *const nothing[] = {"get", NULL};
    const char *const *words = args->words.n > 0 ? args->words.v : nothing;
    size_t n = args->words.n > 0 ? args->words.n - 1 : 0;
    const struct action *a =
        named_find(actions, sizeof(*actions), words[0], "config: unknown action",
                   "expected get, set, history or rollback");
    if (a == NULL)
        return EXIT_USAGE;
    if (n > a->most) {
        cli_error("config %s: '%s' is one word too many", a->name, words[n]);
        return EXIT_USAGE;
    }
    int code = reading_open(&c->r);
    if (code == CLI_GO_ON && a->writes)
        code = reading_reopen(&c->r);
    return code == CLI_GO_ON ? a->run(c, words + 1, n) : code;
}

int config_main(int argc, char **argv)
{
    AUTO(config_free) struct config c = {.version = -1};
    const struct cli_option options[] = {
        READING_STORAGE(&c.r),
        {.name = "why", .arg = "TEXT", .text = &c.why, .help = "the reason, for the history"},
        {.name = "who",
         .arg = "NAME",
         .text = &c.who,
         .help = "who changes it, for the history (default: user@host)"},
        {.name = "version",
         .arg = "N",
         .number = &c.version,
         .help = "change it only if it is at this version still"},
        {'n', "newest", "N", "history: only the newest N; 0 = all", .number = &c.newest},
        {.name = "json", .help = "one JSON object, of history one a line", .flag = &c.json},
    };
    const struct cli_usage usage = {
        .command = "config",
        .summary = "Shows and changes the settings that new runs start from (ftf_config).",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = cli_parse(&usage, argc, argv, &args);
    return code == CLI_GO_ON ? config(&c, &args) : code;
}
