/* forkless best: the best trials of a study. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/fallen.h"
#include "cli/ranking.h"
#include "cli/table.h"

enum { MOST = 1000 };

static const char *const synopsis[] = {"best [OPTION …] [STUDY]", NULL};

static const char examples[] =
    "  forkless best                        the best trial: its value and parameters\n"
    "  forkless best -n 5                   the best five, as a table\n"
    "  forkless best --json | jq .params    for a program\n"
    "\n"
    "Exit code 1: no trial is complete yet.\n";

/* The best trial's model, when a worker left one. */
static void print_model(const struct reading *r)
{
    AUTO_FREE char *dir = NULL;
    AUTO_FREE char *path = NULL;
    if (store_study_attr_get(r->store, r->study, ATTR_USER, "forkless:dir", &dir, NULL) < 0)
        return;
    AUTO_JSON json_t *text = json_read(dir, strlen(dir), NULL);
    if (!json_is_string(text) || asprintf(&path, "%s/best.ubj", json_string_value(text)) < 0)
        return;
    if (access(path, F_OK) == 0)
        (void)printf("model   %s\n", text_clean(path));
}

static int print_one(void *ctx, const struct trial *t)
{
    char number[TEXT_DOUBLE_MAX];
    (void)ctx;
    (void)printf("trial   %lld\n", (long long)t->number);
    (void)printf("value   %s\n", text_from_double(t->values[0], number));
    for (size_t i = 0; i < t->n_params; i++) {
        AUTO(buf_free) struct buf text = BUF_INIT;
        buf_printf(&text, "%s = ", t->params[i].name);
        dist_put_value_text(&text, t->params[i].dist, t->params[i].value);
        if (text.failed)
            return -ERR_NOMEM;
        (void)printf("%s%s\n", i == 0 ? "params  " : "        ", text_clean(text.data));
    }
    AUTO(buf_free) struct buf fallen = BUF_INIT;
    fallen_put(&fallen, t);
    if (fallen.len > 0 && !fallen.failed) /* not what was asked for */
        (void)printf("fallback  %s\n", text_clean(fallen.data));
    return 0;
}

static int print_json(void *ctx, const struct trial *t)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    (void)ctx;
    json_put_trial(&line, t, false);
    return line.failed ? -ERR_NOMEM : puts(buf_str(&line)) < 0 ? 1 : 0;
}

static int show(const struct reading *r, const struct ranked *best, size_t n, bool json,
                struct err *err)
{
    int rc = 0;
    if (!json && n > 1)
        return ranking_print(r, best, n, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc =
            store_trial_get(r->store, best[i].id, WANT_PARAMS | WANT_USER_ATTRS | WANT_SYSTEM_ATTRS,
                            json ? print_json : print_one, NULL, err);
    if (rc == 0 && !json)
        print_model(r);
    return rc;
}

int best_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    int64_t n = 1;
    bool json = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {'n', "number", "N", "how many (default 1, at most 1000)", .number = &n},
        {.name = "json", .help = "one JSON object a line", .flag = &json},
    };
    const struct cli_usage usage = {.command = "best",
                                    .summary = "Shows the best trials of a study.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    size_t found = 0;
    int code = reading_begin(&r, &usage, argc, argv, READING_STUDY, &args);
    if (code != CLI_GO_ON)
        return code;
    if (n < 1 || n > MOST) {
        cli_error("-n takes 1 to %d", MOST);
        return EXIT_USAGE;
    }
    if (r.n_objectives != 1) {
        cli_error("study '%s' has %zu objectives, so no single best trial: see forkless export",
                  r.name, r.n_objectives);
        return EXIT_USAGE;
    }
    AUTO_FREE struct ranked *best = calloc((size_t)n, sizeof(*best));
    if (best == NULL)
        return EXIT_STORE;
    int rc = ranking(&r, best, (size_t)n, &found, &err);
    if (rc == 0 && found == 0) {
        cli_error("study '%s' has no complete trial yet", r.name);
        return EXIT_UNMET;
    }
    if (rc == 0)
        rc = show(&r, best, found, json, &err);
    return rc < 0 ? reading_failed(&err) : EXIT_OK;
}
