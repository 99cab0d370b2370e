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
#include "cli/options.h"
#include "cli/ranking.h"
#include "cli/table.h"

enum { SHOWN_TRIALS = 5 };

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

/* One sentence. */
static void put_reason(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    switch (r->reason) {
    case SW_MET:
        buf_printf(b, "%" PRId64 " trials are stored and were read again", r->proven_trials);
        if (r->proven_rows >= 0)
            buf_printf(b, ", with %" PRId64 " rows in %s", r->proven_rows, spec->prove.table);
        break;
    case SW_UNPROVEN:
        if (r->err.code != ERR_NONE)
            buf_printf(b, "the rows could not be read again: %s", r->err.msg);
        else
            buf_printf(b,
                       "promised %" PRId64 " trials and %" PRId64 " rows in %s, found %" PRId64
                       " and %" PRId64,
                       r->target, conf->prove_rows, spec->prove.table, r->proven_trials,
                       r->proven_rows >= 0 ? r->proven_rows : 0);
        break;
    case SW_UNMET:
        buf_printf(b, "the attempts are spent: %" PRId64 " of %" PRId64 " trials", r->done,
                   r->target);
        break;
    case SW_STALLED:
        buf_printf(b, "trials hang and their retries are spent: %" PRId64 " of %" PRId64 " trials",
                   r->done, r->target);
        break;
    case SW_TIME:
        buf_printf(b, "out of time with %" PRId64 " of %" PRId64 " trials; run again to continue",
                   r->done, r->target);
        break;
    case SW_HALTED:
        buf_printf(b, "the first %u trials all failed with class %s: stopped", spec->flap,
                   fail_class_name(r->flap_class));
        break;
    case SW_STORE:
        buf_printf(b, "%s%s", r->err.code == ERR_CONFLICT ? "" : "the store is lost: ", r->err.msg);
        break;
    case SW_PREEMPTED:
        buf_printf(b, "stopped with %" PRId64 " of %" PRId64 " trials; run again to continue",
                   r->done, r->target);
        break;
    case SW_RUNNING:
        break;
    }
}

static void put_study(struct buf *b, const struct executor_study *s)
{
    buf_puts(b, "{\"name\":");
    json_put_string(b, s->name);
    buf_printf(b, ",\"complete\":%" PRId64 ",\"pruned\":%" PRId64 ",\"failed\":%" PRId64,
               s->counts.complete, s->counts.pruned, s->counts.failed);
    if (s->has_best) {
        buf_printf(b, ",\"best\":{\"number\":%" PRId64 ",\"value\":", s->best_number);
        json_put_double(b, s->best_value);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void put_result(struct buf *b, const struct outcome_conf *conf,
                       const struct executor_result *r, int code, const char *reason)
{
    buf_puts(b, "{\"run_id\":");
    json_put_string(b, conf->run_id);
    buf_printf(b, ",\"exit\":%d,\"reason\":\"%s\",\"message\":", code, sw_reason_name(r->reason));
    json_put_string(b, reason);
    buf_printf(b, ",\"proven\":%s,\"done\":%" PRId64 ",\"target\":%" PRId64 ",\"failed\":%" PRId64,
               r->reason == SW_MET ? "true" : "false", r->done, r->target, r->failed);
    if (r->proven_rows >= 0)
        buf_printf(b, ",\"rows\":%" PRId64, r->proven_rows);
    buf_printf(b, ",\"seconds\":%.3f,\"studies\":[", (double)r->elapsed_ms / 1000);
    for (int i = 0; i < r->n_studies; i++) {
        buf_puts(b, i > 0 ? "," : "");
        put_study(b, &r->studies[i]);
    }
    buf_puts(b, "]}");
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
    if (reading_open(&r, spec->study.storage) != CLI_GO_ON ||
        reading_pick(&r, spec->study.name) != CLI_GO_ON)
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
        table_cellf(&table, "%" PRId64, s->counts.failed);
        if (s->has_best)
            table_cellf(&table, "%.6g (#%" PRId64 ")", s->best_value, s->best_number);
        else
            table_cell(&table, "-");
    }
    table_print(&table);
    (void)putchar('\n');
}

/* Commands that go on from here, as they can be pasted: the program is named as the user did. */
static void suggest_next(const struct outcome_conf *conf, const struct executor_result *r, int code)
{
    const struct spec *spec = &conf->cells[0];
    const char *program = program_invocation_name;
    const char *study = r->studies[0].name;
    char url[512], storage[540] = "";
    if (strcmp(spec->study.storage, DEFAULT_STORAGE) != 0)
        (void)snprintf(storage, sizeof(storage), " --storage '%s'",
                       text_mask_url(spec->study.storage, url, sizeof(url)));
    if (r->n_studies > 1) {
        (void)printf("\nnext:\n  %s status%s\n", program, storage);
    } else if (code == EXIT_OK) {
        (void)printf("\nnext:\n  %s best %s%s\n", program, study, storage);
        (void)printf("  %s trials %s%s\n", program, study, storage);
    } else if (r->failed > 0) {
        (void)printf("\nnext:\n  %s trials --state fail %s%s\n", program, study, storage);
    }
}

static void tell_people(const struct outcome_conf *conf, const struct executor_result *r, int code,
                        const char *reason)
{
    AUTO_FREE char *text = strdup(reason);
    char took[32];
    bool colour = cli_colour();
    bool fine = code == EXIT_OK || code == EXIT_NOTHING;
    if (r->n_studies > 1)
        show_studies(r);
    else if (r->studies[0].has_best)
        show_best(&conf->cells[0]);
    (void)printf("%s%s%s: %s. %s", colour ? (fine ? "\033[32m" : "\033[31m") : "",
                 r->reason == SW_MET ? "proven" : sw_reason_name(r->reason),
                 colour ? "\033[0m" : "", text != NULL ? text_clean(text) : "",
                 text_human_ms(r->elapsed_ms, took));
    if (r->failed > 0)
        (void)printf(", %" PRId64 " failed tries", r->failed);
    (void)printf(" (exit %d)\n", code);
    suggest_next(conf, r, code);
}

int outcome_tell(const struct outcome_conf *conf, const struct executor_result *r)
{
    const struct spec *spec = &conf->cells[0];
    struct buf reason = BUF_INIT, line = BUF_INIT;
    int code = exit_code_of(conf, r);
    put_reason(&reason, conf, r);
    put_result(&line, conf, r, code, buf_str(&reason));
    if (!conf->json)
        tell_people(conf, r, code, buf_str(&reason));
    if (spec->report.xcom != NULL)
        write_whole(spec->report.xcom, buf_str(&line), line.len);
    if (spec->report.termination_log != NULL)
        write_in_place(spec->report.termination_log, buf_str(&reason), reason.len);
    if (conf->json || !isatty(STDOUT_FILENO))
        (void)printf("%s\n", buf_str(&line));
    buf_free(&reason);
    buf_free(&line);
    return code;
}
