/* forkless compare: the factors of a sweep against its baseline, and what follows for each. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/reading.h"
#include "cli/table.h"
#include "storage/ftf.h"
#include "trials/gate.h"

static const char *const synopsis[] = {"compare [OPTION …]", NULL};

static const char examples[] =
    "  forkless compare                        the newest run's factors, by auc\n"
    "  forkless compare --metric logloss       by another metric of the results\n"
    "  forkless compare --run ftf-2026-05-01 --json\n"
    "\n"
    "Rows of finetune_results, one for each crypto and fold, are compared with the baseline's of "
    "the\n"
    "same crypto and fold: median of the differences, Wilcoxon's signed-rank test (two-sided, "
    "exact\n"
    "up to 60 pairs).\n"
    "  lock            p < 0.05 and better, in 4 of 5 cryptos at least (of 3 or more), 50 BUY "
    "signals\n"
    "                  in each fold that counts them\n"
    "  abandon         p < 0.05 and worse; or no better, and in fewer than 2 of 5 cryptos\n"
    "  keep available  anything else: not shown to be either\n"
    "Exit code 1: there is nothing to compare yet.\n";

struct compare {
    struct store *store;
    const char *run, *metric, *baseline, *by;
    bool minimize, maximize, json;
    struct gate gate;
    char newest[256]; /* of the runs that have rows */
    char wanted[256]; /* the run looked at now, while the newest is sought */
    int64_t failed, rolled_back, without;
    struct err err;
};

/* ---- reading ---- */

/* Sets minimize from the metric's name. False when nobody knows: a wrong guess would turn every
 * verdict round. */
static bool settle_direction(struct compare *c)
{
    static const char *const more[] = {"auc",    "aucpr", "accuracy", "precision",
                                       "recall", "f1",    "r2",       "expectancy"};
    static const char *const less[] = {"logloss", "brier", "ece",   "error", "rmse",     "mse",
                                       "mae",     "mape",  "rmsle", "mphe",  "mlogloss", "merror"};
    bool known = c->minimize || c->maximize;
    for (size_t i = 0; !known && i < ARRAY_LEN(more); i++)
        known = strcmp(c->metric, more[i]) == 0;
    for (size_t i = 0; !known && i < ARRAY_LEN(less); i++)
        known = c->minimize = strcmp(c->metric, less[i]) == 0;
    return known;
}

static int check_options(struct compare *c)
{
    if (c->minimize && c->maximize)
        cli_error("compare: --minimize or --maximize, not both");
    else if (!settle_direction(c))
        cli_error("compare: is more or less of '%s' better? say --maximize or --minimize",
                  c->metric);
    else
        return CLI_GO_ON;
    return EXIT_USAGE;
}

static int note_run(void *ctx, const struct store_result *r)
{
    struct compare *c = ctx;
    if (strcmp(r->run_id, c->wanted) == 0)
        (void)snprintf(c->newest, sizeof(c->newest), "%s", r->run_id);
    return c->newest[0] != '\0';
}

/* Runs come oldest first. */
struct runs {
    char (*ids)[256];
    size_t n;
};

static int add_run(void *ctx, const struct store_run *run)
{
    struct runs *runs = ctx;
    char(*grown)[256] = realloc(runs->ids, (runs->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ERR_NOMEM;
    runs->ids = grown;
    (void)snprintf(runs->ids[runs->n++], sizeof(*grown), "%s", run->run_id);
    return 0;
}

static int find_newest(struct compare *c, struct err *err)
{
    struct runs runs = {0};
    int rc = store_runs_each(c->store, add_run, &runs, err);
    for (size_t i = runs.n; rc == 0 && c->newest[0] == '\0' && i-- > 0;) {
        (void)snprintf(c->wanted, sizeof(c->wanted), "%s", runs.ids[i]);
        rc = store_results_each(c->store, c->wanted, note_run, c, err);
        rc = rc > 0 ? 0 : rc;
    }
    free(runs.ids);
    return rc;
}

static double metric_of(const struct compare *c, const struct store_result *r)
{
    AUTO_JSON json_t *metrics = json_read_python(r->metrics, strlen(r->metrics), NULL);
    const json_t *v = json_object_get(metrics, c->metric);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int take(void *ctx, const struct store_result *r)
{
    struct compare *c = ctx;
    bool variant = strcmp(c->by, "variant") == 0 || r->factor == NULL;
    if (strcmp(r->run_status, "success") != 0) { /* what aggregates skip */
        c->failed += strcmp(r->run_status, "failed") == 0;
        c->rolled_back += strcmp(r->run_status, "rolled_back") == 0;
        return 0;
    }
    double v = metric_of(c, r);
    if (!isfinite(v)) {
        c->without++;
        return 0;
    }
    return gate_add(&c->gate, variant ? r->variant : r->factor,
                    r->crypto_symbol != NULL ? r->crypto_symbol : r->study, r->fold, v,
                    r->buy_trades, &c->err);
}

/* ---- telling ---- */

static const char *shown(enum gate_verdict v)
{
    return v == GATE_KEEP ? "keep available" : v == GATE_BASELINE ? "" : gate_verdict_name(v);
}

static void print_group(struct table *t, const struct gate_group *g)
{
    table_cell(t, g->name);
    table_cellf(t, "%zu", g->n);
    table_cellf(t, "%.5f", g->median);
    table_cellf(t, "%.5f", g->q3 - g->q1);
    table_cellf(t, g->buys >= 0 ? "%" PRId64 : "-", g->buys);
    if (g->verdict == GATE_BASELINE) {
        for (int i = 0; i < 5; i++)
            table_cell(t, "");
        table_cell(t, "the baseline");
        return;
    }
    table_cellf(t, "%+.5f", g->difference);
    table_cellf(t, "%zu/%zu", g->better, g->pairs);
    table_cellf(t, "%zu/%zu", g->cryptos_better, g->cryptos);
    table_cellf(t, g->p < 0.0001 ? "%.1e" : "%.4f", g->p);
    table_cell(t, shown(g->verdict));
    table_cell(t, g->why);
}

static void print(const struct compare *c, const struct gate_group *groups, size_t n)
{
    AUTO(table_free) struct table t;
    table_init(&t, (const char *const[]){"FACTOR", ">ROWS", ">MEDIAN", ">SPREAD", ">MIN BUYS",
                                         ">DIFFERENCE", ">BETTER", ">CRYPTOS", ">P", "GATE", "WHY",
                                         NULL});
    char run[256];
    (void)snprintf(run, sizeof(run), "%s", c->run);
    (void)printf("run %s, %s (%s is better), against %s\n", text_clean(run), c->metric,
                 c->minimize ? "less" : "more", c->baseline);
    for (size_t i = 0; i < n; i++)
        print_group(&t, &groups[i]);
    table_print(&t);
    if (c->failed + c->rolled_back + c->without > 0)
        (void)printf("left out: %" PRId64 " failed, %" PRId64 " rolled back, %" PRId64
                     " without %s\n",
                     c->failed, c->rolled_back, c->without, c->metric);
}

static void put_number(struct buf *b, const char *key, double v)
{
    buf_printf(b, ",\"%s\":", key);
    json_put_double(b, v);
}

static void put_group(struct buf *b, const struct gate_group *g)
{
    buf_puts(b, "{\"factor\":");
    json_put_string(b, g->name);
    buf_printf(b, ",\"rows\":%zu", g->n);
    put_number(b, "median", g->median);
    put_number(b, "q1", g->q1);
    put_number(b, "q3", g->q3);
    buf_printf(b, ",\"min_buys\":");
    buf_printf(b, g->buys >= 0 ? "%" PRId64 : "null", g->buys);
    buf_printf(b, ",\"gate\":\"%s\"", gate_verdict_name(g->verdict));
    if (g->verdict != GATE_BASELINE) {
        put_number(b, "difference", g->difference);
        buf_printf(b, ",\"pairs\":%zu,\"better\":%zu,\"cryptos\":%zu,\"cryptos_better\":%zu",
                   g->pairs, g->better, g->cryptos, g->cryptos_better);
        put_number(b, "p", g->p);
        buf_printf(b, ",\"exact\":%s,\"why\":", g->exact ? "true" : "false");
        json_put_string(b, g->why);
    }
    buf_putc(b, '}');
}

static void print_json(const struct compare *c, const struct gate_group *groups, size_t n)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, "{\"run_id\":");
    json_put_string(&b, c->run);
    buf_puts(&b, ",\"metric\":");
    json_put_string(&b, c->metric);
    buf_puts(&b, ",\"baseline\":");
    json_put_string(&b, c->baseline);
    buf_printf(&b,
               ",\"less_is_better\":%s,\"failed\":%" PRId64 ",\"rolled_back\":%" PRId64
               ",\"without_metric\":%" PRId64 ",\"factors\":[",
               c->minimize ? "true" : "false", c->failed, c->rolled_back, c->without);
    for (size_t i = 0; i < n; i++) {
        buf_puts(&b, i > 0 ? "," : "");
        put_group(&b, &groups[i]);
    }
    buf_puts(&b, "]}");
    (void)puts(buf_str(&b));
}

static int nothing(const struct compare *c)
{
    if (c->run == NULL)
        cli_error(
            "there is no run with results yet: the XGBoost worker and workers that send rows have "
            "some (docs/worker-contract.md); forkless best tells of other sweeps");
    else if (c->failed + c->rolled_back > 0 && c->without == 0)
        cli_error("run '%s' has no results to compare: %" PRId64 " rows failed, %" PRId64
                  " were rolled back",
                  c->run, c->failed, c->rolled_back);
    else if (c->without > 0)
        cli_error("no row of run '%s' has the metric '%s'", c->run, c->metric);
    else
        cli_error("run '%s' has no results", c->run);
    return EXIT_UNMET;
}

static int compare(struct compare *c)
{
    struct err err = {.msg = "out of memory"};
    AUTO_FREE struct gate_group *groups = NULL;
    size_t n = 0;
    int rc = c->run == NULL ? find_newest(c, &err) : 0;
    if (rc < 0)
        return reading_failed(&err);
    c->run = c->run != NULL ? c->run : c->newest[0] != '\0' ? c->newest : NULL;
    if (c->run == NULL)
        return nothing(c);
    rc = store_results_each(c->store, c->run, take, c, &err);
    if (rc == -ERR_EXISTS) {
        cli_error("%s: compare --by variant, or name one run", c->err.msg);
        return EXIT_USAGE;
    }
    if (rc < 0)
        return reading_failed(&err);
    if (c->gate.n == 0)
        return nothing(c);
    const struct gate_rules rules = {c->baseline, c->minimize, 0.05};
    rc = gate_judge(&c->gate, &rules, &groups, &n, &err);
    if (rc == -ERR_NOTFOUND)
        cli_error("%s in run '%s': name another one with --baseline", err.msg, c->run);
    if (rc < 0)
        return rc == -ERR_NOTFOUND ? EXIT_UNMET : reading_failed(&err);
    if (c->json)
        print_json(c, groups, n);
    else
        print(c, groups, n);
    return EXIT_OK;
}

int compare_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    struct compare c = {.metric = "auc", .baseline = "baseline", .by = "factor"};
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {.name = "run",
         .arg = "ID",
         .text = &c.run,
         .help = "a run of finetune_runs (default: the newest with results)"},
        {.name = "metric",
         .arg = "NAME",
         .text = &c.metric,
         .help = "of the results (default: auc)"},
        {.name = "baseline",
         .arg = "NAME",
         .text = &c.baseline,
         .help = "what the others are compared with (default: baseline)"},
        {.name = "by",
         .arg = "factor|variant",
         .text = &c.by,
         .help = "what is compared (default: factor)"},
        {.name = "maximize", .flag = &c.maximize, .help = "more is better, whatever the metric"},
        {.name = "minimize", .flag = &c.minimize, .help = "less is better, whatever the metric"},
        {.name = "json", .flag = &c.json, .help = "one JSON object"},
    };
    const struct cli_usage usage = {.command = "compare",
                                    .summary =
                                        "Compares the factors of a sweep over cryptos and folds.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = reading_begin(&r, &usage, argc, argv, READING_NONE, &args);
    if (code == CLI_GO_ON)
        code = check_options(&c);
    if (code != CLI_GO_ON)
        return code;
    c.store = r.store;
    code = compare(&c);
    gate_free(&c.gate);
    return code;
}
