#include "cli/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/failures.h"
#include "cli/options.h"
#include "cli/ranking.h"
#include "cli/table.h"

enum { SHOWN_TRIALS = 5 };

#define GO_ON "run the same command again to continue"

#define DEFAULT_STORAGE "sqlite:///forkless.db"

/* The most that Kubernetes keeps of a termination message. */
#define TERMINATION_MAX 4096u

/* Every study was at its target before: more than enough in one is no help to another. */
static bool nothing_to_do(const struct executor_result *r)
{
    for (int i = 0; i < r->n_studies; i++) {
        const struct executor_study *s = &r->studies[i];
        if (s->target == 0 || s->done_before < s->target)
            return false;
    }
    return r->reason == SW_MET;
}

static int exit_code_of(const struct outcome_conf *conf, const struct executor_result *r)
{
    static const int codes[] = {
        [SW_RUNNING] = EXIT_UNMET, [SW_MET] = EXIT_OK,          [SW_UNPROVEN] = EXIT_UNMET,
        [SW_UNMET] = EXIT_UNMET,   [SW_STALLED] = EXIT_STALLED, [SW_TIME] = EXIT_TIME,
        [SW_HALTED] = EXIT_HALT,   [SW_STORE] = EXIT_STORE,     [SW_PREEMPTED] = EXIT_PREEMPTED,
    };
    if (conf->skip_if_done && nothing_to_do(r))
        return EXIT_NOTHING;
    if (r->reason == SW_STORE && r->err.code == ERR_CONFLICT)
        return EXIT_USAGE; /* the store is well: the spec does not fit the study in it */
    return codes[r->reason];
}

/* Whether the trials themselves kept the sweep from its target. */
static bool trials_failed(const struct executor_result *r)
{
    return r->failed > 0 && (r->reason == SW_UNMET || r->reason == SW_STALLED ||
                             r->reason == SW_HALTED || r->reason == SW_TIME);
}

/* A sentence, or nothing. */
static void put_failures(struct buf *b, const struct failures *f)
{
    if (f->same == 0)
        return;
    if (f->n > 1)
        buf_printf(b, "%" PRId64 " of %" PRId64 " failed like trial", f->same, f->n);
    else
        buf_puts(b, "the one that failed is trial");
    buf_printf(b, " %" PRId64 " (%s)%s%s", f->number, f->fail, f->message[0] != '\0' ? ": " : "",
               f->message);
}

static void put_met(struct buf *b, const struct spec *spec, const struct executor_result *r)
{
    if (nothing_to_do(r))
        buf_printf(b, "%" PRId64 " of %" PRId64 " trial%s there, read again", r->done, r->target,
                   r->target == 1 ? " is" : "s are");
    else
        buf_printf(b, "%" PRId64 " trial%s read again", r->proven_trials,
                   r->proven_trials == 1 ? " is stored and was" : "s are stored and were");
    if (r->proven_rows >= 0)
        buf_printf(b, ", with %" PRId64 " row%s in %s", r->proven_rows, plural(r->proven_rows),
                   spec->prove.table);
}

static void put_unproven(struct buf *b, const struct outcome_conf *conf,
                         const struct executor_result *r)
{
    int64_t rows = r->proven_rows >= 0 ? r->proven_rows : 0;
    if (r->err.code != ERR_NONE)
        buf_printf(b, "the rows could not be read again: %s", r->err.msg);
    else
        buf_printf(b,
                   "promised %" PRId64 " trial%s and %" PRId64 " row%s in %s, found %" PRId64
                   " and %" PRId64,
                   r->target, plural(r->target), conf->prove_rows, plural(conf->prove_rows),
                   conf->cells[0].prove.table, r->proven_trials, rows);
}

/* One sentence. */
static void put_reason(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    char progress[64];
    if (r->target > 0)
        (void)snprintf(progress, sizeof(progress), "%" PRId64 " of %" PRId64 " trial%s", r->done,
                       r->target, plural(r->target));
    else
        (void)snprintf(progress, sizeof(progress), "%" PRId64 " trial%s", r->done, plural(r->done));
    switch (r->reason) {
    case SW_MET:
        put_met(b, spec, r);
        break;
    case SW_UNPROVEN:
        put_unproven(b, conf, r);
        break;
    case SW_UNMET:
        buf_printf(b, "the attempts are spent: %s", progress);
        break;
    case SW_STALLED:
        buf_printf(b, "trials hang and their retries are spent: %s", progress);
        break;
    case SW_TIME:
        buf_printf(b, "out of time with %s; " GO_ON, progress);
        break;
    case SW_HALTED:
        buf_printf(b, "the first %u trial%s failed with class %s", spec->flap,
                   spec->flap == 1 ? "" : "s all", fail_class_name(r->flap_class));
        break;
    case SW_STORE:
        buf_printf(b, "%s%s", r->err.code == ERR_CONFLICT ? "" : "the store is lost: ", r->err.msg);
        break;
    case SW_PREEMPTED:
        buf_printf(b, "stopped with %s; " GO_ON, progress);
        break;
    case SW_RUNNING:
        break;
    }
}

static int64_t failed(const struct executor_study *s)
{
    return s->counts.failed - s->interrupted;
}

static void put_study(struct buf *b, const struct executor_study *s)
{
    buf_puts(b, "{\"name\":");
    json_put_string(b, s->name);
    buf_printf(b, ",\"complete\":%" PRId64 ",\"pruned\":%" PRId64 ",\"failed\":%" PRId64,
               s->counts.complete, s->counts.pruned, failed(s));
    if (s->has_best) {
        buf_printf(b, ",\"best\":{\"number\":%" PRId64 ",\"value\":", s->best_number);
        json_put_double(b, s->best_value);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

/* How it ended, in the forms that are told. */
struct ending {
    int code;
    struct failures failures;
    struct buf reason; /* one sentence */
    struct buf words;  /* the same, and why trials failed */
    struct buf line;   /* the result for programs */
};

static void put_failure_json(struct buf *b, const struct failures *f)
{
    buf_printf(b, ",\"failure\":{\"trials\":%" PRId64 ",\"class\":\"%s\",\"message\":", f->same,
               f->fail);
    json_put_string(b, f->message);
    buf_puts(b, ",\"study\":");
    json_put_string(b, f->study);
    buf_printf(b, ",\"number\":%" PRId64 "}", f->number);
}

static void put_result(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r, const struct ending *e)
{
    buf_puts(b, "{\"run_id\":");
    json_put_string(b, conf->run_id);
    buf_printf(b, ",\"exit\":%d,\"reason\":\"%s\",\"message\":", e->code,
               sw_reason_name(r->reason));
    json_put_string(b, buf_str(&e->words));
    buf_printf(b, ",\"proven\":%s,\"done\":%" PRId64 ",\"target\":%" PRId64 ",\"failed\":%" PRId64,
               r->reason == SW_MET ? "true" : "false", r->done, r->target, r->failed);
    if (e->failures.same > 0)
        put_failure_json(b, &e->failures);
    if (r->proven_rows >= 0)
        buf_printf(b, ",\"rows\":%" PRId64, r->proven_rows);
    buf_printf(b, ",\"seconds\":%.3f,\"studies\":[", (double)r->elapsed_ms / 1000);
    for (int i = 0; i < r->n_studies; i++) {
        buf_puts(b, i > 0 ? "," : "");
        put_study(b, &r->studies[i]);
    }
    buf_puts(b, "]}");
}

static void ending_free(struct ending *e)
{
    buf_free(&e->reason);
    buf_free(&e->words);
    buf_free(&e->line);
}

static void ending_init(struct ending *e, const struct outcome_conf *conf,
                        const struct executor_result *r)
{
    *e = (struct ending){.code = exit_code_of(conf, r)};
    if (trials_failed(r))
        failures_read(&e->failures, conf->cells, conf->n_cells, conf->started_us);
    put_reason(&e->reason, conf, r);
    buf_puts(&e->words, buf_str(&e->reason));
    buf_puts(&e->words, e->failures.same > 0 ? "; " : "");
    put_failures(&e->words, &e->failures);
    put_result(&e->line, conf, r, e);
}

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
        table_cellf(&table, "%" PRId64, failed(s));
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
    const char *study = r->studies[0].name;
    char url[512], storage[540] = "";
    if (strcmp(spec->study.storage, DEFAULT_STORAGE) != 0)
        (void)snprintf(storage, sizeof(storage), " --storage '%s'",
                       text_mask_url(spec->study.storage, url, sizeof(url)));
    if (f->same > 0)
        (void)printf("\nnext:\n  %s logs %" PRId64 " %s%s%s\n  %s trials %s --state fail%s\n",
                     program, f->number, f->study, has_stderr(spec, f) ? " --stderr" : "", storage,
                     program, f->study, storage);
    else if (r->reason == SW_PREEMPTED)
        (void)printf("\nnext: " GO_ON "\n");
    else if (r->n_studies > 1)
        (void)printf("\nnext:\n  %s status%s\n", program, storage);
    else if (e->code == EXIT_OK)
        (void)printf("\nnext:\n  %s best %s%s\n  %s trials %s%s\n", program, study, storage,
                     program, study, storage);
}

static const char *label(const struct executor_result *r)
{
    if (r->reason != SW_MET)
        return sw_reason_name(r->reason);
    return nothing_to_do(r) ? "nothing to do" : "proven";
}

static void say(const char *text)
{
    AUTO_FREE char *clean = strdup(text);
    (void)fputs(clean != NULL ? text_clean(clean) : "", stdout);
}

static void tell_people(const struct outcome_conf *conf, const struct executor_result *r,
                        const struct ending *e)
{
    char took[32];
    bool colour = cli_colour();
    bool fine = e->code == EXIT_OK || e->code == EXIT_NOTHING;
    if (r->n_studies > 1)
        show_studies(r);
    else if (r->studies[0].has_best)
        show_best(&conf->cells[0]);
    (void)printf("%s%s%s: ", colour ? (fine ? "\033[32m" : "\033[31m") : "", label(r),
                 colour ? "\033[0m" : "");
    say(buf_str(&e->reason));
    (void)printf(". %s", text_human_ms(r->elapsed_ms, took));
    if (r->failed > 0)
        (void)printf(", %" PRId64 " failed tr%s", r->failed, r->failed == 1 ? "y" : "ies");
    (void)printf(" (exit %d)\n", e->code);
    if (e->failures.same > 0) {
        AUTO(buf_free) struct buf why = BUF_INIT;
        put_failures(&why, &e->failures);
        say(buf_str(&why));
        (void)putchar('\n');
    }
    suggest_next(conf, r, e);
}

int outcome_tell(const struct outcome_conf *conf, const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    AUTO(ending_free) struct ending e;
    ending_init(&e, conf, r);
    if (!conf->json)
        tell_people(conf, r, &e);
    if (spec->report.xcom != NULL)
        write_whole(spec->report.xcom, buf_str(&e.line), e.line.len);
    if (spec->report.termination_log != NULL)
        write_in_place(spec->report.termination_log, buf_str(&e.words), e.words.len);
    if (conf->json || !isatty(STDOUT_FILENO))
        (void)printf("%s\n", buf_str(&e.line));
    return e.code;
}
