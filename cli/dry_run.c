#include "cli/dry_run.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/preview.h"

static int put_text(struct buf *b, const struct spec_doc *doc, const struct spec *cells, size_t n,
                    struct err *err)
{
    int rc = 0;
    bool colour = cli_colour(STDOUT_FILENO);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        buf_puts(b, i > 0 ? "\n" : "");
        describe_spec(b, doc, &cells[i], colour);
        buf_printf(b, "%strials%s    the first would be%s\n", colour ? "\033[1m" : "",
                   colour ? "\033[0m" : "",
                   cells[i].seeded ? "" : " (with seed 0: a study draws its own)");
        rc = preview_put(b, &cells[i], 1, false, err);
    }
    return rc;
}

static int put_json(struct buf *b, const struct spec *cells, size_t n, struct err *err)
{
    int rc = 0;
    buf_puts(b, "{\"dry_run\":true,\"studies\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i > 0 ? "," : "");
        describe_spec_json(b, &cells[i]);
    }
    buf_puts(b, "],\"first_trials\":[");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        buf_puts(b, i > 0 ? "," : "");
        rc = preview_put(b, &cells[i], 1, true, err);
    }
    buf_puts(b, "]}\n");
    return rc;
}

int dry_run_show(const struct spec_doc *doc, const struct spec *cells, size_t n, bool json)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    struct err err;
    int rc = json ? put_json(&b, cells, n, &err) : put_text(&b, doc, cells, n, &err);
    if (rc == 0 && b.failed)
        rc = err_set(&err, ERR_NOMEM, "dry run");
    if (rc < 0) {
        cli_error("%s", err.msg);
        return EXIT_USAGE;
    }
    return fputs(buf_str(&b), stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_UNMET;
}
