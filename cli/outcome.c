#include "cli/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/ending.h"
#include "cli/options.h"
#include "cli/ranking.h"
#include "cli/reading.h"
#include "cli/table.h"

enum { SHOWN_TRIALS = 5 };

/* The most that Kubernetes keeps of a termination message. */
#define TERMINATION_MAX 4096u

/* Whoever reads the file sees the old content or the new, never half of it. */
static void write_whole(const char *path, const char *data, size_t n)
{
    char tmp[4200];
    (void)snprintf(tmp, sizeof(tmp), "%.4096s.tmp", path);
    AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n || fsync(fd) < 0 || rename(tmp, path) < 0)
        cli_error("write %s: %s", path, strerror(errno));
}

/* /dev/termination-log is a mounted file: it can be written, not replaced. */
static void write_in_place(const char *path, const char *data, size_t n)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    n = n < TERMINATION_MAX ? n : TERMINATION_MAX;
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        cli_error("write %s: %s", path, strerror(errno));
}

/* The five best of the one study there is. Reads the store anew: what is shown is what is kept. */
static void show_best(const struct spec *spec)
{
    AUTO_READING struct reading r = {0};
    struct ranked best[SHOWN_TRIALS];
    struct err err = {0};
    size_t found = 0;
    if (reading_open_study(&r, spec->study.storage, spec->study.name) != CLI_GO_ON)
        return;
    int rc = ranking(&r, best, ARRAY_LEN(best), &found, &err);
    if (rc == 0 && found > 0)
        rc = ranking_print(&r, best, found, &err);
    if (rc < 0)
        cli_error("%s", err.msg);
    else if (found > 0)
        (void)putchar('\n');
}

static void show_studies(const struct executor_result *r)
{
    AUTO(table_free) struct table table;
    table_init(&table,
               (const char *const[]){"STUDY", ">COMPLETE", ">PRUNED", ">FAILED", ">BEST", NULL});
    for (int i = 0; i < r->n_studies; i++) {
        const struct executor_study *s = &r->studies[i];
        table_cell(&table, s->name);
        table_cellf(&table, "%" PRId64, s->counts.complete);
        table_cellf(&table, "%" PRId64, s->counts.pruned);
        table_cellf(&table, "%" PRId64, executor_study_failed(s));
        if (s->has_best)
            table_cellf(&table, "%.6g (#%" PRId64 ")", s->best_value, s->best_number);
        else
            table_cell(&table, "-");
    }
    table_print(&table);
    (void)putchar('\n');
}

/* A failed trial mostly says why on stderr; one that just printed no result has none. */
static bool has_stderr(const struct spec *spec, const struct failures *f)
{
    AUTO_FREE char *path = NULL;
    return asprintf(&path, "%s/%s/%" PRId64 "/stderr.log", spec->run.dir, f->study, f->number) >
               0 &&
           access(path, F_OK) == 0;
}

/* Commands that go on from here, as they can be pasted: the program is named as the user did. */
static void suggest_next(const struct outcome_conf *conf, const struct executor_result *r,
                         const struct ending *e)
{
    const struct spec *spec = &conf->cells[0];
    const struct failures *f = &e->failures;
    const char *program = program_invocation_name;
    char url[512], storage[540] = "";
    AUTO(buf_free) struct buf study = BUF_INIT;
    describe_word(&study, f->same > 0 ? f->study : r->studies[0].name);
    if (strcmp(spec->study.storage, cli_default_storage()) != 0)
        (void)snprintf(storage, sizeof(storage), " --storage '%s'",
                       text_mask_url(spec->study.storage, url, sizeof(url)));
    if (f->same > 0)
        (void)printf("\nnext:\n  %s logs %" PRId64 " %s%s%s\n  %s trials %s --state fail%s\n",
                     program, f->number, buf_str(&study), has_stderr(spec, f) ? " --stderr" : "",
                     storage, program, buf_str(&study), storage);
    if (ending_goes_on(r))
        (void)printf("%s" ENDING_GO_ON "\n", f->same > 0 ? "  " : "\nnext: ");
    else if (f->same > 0)
        return;
    else if (r->n_studies > 1)
        (void)printf("\nnext:\n  %s status%s\n", program, storage);
    else if (e->code == EXIT_OK)
        (void)printf("\nnext:\n  %s best %s%s\n  %s trials %s%s\n", program, buf_str(&study),
                     storage, program, buf_str(&study), storage);
}

static const char *label(const struct executor_result *r, const struct ending *e)
{
    if (r->reason != SW_MET)
        return ending_reason_name(r);
    return e->nothing ? "nothing to do" : "proven";
}

static void say(const char *text)
{
    AUTO_FREE char *clean = strdup(text);
    (void)fputs(clean != NULL ? text_clean(clean) : "", stdout);
}

/* One that was drawn, once the study has it. */
static void tell_seed(const struct spec *spec, const struct executor_result *r)
{
    if (!spec->seeded && r->done > 0)
        (void)printf("seed %" PRIu64 " was drawn for it: --seed %" PRIu64 " draws the same\n",
                     r->studies[0].seed, r->studies[0].seed);
}

static void tell_people(const struct outcome_conf *conf, const struct executor_result *r,
                        const struct ending *e)
{
    char took[32];
    bool colour = cli_colour(STDOUT_FILENO);
    bool fine = e->code == EXIT_OK || e->code == EXIT_NOTHING;
    if (r->n_studies > 1)
        show_studies(r);
    else if (r->studies[0].has_best)
        show_best(&conf->cells[0]);
    (void)printf("%s%s%s: ", colour ? (fine ? "\033[32m" : "\033[31m") : "", label(r, e),
                 colour ? "\033[0m" : "");
    say(buf_str(&e->reason));
    (void)printf(". %s", text_human_ms(r->elapsed_ms, took));
    if (r->failed > 0)
        (void)printf(", %" PRId64 " failed tr%s", r->failed, r->failed == 1 ? "y" : "ies");
    (void)printf(" (exit %d)\n", e->code);
    if (e->failures.same > 0) {
        AUTO(buf_free) struct buf why = BUF_INIT;
        ending_put_failures(&why, &e->failures);
        say(buf_str(&why));
        (void)putchar('\n');
    }
    tell_seed(&conf->cells[0], r);
    suggest_next(conf, r, e);
}

int outcome_tell(const struct outcome_conf *conf, const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    AUTO_ENDING struct ending e;
    ending_init(&e, conf, r);
    if (r->unbegun)
        cli_error("%s", r->err.msg);
    else if (!conf->json)
        tell_people(conf, r, &e);
    if (spec->report.xcom != NULL)
        write_whole(spec->report.xcom, buf_str(&e.line), e.line.len);
    if (spec->report.termination_log != NULL)
        write_in_place(spec->report.termination_log, buf_str(&e.words), e.words.len);
    if (conf->json || !isatty(STDOUT_FILENO))
        (void)printf("%s\n", buf_str(&e.line));
    return e.code;
}
