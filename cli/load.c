#include "cli/load.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "cli/reading.h"
#include "cli/stray.h"
#include "executor/spawn.h"
#include "trials/xgboost/config.h"

/* Options that are short for a key of the spec. */
static const struct {
    char letter;
    const char *name, *arg, *path, *help;
} keys[] = {
    {0, "study", "NAME", "study.name",
     "study to run or continue (default: named after the spec file, or the program)"},
    {0, "storage", "URL", "study.storage",
     "where it is kept (default: the spec's, $FORKLESS_STORAGE, $OPTUNA_STORAGE, ./forkless.db)"},
    {0, "metric", "NAME", "study.metric", "what NAME=value lines on stdout call the objective"},
    {0, "direction", "minimize|maximize", "study.direction", "which way is better"},
    {'n', "trials", "N", "budget.trials",
     "finished trials to have in the end, pruned ones included"},
    {0, "wall", "TIME", "budget.wall", "time limit of the sweep: 90s, 30m, 2h"},
    {'j', "jobs", "N", "slots.jobs", "workers at a time (default: what the CPU quota allows)"},
    {0, "memory", "SIZE", "slots.memory", "memory limit of a worker (default 8GiB)"},
    {0, "timeout", "TIME", "watch.trial", "hard time limit of one trial"},
    {0, "stall", "TIME", "watch.stall", "no progress for so long is a hang (default 5m)"},
    {0, "grace", "TIME", "watch.grace", "from SIGTERM to SIGKILL (default 10s)"},
    {0, "retries", "N", "retry.default",
     "further tries of a failed trial, for classes not named in the spec"},
    {0, "sampler", "auto|tpe|random", "sampler", "how parameters are chosen (default auto)"},
    {0, "pruner", "none|median|asha", "pruner", "which trials end early (default none)"},
    {0, "seed", "N", "sampler.seed", "seed of the study (without: it draws one)"},
    {0, "dir", "DIR", "run.dir", "run directory (default forkless-runs)"},
};

static_assert(ARRAY_LEN(keys) == CLI_SWEEP_KEYS, "one text for each");

size_t cli_sweep_options(struct cli_sweep *s, struct cli_option *out)
{
    size_t n = 0;
    for (; n < ARRAY_LEN(keys); n++)
        out[n] = (struct cli_option){.letter = keys[n].letter,
                                     .name = keys[n].name,
                                     .arg = keys[n].arg,
                                     .help = keys[n].help,
                                     .text = &s->text[n]};
    out[n++] = (struct cli_option){.name = "env",
                                   .arg = "NAME=VALUE",
                                   .list = &s->env,
                                   .help = "addition to the workers' environment; may be repeated"};
    return n;
}

/* Relative to where the workers run. */
static int check_table(const struct spec *s, const struct table_conf *table, struct err *err)
{
    AUTO(buf_free) struct buf path = BUF_INIT;
    if (s->run.cwd != NULL && table->path[0] != '/')
        buf_printf(&path, "%s/", s->run.cwd);
    buf_puts(&path, table->path);
    return path.failed ? err_set(err, ERR_NOMEM, "%s", table->path)
                       : table_check(table, buf_str(&path), err);
}

/* What the XGBoost worker would refuse later, said now. */
static int check_xgboost(const struct spec *s, bool with_data, struct err *err)
{
    json_t *root = json_read(s->run.config, strlen(s->run.config), err);
    if (root == NULL)
        return -ERR_INVALID;
    struct config config;
    int rc = config_read(&config, root, "run", err);
    if (rc < 0)
        return rc;
    if (with_data)
        rc = check_table(s, &config.table, err);
    config_finish(&config);
    return rc < 0 ? err_wrap(err, rc, "run") : 0;
}

/* How much must be there for workers to start; each level has what the ones before it have. */
enum depth { SETTINGS, DATA, PROGRAM };

/* One that is another for each trial is looked for then. */
static int check_program(const struct spec *s, struct err *err)
{
    AUTO_FREE char *path = NULL;
    const char *program = s->run.runner == RUN_COMMAND ? spec_program(s) : NULL;
    return program != NULL ? spawn_resolve(&path, program, s->run.cwd, err) : 0;
}

static int check_worker(const struct spec *s, enum depth depth, struct err *err)
{
    int rc = 0;
    if (depth >= DATA && s->run.cwd != NULL)
        rc = spawn_check_cwd(s->run.cwd, err);
    if (rc == 0 && s->run.runner == RUN_XGBOOST)
        rc = check_xgboost(s, depth >= DATA, err);
    if (rc == 0 && depth >= PROGRAM)
        rc = check_program(s, err);
    return rc < 0 ? err_wrap(err, rc, "%s", s->file) : 0;
}

static int check_workers(const struct spec_doc *doc, enum depth depth, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec_cells(doc); i++) {
        struct spec s;
        rc = spec_cell(doc, i, &s, err);
        if (rc < 0)
            break;
        rc = check_worker(&s, depth, err);
        spec_free(&s);
    }
    return rc;
}

/* Takes ":NUMBER" off the end of the place. */
static bool take_number(const char *place, size_t *n, unsigned *out)
{
    size_t at = *n;
    while (at > 0 && place[at - 1] >= '0' && place[at - 1] <= '9')
        at--;
    if (at == 0 || at == *n || place[at - 1] != ':' || *n - at > 9)
        return false;
    *out = (unsigned)strtoul(place + at, NULL, 10);
    *n = at - 1;
    return true;
}

/* A line "sweep.yaml:12:9: what is wrong"; without a place in a file, line and column are null. */
static void put_problem(struct buf *b, const char *text, size_t n)
{
    unsigned line = 0, column = 0;
    const char *colon = memmem(text, n, ": ", 2);
    size_t n_file = colon != NULL ? (size_t)(colon - text) : 0, n_place = n_file;
    const char *message = colon != NULL ? colon + 2 : text;
    bool placed = take_number(text, &n_place, &column) && take_number(text, &n_place, &line);
    if (placed)
        n_file = n_place;
    buf_puts(b, "{\"file\":");
    json_put_string_n(b, text, n_file);
    if (placed)
        buf_printf(b, ",\"line\":%u,\"column\":%u", line, column);
    else
        buf_puts(b, ",\"line\":null,\"column\":null");
    buf_puts(b, ",\"message\":");
    json_put_string_n(b, message, n - (size_t)(message - text));
    buf_putc(b, '}');
}

/* Tells people, and with `json` programs too, what is wrong: a line each. */
static int wrong(const char *problems, bool json)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, "{\"problems\":[");
    for (const char *line = problems; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        cli_error("%.*s", (int)n, line);
        buf_puts(&b, line != problems ? "," : "");
        put_problem(&b, line, n);
        line += n + (line[n] != '\0');
    }
    buf_puts(&b, "]}");
    if (json)
        (void)puts(buf_str(&b));
    return EXIT_USAGE;
}

int cli_check_data(const struct spec_doc *doc, bool json)
{
    struct err err;
    return check_workers(doc, DATA, &err) == 0 ? CLI_GO_ON : wrong(err.msg, json);
}

int cli_check_start(const struct spec_doc *doc, bool json)
{
    struct err err;
    return check_workers(doc, PROGRAM, &err) == 0 ? CLI_GO_ON : wrong(err.msg, json);
}

struct options {
    struct spec_option *v; /* owned */
    size_t n;
    struct pool *pool; /* of their texts */
};

static void options_free(struct options *o)
{
    free(o->v);
    pool_destroy(o->pool);
}

/* A variable's name may not hold a dot, which would make a path of it. */
static int add_variable(struct options *o, const char *word)
{
    size_t n = strcspn(word, "=");
    if (n == 0 || word[n] == '\0' || memchr(word, '.', n) != NULL) {
        cli_error("--env: expected NAME=VALUE, found '%s'", word);
        return EXIT_USAGE;
    }
    o->v[o->n++] = (struct spec_option){"--env", pool_printf(o->pool, "run.env.%.*s", (int)n, word),
                                        word + n + 1};
    return CLI_GO_ON;
}

static int make_options(struct options *o, const struct cli_sweep *s)
{
    *o = (struct options){.v = calloc(ARRAY_LEN(keys) + s->env.n, sizeof(*o->v)),
                          .pool = pool_create()};
    for (size_t i = 0; o->v != NULL && o->pool != NULL && i < ARRAY_LEN(keys); i++) {
        if (s->text[i] != NULL)
            o->v[o->n++] = (struct spec_option){pool_printf(o->pool, "--%s", keys[i].name),
                                                keys[i].path, s->text[i]};
    }
    if (o->v == NULL || o->pool == NULL || pool_failed(o->pool)) {
        cli_error("not enough memory");
        return EXIT_USAGE;
    }
    int rc = CLI_GO_ON;
    for (size_t i = 0; rc == CLI_GO_ON && i < s->env.n; i++)
        rc = add_variable(o, s->env.v[i]);
    return rc;
}

static int load(struct spec_doc **out, const struct spec_source *src, bool json)
{
    AUTO(buf_free) struct buf problems = BUF_INIT;
    struct err err = {0};
    struct spec_doc *doc;
    int rc = spec_load(&doc, src, &problems, &err);
    if (rc == 0) {
        rc = check_workers(doc, SETTINGS, &err);
        if (rc == 0) {
            *out = doc;
            return CLI_GO_ON;
        }
        spec_doc_destroy(doc);
    }
    return wrong(problems.len > 0 ? buf_str(&problems) : err.msg, json);
}

/* One mistake, however many words the command has. */
static int refuse_stray(const char *command, const char *word, bool json)
{
    char problem[300];
    (void)snprintf(problem, sizeof(problem), "command line: " CLI_FORGOTTEN_DASHES, word, command,
                   word);
    return wrong(problem, json);
}

int cli_load_spec(struct spec_doc **out, const char *command, const struct cli_args *args,
                  const struct cli_sweep *sweep, bool json)
{
    AUTO(options_free) struct options options = {0};
    int rc = make_options(&options, sweep);
    if (rc != CLI_GO_ON)
        return rc;
    size_t stray = args->command.n == 0 ? stray_command(&args->words) : args->words.n;
    if (stray < args->words.n)
        return refuse_stray(command, args->words.v[stray], json);
    bool file = args->words.n > 0 && !stray_is_setting(args->words.v[0]);
    return load(out,
                &(struct spec_source){
                    .path = file ? args->words.v[0] : NULL,
                    .settings = args->words.v + (file ? 1 : 0),
                    .n_settings = args->words.n - (file ? 1 : 0),
                    .options = options.v,
                    .n_options = options.n,
                    .command = args->command.v,
                    .n_command = args->command.n,
                    .storage = cli_default_storage(),
                },
                json);
}
