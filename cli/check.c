/* forkless check: reads a spec as `run` would, says what it means, shows trials it would make. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/load.h"
#include "cli/preview.h"
#include "cli/smoke.h"
#include "cli/stray.h"

#define PREVIEW_MAX 10000

struct check {
    int64_t preview, cell;
    bool json, keys, smoke;
    struct cli_sweep sweep;
};

/* ---- output ---- */

static int show_text(const struct spec_doc *doc, const struct spec *s, const struct check *c,
                     struct buf *b, struct err *err)
{
    bool colour = cli_colour(STDOUT_FILENO);
    buf_printf(b, "%s: good\n\n", s->file);
    describe_spec(b, doc, s, colour);
    int rc = 0;
    if (c->preview > 0) {
        buf_printf(b, "%strials%s    the first %" PRId64 ", if nothing is learned between them%s\n",
                   colour ? "\033[1m" : "", colour ? "\033[0m" : "", c->preview,
                   s->seeded ? "" : " (with seed 0: a study draws its own)");
        rc = preview_put(b, s, c->preview, false, err);
    }
    for (const char *line = spec_notes(doc); *line != '\0'; line += strcspn(line, "\n") + 1)
        buf_printf(b, "\nnote: %.*s\n", (int)strcspn(line, "\n"), line);
    return rc;
}

static int show_json(const struct spec_doc *doc, const struct spec *s, const struct check *c,
                     struct buf *b, struct err *err)
{
    buf_puts(b, "{\"file\":");
    json_put_string(b, s->file);
    buf_puts(b, ",\"studies\":[");
    for (size_t i = 0; i < spec_cells(doc); i++) {
        struct spec cell;
        int rc = spec_cell(doc, i, &cell, err);
        if (rc < 0)
            return rc;
        buf_puts(b, i > 0 ? "," : "");
        describe_spec_json(b, &cell);
        spec_free(&cell);
    }
    buf_puts(b, "],\"preview\":[");
    int rc = preview_put(b, s, c->preview, true, err);
    buf_puts(b, "],\"notes\":[");
    for (const char *line = spec_notes(doc); *line != '\0'; line += strcspn(line, "\n") + 1) {
        buf_puts(b, line == spec_notes(doc) ? "" : ",");
        json_put_string_n(b, line, strcspn(line, "\n"));
    }
    buf_puts(b, "]}\n");
    return rc;
}

static int show(const struct spec_doc *doc, const struct check *c)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    struct err err;
    struct spec s;
    int rc = spec_cell(doc, (size_t)c->cell, &s, &err);
    if (rc == 0) {
        rc = c->json ? show_json(doc, &s, c, &b, &err) : show_text(doc, &s, c, &b, &err);
        spec_free(&s);
    }
    if (rc == 0 && b.failed)
        rc = err_set(&err, ERR_NOMEM, "check");
    if (rc < 0) {
        cli_error("%s", err.msg);
        return EXIT_USAGE;
    }
    return fputs(buf_str(&b), stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_UNMET;
}

static int smoke(const struct spec_doc *doc, const struct check *c)
{
    struct err err;
    struct spec s;
    if (spec_cell(doc, (size_t)c->cell, &s, &err) < 0) {
        cli_error("%s", err.msg);
        return EXIT_USAGE;
    }
    int code = smoke_run(&s);
    spec_free(&s);
    return code;
}

static int show_keys(void)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    spec_put_reference(&b);
    return !b.failed && fputs(buf_str(&b), stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK
                                                                               : EXIT_UNMET;
}

static int check(const struct check *c, const struct cli_args *args)
{
    if (args->words.n == 0 && args->command.n == 0) {
        cli_error("check: expected a spec file: see forkless check --help");
        return EXIT_USAGE;
    }
    if (c->preview > PREVIEW_MAX) {
        cli_error("check: --preview: at most %d", PREVIEW_MAX);
        return EXIT_USAGE;
    }
    struct spec_doc *doc;
    int rc = cli_load_spec(&doc, "check", args, &c->sweep, c->json);
    if (rc != CLI_GO_ON)
        return rc;
    rc = cli_check_data(doc, c->json);
    if (rc == CLI_GO_ON)
        rc = show(doc, c);
    if (rc == EXIT_OK && c->smoke)
        rc = smoke(doc, c);
    spec_doc_destroy(doc);
    return rc;
}

int check_main(int argc, char **argv)
{
    struct check c = {.preview = 3};
    struct cli_option options[CLI_SWEEP_OPTIONS + 5];
    size_t n = cli_sweep_options(&c.sweep, options);
    options[n++] =
        (struct cli_option){.letter = 'p',
                            .name = "preview",
                            .arg = "N",
                            .help = "show N sampled trials and their commands (default 3)",
                            .number = &c.preview};
    options[n++] =
        (struct cli_option){.name = "cell",
                            .arg = "I",
                            .help = "describe cell I of the matrix (default 0); all are checked",
                            .number = &c.cell};
    options[n++] = (struct cli_option){
        .name = "smoke",
        .help = "then run one trial for real, in a store and a directory of its own",
        .flag = &c.smoke};
    options[n++] =
        (struct cli_option){.name = "json",
                            .help = "print one JSON object: the sweep, or what is wrong with it",
                            .flag = &c.json};
    options[n++] =
        (struct cli_option){.name = "keys",
                            .help = "print every key of a spec with its type, default and meaning",
                            .flag = &c.keys};
    static const char *const synopsis[] = {"check [OPTION …] SPEC [key=value …]",
                                           "check [OPTION …] [key=value …] -- COMMAND …", NULL};
    const struct cli_usage usage = {
        .command = "check",
        .summary =
            "Reads a spec as `run` would, says what it means and shows the trials it would make.",
        .synopsis = synopsis,
        .options = options,
        .n_options = n,
        .examples =
            "  forkless check sweep.yaml\n"
            "  forkless check sweep.yaml --smoke\n"
            "  forkless check sweep.yaml budget.trials=20 space.eta.float=[0.01,0.2] --preview 10\n"
            "  forkless check -n 50 lr=float:1e-5..1e-1:log -- python train.py --lr='${lr}'\n"
            "  forkless check sweep.yaml --json | jq '.studies[].study'\n",
        .takes_command = true,
        .stray_command = stray_command,
    };
    AUTO_CLI_ARGS struct cli_args args = {0};
    int rc = cli_parse(&usage, argc, argv, &args);
    if (rc == CLI_GO_ON)
        rc = c.keys ? show_keys() : check(&c, &args);
    cli_words_free(&c.sweep.env);
    return rc;
}
