/* forkless trials: a study's trials as a table, CSV or JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/csv.h"
#include "cli/reading.h"
#include "cli/table.h"

enum { SHOWN = 20 };

static const char *const synopsis[] = {"trials [OPTION …] [STUDY]", NULL};

static const char examples[] =
    "  forkless trials                       the newest 20, with their parameters\n"
    "  forkless trials -n 0 --state fail     every failed one, with its class and message\n"
    "  forkless trials --json | jq .params   one JSON object a line\n";

static void cell_values(struct table *table, const struct trial *t)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    for (size_t i = 0; i < t->n_values; i++)
        buf_printf(&text, "%s%.6g", i > 0 ? " " : "", t->values[i]);
    table_cell(table, t->n_values > 0 ? buf_str(&text) : "-");
}

/* Parameters; for a failed trial why it failed. */
static void cell_details(struct table *table, const struct trial *t)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    if (t->state == TRIAL_FAIL) {
        trial_attr_text(t->user_attrs, t->n_user_attrs, "forkless:class", &text);
        if (text.len > 0 &&
            trial_attr_find(t->user_attrs, t->n_user_attrs, "forkless:message") != NULL)
            buf_puts(&text, ": ");
        trial_attr_text(t->user_attrs, t->n_user_attrs, "forkless:message", &text);
        if (text.len > 0)
            buf_puts(&text, "  ");
    }
    trial_params_text(t, &text);
    table_cell(table, buf_str(&text));
}

static int put_row(void *ctx, const struct trial *t)
{
    struct table *table = ctx;
    char text[CLOCK_TEXT_MAX];
    table_cellf(table, "%lld", (long long)t->number);
    table_cell(table, trial_state_name(t->state));
    cell_values(table, t);
    table_cell(table, t->start_us != 0 ? text_human_ms(trial_duration_ms(t), text) : "-");
    cell_details(table, t);
    return table->failed ? -ERR_NOMEM : 0;
}

static int put_json(void *ctx, const struct trial *t)
{
    struct buf *b = ctx;
    buf_clear(b);
    json_put_trial(b, t, false);
    return b->failed ? -ERR_NOMEM : puts(buf_str(b)) < 0 ? 1 : 0;
}

/* The ids of the newest trials in the wanted states, as a ring. */
struct newest {
    int64_t *ids;
    size_t n, seen;
};

static int note_id(void *ctx, const struct trial *t)
{
    struct newest *newest = ctx;
    newest->ids[newest->seen++ % newest->n] = t->id;
    return 0;
}

/* Sets opts->after_id so that n trials are left; *left_out is how many are not shown. */
static int keep_newest(const struct reading *r, int64_t n, struct store_each_opts *opts,
                       size_t *left_out, struct err *err)
{
    struct newest newest = {.n = (size_t)n};
    const struct store_each_opts heads = {.states = opts->states};
    *left_out = 0;
    if (n == 0)
        return 0;
    AUTO_FREE int64_t *ids = newest.ids = calloc((size_t)n, sizeof(*ids));
    if (ids == NULL)
        return err_set(err, ERR_NOMEM, "the newest %lld trials", (long long)n);
    int rc = store_trials_each(r->store, r->study, &heads, note_id, &newest, err);
    if (rc == 0 && newest.seen > newest.n) {
        opts->after_id = ids[newest.seen % newest.n] - 1;
        *left_out = newest.seen - newest.n;
    }
    return rc;
}

static int print_table(const struct reading *r, const struct store_each_opts *opts, size_t left_out,
                       struct err *err)
{
    AUTO(table_free) struct table table;
    table_init(&table,
               (const char *const[]){">TRIAL", "STATE", ">VALUE", ">TIME", "DETAILS", NULL});
    int rc = store_trials_each(r->store, r->study, opts, put_row, &table, err);
    if (rc < 0)
        return rc;
    table_print(&table);
    if (left_out > 0)
        (void)printf("%zu earlier ones are not shown: -n 0 shows all\n", left_out);
    return 0;
}

/* The mask of a state by name; 0, all of them, for NULL. */
static unsigned state_mask(const char *name)
{
    for (int s = 0; name != NULL && s < TRIAL_STATES; s++) {
        if (strcasecmp(name, trial_state_name((enum trial_state)s)) == 0)
            return STORE_STATE_BIT(s);
    }
    return 0;
}

int trials_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    const char *state = NULL;
    int64_t n = -1;
    bool json = false;
    bool csv = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {'n', "newest", "N", "only the newest N; 0 = all (default: 20 in a table)", .number = &n},
        {.name = "state",
         .arg = "running|complete|pruned|fail|waiting",
         .help = "only trials in this state",
         .text = &state},
        {.name = "csv", .help = "comma-separated values with a header; all trials", .flag = &csv},
        {.name = "json", .help = "one JSON object a line", .flag = &json},
    };
    const struct cli_usage usage = {.command = "trials",
                                    .summary = "Lists a study's trials.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    AUTO(buf_free) struct buf line = BUF_INIT;
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    struct store_each_opts opts = {.want = WANT_PARAMS | WANT_USER_ATTRS};
    size_t left_out = 0;
    int code = reading_begin(&r, &usage, argc, argv, READING_STUDY, &args);
    if (code != CLI_GO_ON)
        return code;
    if (csv && (json || state != NULL || n > 0)) {
        cli_error("--csv goes with neither --json, --state nor -n");
        return EXIT_USAGE;
    }
    opts.states = state_mask(state);
    int rc;
    if (csv) {
        rc = csv_trials(&r, &err);
    } else {
        rc = keep_newest(&r, n >= 0 ? n : json ? 0 : SHOWN, &opts, &left_out, &err);
        if (rc == 0)
            rc = json ? store_trials_each(r.store, r.study, &opts, put_json, &line, &err)
                      : print_table(&r, &opts, left_out, &err);
    }
    return rc < 0 ? reading_failed(&err) : EXIT_OK;
}
