/* forkless run: reads the spec, runs the sweep, tells how it ended. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/dry_run.h"
#include "cli/earlier.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/progress.h"
#include "cli/stray.h"
#include "cli/table.h"
#include "executor/executor.h"
#include "executor/owner.h"
#include "storage/ftf.h"
#include "trials/base_env.h"

struct run_options {
    struct cli_sweep sweep;
    const char *shard, *run_id;
    bool json, dry_run, skip_if_done, quiet;
    int verbose;
};

static const char *const synopsis[] = {
    "run [OPTION …] SPEC [key=value …]",
    "run [OPTION …] name=float:LOW..HIGH[:log] … -- PROGRAM ARG …",
    NULL,
};

static const char examples[] =
    "  forkless run sweep.yaml                          run, or continue, to the spec's target\n"
    "  forkless run sweep.yaml budget.trials=20         the same with another value for a key\n"
    "  forkless run -n 50 -j 4 --metric loss lr=float:1e-5..1e-1:log layers=int:1..6 \\\n"
    "      act=choice:relu,tanh -- python train.py --lr='${lr}' --layers='${layers}'\n"
    "\n"
    "Where stderr is no terminal it gets events, JSON a line (-q: warnings alone); stdout gets "
    "the\n"
    "table, and as its last line the result as JSON (--json: that alone).\n"
    "A worker prints loss=0.25 on stdout, or speaks JSON lines on the descriptor FORKLESS_FD.\n"
    "Exit codes: 0 the promised rows are stored and were read again · 1 they are not · 2 bad spec\n"
    "or usage · 3 out of time · 4 the first trials all failed the same way · 5 stalled · 6 store\n"
    "down · 75 stopped, run again to continue · 99 nothing to do (--skip-if-done)\n";

static int parse(int argc, char **argv, struct run_options *o, struct cli_args *args)
{
    struct cli_option table[CLI_SWEEP_OPTIONS + 8];
    size_t n = cli_sweep_options(&o->sweep, table);
    table[n++] = (struct cli_option){.name = "shard",
                                     .arg = "I/N",
                                     .text = &o->shard,
                                     .help = "run the I-th of N parts of the matrix, I from 0 "
                                             "(I may be the word index: JOB_COMPLETION_INDEX)"};
    table[n++] =
        (struct cli_option){.name = "run-id",
                            .arg = "ID",
                            .text = &o->run_id,
                            .help = "name of this run in finetune_runs (default: the DAG run, "
                                    "or the spec's name)"};
    table[n++] = (struct cli_option){.name = "skip-if-done",
                                     .flag = &o->skip_if_done,
                                     .help = "exit 99 when the target was reached before"};
    table[n++] = (struct cli_option){.name = "dry-run",
                                     .flag = &o->dry_run,
                                     .help = "check the spec, show what would run, run nothing"};
    table[n++] =
        (struct cli_option){.name = "json",
                            .flag = &o->json,
                            .help = "print the result as one JSON line, nothing else, on stdout"};
    table[n++] = (struct cli_option){
        .letter = 'v', .name = "verbose", .count = &o->verbose, .help = "more events on stderr"};
    table[n++] = (struct cli_option){
        .letter = 'q', .name = "quiet", .flag = &o->quiet, .help = "warnings and errors only"};
    const struct cli_usage usage = {.command = "run",
                                    .summary = "Runs a sweep, or continues it, to its target.",
                                    .synopsis = synopsis,
                                    .options = table,
                                    .n_options = n,
                                    .examples = examples,
                                    .takes_command = true,
                                    .stray_command = stray_command};
    return cli_parse(&usage, argc, argv, args);
}

/* --- the spec ----------------------------------------------------------------------------------
 */

/* Which cells are ours: a shard is a run of neighbours, so that one pod has all variants of few
 * values of the first key. */
static int pick_cells(const char *shard, size_t n_cells, size_t *first, size_t *end)
{
    const char *job = getenv("JOB_COMPLETION_INDEX");
    char index[32];
    int64_t i, n;
    *first = 0;
    *end = n_cells;
    if (shard == NULL && (job == NULL || n_cells == 1))
        return CLI_GO_ON;
    if (shard == NULL) {
        if (!text_int(job, &i) || i < 0 || (size_t)i >= n_cells) {
            cli_error(
                "JOB_COMPLETION_INDEX is %s, but the matrix has %zu cells: use --shard index/N for "
                "another number of pods",
                job, n_cells);
            return EXIT_USAGE;
        }
        *first = (size_t)i;
        *end = (size_t)i + 1;
        return CLI_GO_ON;
    }
    const char *slash = strchr(shard, '/');
    (void)snprintf(index, sizeof(index), "%.*s", (int)(slash != NULL ? slash - shard : 0), shard);
    if (strcmp(index, "index") == 0)
        (void)snprintf(index, sizeof(index), "%s", job != NULL ? job : "");
    if (slash == NULL || !text_int(index, &i) || !text_int(slash + 1, &n) || n < 1 || i < 0 ||
        i >= n) {
        cli_error("--shard %s: expected I/N with 0 <= I < N%s", shard,
                  job == NULL && strncmp(shard, "index", 5) == 0
                      ? "; JOB_COMPLETION_INDEX is not set"
                      : "");
        return EXIT_USAGE;
    }
    *first = n_cells * (size_t)i / (size_t)n;
    *end = n_cells * ((size_t)i + 1) / (size_t)n;
    if (*first == *end) {
        cli_error("--shard %s: the matrix has only %zu cells, nothing is left for this part", shard,
                  n_cells);
        return EXIT_USAGE;
    }
    return CLI_GO_ON;
}

/* A run has one name over all its restarts and pods: what scheduled it, or the spec itself. */
static const char *run_id_of(const struct run_options *o, const struct spec *spec, char *out,
                             size_t n)
{
    static const char *const names[] = {"FORKLESS_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID"};
    if (o->run_id != NULL)
        return o->run_id;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *id = getenv(names[i]);
        if (id != NULL && id[0] != '\0')
            return id;
    }
    if (spec->n_cell == 0)
        return spec->study.name;
    const char *slash = strrchr(spec->file, '/');
    (void)snprintf(out, n, "%s", slash != NULL ? slash + 1 : spec->file);
    char *dot = strrchr(out, '.');
    if (dot != NULL && dot != out)
        *dot = '\0';
    return out;
}

/* Whether a setting's value may be, or hold, a password or a token. */
static bool may_be_secret(const char *key, size_t n)
{
    static const char *const names[] = {"env", "run", "run.env", "study", "study.storage"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i]) == n && memcmp(key, names[i], n) == 0)
            return true;
    }
    return strncmp(key, "env.", strlen("env.")) == 0 ||
           strncmp(key, "run.env.", strlen("run.env.")) == 0;
}

static void put_setting(struct buf *b, const char *word)
{
    AUTO(buf_free) struct buf shown = BUF_INIT;
    size_t n = strcspn(word, "=");
    if (word[n] == '=' && may_be_secret(word, n))
        buf_printf(&shown, "%.*s=***", (int)n, word);
    else
        buf_puts(&shown, word);
    b->failed = b->failed || shown.failed;
    json_put_string(b, buf_str(&shown));
}

/* What was asked for and who does it, as the run's row keeps it: no resolved variable and of what
 * may hold one only the key: so no secret. */
static char *config_of(const struct spec *cells, size_t n, const struct cli_args *args,
                       const struct store_config *env)
{
    struct buf b = BUF_INIT;
    char owner[256];
    owner_self(owner, sizeof(owner));
    buf_puts(&b, "{\"file\":");
    json_put_string(&b, cells[0].file);
    buf_puts(&b, ",\"owner\":");
    json_put_string(&b, owner);
    buf_puts(&b, ",\"settings\":[");
    for (size_t i = 0; i < args->words.n; i++) {
        buf_puts(&b, i > 0 ? "," : "");
        put_setting(&b, args->words.v[i]);
    }
    buf_puts(&b, "],\"studies\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&b, i > 0 ? "," : "");
        json_put_string(&b, cells[i].study.name);
    }
    buf_putc(&b, ']');
    if (env->base_env != NULL) /* what a roll-back of it goes back to */
        buf_printf(&b, ",\"ftf_config\":{\"version\":%" PRId64 ",\"base_env\":%s}", env->version,
                   env->base_env);
    buf_putc(&b, '}');
    return buf_steal(&b);
}

static int check_base_env(const char *text, struct err *err)
{
    AUTO_JSON json_t *env = json_read(text, strlen(text), err);
    int rc = env != NULL ? base_env_check_all(env, err) : -(int)err->code;
    return rc < 0 ? err_wrap(err, rc, "ftf_config") : 0;
}

/* The settings that the run starts from, if its spec says so. Before anybody has set them, they are
 * the first values. */
static int read_base_env(const struct spec *spec, struct store_config *out, struct err *err)
{
    AUTO_STORE struct store *s = NULL;
    if (spec->run.base_env == NULL)
        return 0;
    int rc = store_open(&s, spec->study.storage, NULL, err);
    if (rc == 0)
        rc = store_config_get(s, out, err);
    if (rc == 0)
        rc = check_base_env(out->base_env, err);
    if (rc != -ERR_NOTFOUND)
        return rc;
    out->base_env = strdup(STORE_CONFIG_FIRST);
    return out->base_env != NULL ? 0 : err_set(err, ERR_NOMEM, "ftf_config");
}

/* --- the run -------------------------------------------------------------------------------------
 */

/* The rows promised for the whole matrix, as far as they are for this part of it to bring. */
static int64_t rows_of_share(const struct spec *spec, size_t n, size_t n_all)
{
    return (spec->prove.rows * (int64_t)n + (int64_t)n_all - 1) / (int64_t)n_all;
}

/* Whether the store was locked for all the time that the sweep had. */
static bool is_over(const struct spec *spec, int64_t started_us)
{
    uint64_t wall_ms = spec->budget.wall_ms;
    return wall_ms > 0 && clock_utc_us() - started_us >= (int64_t)wall_ms * 1000;
}

/* What kept a sweep from starting (the store, a signal, what was asked for) as a result like
 * others: whoever reads that finds the reason there. */
static int not_begun(const struct outcome_conf *how, const struct err *err)
{
    bool over = err->code == ERR_BUSY && is_over(&how->cells[0], how->started_us);
    struct executor_result r = {.reason = over                       ? SW_TIME
                                          : err->code == ERR_STOPPED ? SW_PREEMPTED
                                                                     : SW_STORE,
                                .unbegun = true,
                                .proven_rows = -1,
                                .elapsed_ms = (uint64_t)(clock_utc_us() - how->started_us) / 1000,
                                .err = *err};
    r.studies = calloc(how->n_cells, sizeof(*r.studies));
    for (size_t i = 0; r.studies != NULL && i < how->n_cells; i++, r.n_studies++) {
        const struct spec *cell = &how->cells[i];
        r.studies[i].name = cell->study.name;
        r.studies[i].target = cell->budget.trials + cell->budget.complete;
        r.target += r.studies[i].target;
    }
    int code = outcome_tell(how, &r);
    executor_result_free(&r);
    return code;
}

/* A person at a terminal gets the progress line instead of events, unless asked for with -v. */
static bool for_person(const struct run_options *o)
{
    return isatty(STDERR_FILENO) && !o->quiet && o->verbose == 0;
}

static void set_up_log(const struct run_options *o)
{
    enum log_level least = o->verbose > 0 ? LOG_DEBUG : o->quiet ? LOG_WARNING : LOG_INFO;
    log_setup(for_person(o) ? -1 : STDERR_FILENO, least);
}

/* Something to know at the start, for people and logs; not with -q. */
__attribute__((format(printf, 2, 3))) static void tell(const struct executor_watcher *w,
                                                       const char *fmt, ...)
{
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_event(LOG_INFO, "notice", LOG_TEXT("text", text));
    if (w != NULL)
        w->notice(w->ctx, text);
}

/* What looks like a mistake in the spec. */
static void tell_notes(const struct executor_watcher *w, const struct spec_doc *doc)
{
    for (const char *line = spec_notes(doc); *line != '\0'; line += strcspn(line, "\n") + 1)
        tell(w, "note: %.*s", (int)strcspn(line, "\n"), line);
}

/* What these studies have from earlier runs; of one with a name that nobody gave it, the name. */
static void tell_studies(const struct executor_watcher *w, const struct spec *cells, size_t n)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    bool file = strcmp(cells[0].file, "command line") != 0;
    earlier_put(&b, cells, n);
    if (n == 1 && !cells[0].study.named)
        tell(w, "study '%s' is named after the %s: --study NAME names another", cells[0].study.name,
             file ? "spec file" : "program");
    if (b.len > 0)
        tell(w, "%s", buf_str(&b));
}

/* Who starts a sweep without a stdout wants to read nothing of it: its result is in the store. */
static void need_no_stdout(void)
{
    AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0 && (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
        (void)dup2(null, STDOUT_FILENO);
}

static int run_cells(const struct run_options *o, const struct spec_doc *doc,
                     const struct spec *cells, size_t n, const struct cli_args *args)
{
    struct progress progress;
    struct executor_result result;
    struct err err = {0};
    char id[256];
    AUTO_STORE_CONFIG struct store_config env = {0};
    const struct outcome_conf how = {.cells = cells,
                                     .n_cells = n,
                                     .run_id = run_id_of(o, &cells[0], id, sizeof(id)),
                                     .started_us = clock_utc_us(),
                                     .prove_rows = rows_of_share(&cells[0], n, spec_cells(doc)),
                                     .json = o->json,
                                     .skip_if_done = o->skip_if_done};
    if (!o->json)
        need_no_stdout();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away must not end what is told next */
    if (read_base_env(&cells[0], &env, &err) < 0)
        return not_begun(&how, &err);
    AUTO_FREE char *config = config_of(cells, n, args, &env);
    struct executor_conf conf = {.cells = cells,
                                 .n_cells = n,
                                 .config_json = config,
                                 .base_env = env.base_env,
                                 .prove_rows = how.prove_rows,
                                 .run_id = how.run_id};
    if (config == NULL) {
        cli_error("out of memory");
        return EXIT_UNMET;
    }
    progress_init(&progress, cells[0].study.metric);
    if (for_person(o))
        conf.watcher = &progress.watcher;
    set_up_log(o);
    tell_notes(conf.watcher, doc);
    if (!o->quiet)
        tell_studies(conf.watcher, cells, n);
    int rc = executor_run(&conf, &result, &err);
    progress_clear(&progress);
    if (rc < 0)
        return not_begun(&how, &err);
    int code = outcome_tell(&how, &result);
    executor_result_free(&result);
    return code;
}

static void free_cells(struct spec *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        spec_free(&cells[i]);
    free(cells);
}

static int run_doc(const struct run_options *o, const struct spec_doc *doc,
                   const struct cli_args *args)
{
    size_t first, end, n = 0;
    struct err err;
    int code = pick_cells(o->shard, spec_cells(doc), &first, &end);
    if (code != CLI_GO_ON)
        return code;
    struct spec *cells = calloc(end - first, sizeof(*cells));
    for (size_t i = first; cells != NULL && i < end; i++, n++) {
        if (spec_cell(doc, i, &cells[n], &err) < 0)
            break;
    }
    if (cells == NULL || n < end - first) {
        cli_error("%s", cells == NULL ? "out of memory" : err.msg);
        code = EXIT_USAGE;
    } else if (o->dry_run) {
        code = cli_check_start(doc, o->json);
        if (code == CLI_GO_ON)
            code = dry_run_show(doc, cells, n, o->json);
    } else {
        code = run_cells(o, doc, cells, n, args);
    }
    free_cells(cells, n);
    return code;
}

int run_main(int argc, char **argv)
{
    AUTO(cli_args_free) struct cli_args args = {0};
    struct run_options o = {0};
    struct spec_doc *doc = NULL;
    int code = parse(argc, argv, &o, &args);
    if (code == CLI_GO_ON && args.words.n == 0 && args.command.n == 0) {
        cli_error(
            "run: expected a spec file, or parameters and a command: see forkless run --help");
        code = EXIT_USAGE;
    }
    if (code == CLI_GO_ON)
        code = cli_load_spec(&doc, "run", &args, &o.sweep, o.json);
    if (code == CLI_GO_ON)
        code = run_doc(&o, doc, &args);
    spec_doc_destroy(doc);
    cli_words_free(&o.sweep.env);
    return code;
}
