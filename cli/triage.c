/* forkless triage: which trainings fail, why, and what the runbook says about it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/reading.h"
#include "cli/settings.h"
#include "cli/table.h"
#include "trials/base_env.h"
#include "trials/triage.h"

static const char *const synopsis[] = {"triage [OPTION …]", NULL};

static const char examples[] =
    "  forkless triage                     what failed in the last 4 hours, and what to do about "
    "it\n"
    "  forkless triage --window 1h --json  the same for a program\n"
    "  forkless triage --apply             and do it: the rollback, or one step of gamma, in "
    "ftf_config\n"
    "\n"
    "Trainings with the focal loss are counted by crypto, from the window's start or the last "
    "change\n"
    "of the loss function or of gamma, whichever is later. A crypto over 50 % failures: roll back\n"
    "(path A). Failures that are mostly numerical, or 20-50 % and some numerical: lower gamma by "
    "1\n"
    "(path B). Else: investigate (path C). All of five cryptos over 50 %, or trainings without "
    "the\n"
    "focal loss: page (P1). A rate takes three trainings, of a crypto or of all together.\n"
    "\n"
    "Exit code 0: nothing to do, or --apply has done it; 1: the verdict asks for something, or no\n"
    "training ended at all (no data).\n";

struct look {
    struct store *store;
    uint64_t window_ms;
    bool apply, json;
    int64_t since_us;   /* of what is counted */
    int64_t changed_us; /* the last change of what decides, in the window; 0: none */
    char changed_by[128];
    struct store_config now;
    json_t *env; /* NULL: there is no ftf_config */
    struct triage counts;
    struct triage_config judged;
    struct triage_verdict verdict;
    char latest[300]; /* what the latest failure said */
    char applied[200];
};

static void look_free(struct look *l)
{
    store_config_free(&l->now);
    json_decref(l->env);
    triage_free(&l->counts);
}

/* ---- reading ---- */

static bool differs(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == NULL || y == NULL ? x != y : !json_equal(x, y);
}

/* The latest change of the loss function or of gamma: failures before it say nothing about now. */
static int find_change(void *ctx, const struct store_config_event *e)
{
    struct look *l = ctx;
    if (e->old_env == NULL || e->changed_us < l->since_us)
        return 1;
    AUTO_JSON json_t *before = json_read(e->old_env, strlen(e->old_env), NULL);
    AUTO_JSON json_t *after = json_read(e->new_env, strlen(e->new_env), NULL);
    if (!differs(before, after, BASE_ENV_LOSS) && !differs(before, after, BASE_ENV_GAMMA))
        return 0;
    l->since_us = l->changed_us = e->changed_us;
    (void)snprintf(l->changed_by, sizeof(l->changed_by), "%s", e->who);
    return 1;
}

static int count(void *ctx, const struct store_training *t)
{
    struct look *l = ctx;
    bool focal = t->loss_function != NULL && strcmp(t->loss_function, "focal") == 0;
    if (t->failed && focal && t->message != NULL)
        (void)snprintf(l->latest, sizeof(l->latest), "%s: %s",
                       t->crypto_symbol != NULL ? t->crypto_symbol : "-", t->message);
    return triage_add(&l->counts, t->crypto_symbol, focal, t->failed, t->failure_mode) ? 0
                                                                                       : -ERR_NOMEM;
}

static int read_all(struct look *l, struct err *err)
{
    int64_t now = clock_utc_us(); /* before 1970 nobody trained */
    l->since_us = l->window_ms < (uint64_t)now / 1000 ? now - (int64_t)l->window_ms * 1000 : 0;
    int rc = settings_read(l->store, &l->now, &l->env, err);
    if (rc < 0 && rc != -ERR_NOTFOUND)
        return rc;
    rc = store_config_history(l->store, find_change, l, err);
    if (rc >= 0)
        rc = store_trainings_each(l->store, l->since_us, count, l, err);
    return rc < 0 ? rc : 0;
}

static const char *loss(const struct look *l)
{
    const char *name = json_string_value(json_object_get(l->env, BASE_ENV_LOSS));
    return name != NULL ? name : "unknown";
}

static void judge(struct look *l)
{
    /* without the table, runs take the loss from their specs */
    l->judged = (struct triage_config){.focal = l->env == NULL || strcmp(loss(l), "focal") == 0,
                                       .gamma = base_env_number(l->env, BASE_ENV_GAMMA)};
    triage_sort(&l->counts);
    triage_judge(&l->counts, &l->judged, &l->verdict);
}

/* ---- acting ---- */

static int apply(struct look *l, struct err *err)
{
    char why[300], gamma[TEXT_DOUBLE_MAX];
    const struct triage_verdict *v = &l->verdict;
    AUTO_JSON json_t *changes = json_object();
    const char *key = v->path == TRIAGE_ROLLBACK ? BASE_ENV_LOSS : BASE_ENV_GAMMA;
    const char *value =
        v->path == TRIAGE_ROLLBACK ? BASE_ENV_BASELINE : text_from_double(v->gamma, gamma);
    (void)json_object_set_new(changes, key, json_string(value));
    (void)snprintf(why, sizeof(why), "triage: %s", v->why);
    /* the version that was judged: a colleague who was faster has changed what it was about */
    int64_t version = l->env != NULL ? l->now.version : -1;
    int rc = settings_change(l->store, changes, version, NULL, why, err);
    if (rc == 0)
        (void)snprintf(l->applied, sizeof(l->applied), "%s=%s", key, value);
    return rc;
}

/* ---- telling ---- */

/* Where to look, in keeping with the path: it never tells to do what the path does not. */
static const char *advice(const struct triage_verdict *v)
{
    bool rollback = v->path == TRIAGE_ROLLBACK;
    if (!v->has_pattern)
        return NULL;
    switch (v->pattern) {
    case TRIAGE_CALIBRATION:
        return "soft labels reach the calibration: see what was changed in the label pipeline; "
               "such "
               "trainings are not tried again";
    case TRIAGE_HESSIAN:
        return v->path == TRIAGE_LOWER_GAMMA
                   ? "the Hessian is lost where gamma is steep: lower gamma, try one training, go "
                     "on to path A if it fails"
                   : "the Hessian is lost where gamma is steep: the baseline has no gamma";
    case TRIAGE_DEPENDENCY:
        return rollback ? "a package is missing in the image: rebuild it; path A helps only where "
                          "the baseline does without the package"
                        : "a package is missing in the image: rebuild it; no setting helps";
    case TRIAGE_NUMERICAL:
        return "an overflow in exp means that the clipping of the loss is broken: file it as P1";
    default:
        return NULL;
    }
}

/* What to do, and where: --apply can change ftf_config, but not what a spec says. */
static const char *path_sentence(const struct look *l)
{
    const struct triage_verdict *v = &l->verdict;
    static const char *const sentences[] = {
        "healthy: nothing to do",
        ("path A: roll back to " BASE_ENV_BASELINE),
        "path B: lower gamma by one step",
        "path C: investigate, change nothing yet",
        "no data: neither healthy nor failing",
    };
    if (triage_asks_for_change(v) && !l->judged.focal)
        return v->path == TRIAGE_ROLLBACK
                   ? "path A, in the spec: go back to " BASE_ENV_BASELINE " there"
                   : "path B, in the spec: lower its focal_gamma by one step";
    return sentences[v->path];
}

static void print_cryptos(const struct look *l)
{
    AUTO(table_free) struct table table;
    table_init(&table, (const char *const[]){"CRYPTO", ">FAILED", ">OK", ">RATE", ">CALIBRATION",
                                             ">HESSIAN", ">DEPENDENCY", ">NUMERICAL", ">OTHER",
                                             ">OTHER LOSS", NULL});
    for (size_t i = 0; i < l->counts.n; i++) {
        const struct triage_crypto *c = &l->counts.cryptos[i];
        table_cell(&table, c->symbol);
        table_cellf(&table, "%" PRId64, c->failed);
        table_cellf(&table, "%" PRId64, c->succeeded);
        table_cellf(&table, "%.0f %%", 100 * triage_rate(c->failed, c->succeeded));
        for (int m = 0; m < TRIAGE_MODES; m++)
            table_cellf(&table, "%" PRId64, c->modes[m]);
        table_cellf(&table, "%" PRId64 "/%" PRId64, c->others_failed,
                    c->others_failed + c->others_succeeded);
    }
    if (l->counts.n > 0)
        table_print(&table);
    else
        (void)puts(
            "no trainings: only the XGBoost worker records them; forkless trials --state fail "
            "and forkless why N tell of others");
}

static void print_next(const struct look *l)
{
    const struct triage_verdict *v = &l->verdict;
    if (l->applied[0] != '\0')
        (void)printf("applied  %s; forkless config history\n", l->applied);
    else if (l->apply)
        (void)printf("applied  nothing: ftf_config is as it was\n");
    if (v->path == TRIAGE_NO_DATA)
        (void)puts("next     forkless status: is this the store, does a sweep run in it? A longer "
                   "--window looks further back");
    else if (triage_applies(v, &l->judged) && !l->apply)
        (void)puts("next     forkless triage --apply");
    else if (triage_asks_for_change(v) && !l->judged.focal)
        (void)puts("next     what fails takes the focal loss from its own spec, not from "
                   "ftf_config: change that spec, or give it a fallback");
}

static void print(struct look *l)
{
    char at[CLOCK_TEXT_MAX];
    struct triage_verdict *v = &l->verdict;
    (void)printf("trainings since %.19s UTC", clock_sql(l->since_us, at));
    if (l->changed_us != 0)
        (void)printf(", when %s changed ftf_config", text_clean((char *)l->changed_by));
    (void)putchar('\n');
    print_cryptos(l);
    if (l->env != NULL)
        (void)printf("config   %s, gamma %s (ftf_config version %" PRId64 ")\n", loss(l),
                     json_string_value(json_object_get(l->env, BASE_ENV_GAMMA)) != NULL
                         ? json_string_value(json_object_get(l->env, BASE_ENV_GAMMA))
                         : "unknown",
                     l->now.version);
    if (l->latest[0] != '\0')
        (void)printf("latest   %s\n", text_clean(l->latest));
    if (v->has_pattern)
        (void)printf("pattern  %s\n", triage_mode_name(v->pattern));
    (void)printf("verdict  %s%s\n", v->page ? "P1, page the DRI now; " : "", path_sentence(l));
    (void)printf("because  %s\n", text_clean(v->why));
    if (advice(v) != NULL)
        (void)printf("hint     %s\n", advice(v));
    print_next(l);
}

static void put_crypto(struct buf *b, const struct triage_crypto *c)
{
    buf_puts(b, "{\"crypto_symbol\":");
    json_put_string(b, c->symbol);
    buf_printf(b, ",\"failed\":%" PRId64 ",\"succeeded\":%" PRId64 ",\"rate\":", c->failed,
               c->succeeded);
    json_put_double(b, triage_rate(c->failed, c->succeeded));
    buf_puts(b, ",\"modes\":{");
    for (int m = 0; m < TRIAGE_MODES; m++)
        buf_printf(b, "%s\"%s\":%" PRId64, m > 0 ? "," : "", triage_mode_name((enum triage_mode)m),
                   c->modes[m]);
    buf_printf(b, "},\"other_losses\":{\"failed\":%" PRId64 ",\"succeeded\":%" PRId64 "}}",
               c->others_failed, c->others_succeeded);
}

static void put_text(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, ",\"%s\":", key);
    if (text != NULL && text[0] != '\0')
        json_put_string(b, text);
    else
        buf_puts(b, "null");
}

static void print_json(const struct look *l)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    char at[CLOCK_TEXT_MAX];
    const struct triage_verdict *v = &l->verdict;
    buf_printf(&b,
               "{\"since\":\"%s\",\"since_change\":%s,\"config\":", clock_rfc3339(l->since_us, at),
               l->changed_us != 0 ? "true" : "false");
    if (l->env != NULL)
        settings_put_json(&b, &l->now);
    else
        buf_puts(&b, "null");
    buf_puts(&b, ",\"cryptos\":[");
    for (size_t i = 0; i < l->counts.n; i++) {
        buf_puts(&b, i > 0 ? "," : "");
        put_crypto(&b, &l->counts.cryptos[i]);
    }
    buf_printf(&b, "],\"verdict\":\"%s\",\"page\":%s,\"worst_rate\":", triage_path_name(v->path),
               v->page ? "true" : "false");
    json_put_double(&b, v->worst);
    put_text(&b, "pattern", v->has_pattern ? triage_mode_name(v->pattern) : NULL);
    put_text(&b, "why", v->why);
    put_text(&b, "hint", advice(v));
    put_text(&b, "latest", l->latest);
    buf_printf(&b, ",\"in_spec\":%s",
               triage_asks_for_change(v) && !l->judged.focal ? "true" : "false");
    put_text(&b, "applied", l->applied);
    buf_putc(&b, '}');
    (void)puts(buf_str(&b));
}

int triage_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    AUTO(look_free) struct look l = {.window_ms = UINT64_C(4) * 3600 * 1000};
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {.name = "window",
         .arg = "TIME",
         .duration_ms = &l.window_ms,
         .help = "how far back (default: 4h)"},
        {.name = "apply",
         .flag = &l.apply,
         .help = "change ftf_config as the verdict says, with a row in its history"},
        {.name = "json", .help = "one JSON object", .flag = &l.json},
    };
    const struct cli_usage usage = {.command = "triage",
                                    .summary =
                                        "Tells which trainings fail, why, and what to do about it.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    int code = reading_begin(&r, &usage, argc, argv, READING_NONE, &args);
    if (code != CLI_GO_ON)
        return code;
    l.store = r.store;
    int rc = read_all(&l, &err);
    if (rc < 0)
        return reading_failed(&err);
    judge(&l);
    if (l.apply && triage_applies(&l.verdict, &l.judged)) {
        code = reading_reopen(&r);
        if (code != CLI_GO_ON)
            return code;
        l.store = r.store;
        rc = apply(&l, &err);
    }
    if (rc == -ERR_CONFLICT) {
        cli_error("%s: look again", err.msg);
        return EXIT_UNMET;
    }
    if (rc < 0)
        return reading_failed(&err);
    if (l.json)
        print_json(&l);
    else
        print(&l);
    bool done = l.verdict.path == TRIAGE_HEALTHY || (l.applied[0] != '\0' && !l.verdict.page);
    return done ? EXIT_OK : EXIT_UNMET;
}
