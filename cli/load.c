#include "cli/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "trials/xgboost/config.h"
#include "trials/xgboost/params.h"

/* Whether a word is name=value and not a file: ./a=b is a file. */
static bool is_setting(const char *word)
{
    size_t n = strcspn(word, "=/");
    return word[n] == '=';
}

/* What the XGBoost worker would refuse later, said now. */
static int check_xgboost(const struct spec *s, struct err *err)
{
    json_t *root = json_read(s->run.config, strlen(s->run.config), err);
    if (root == NULL)
        return -ERR_INVALID;
    struct config config;
    int rc = config_read(&config, root, "run", err);
    if (rc < 0)
        return rc;
    config_finish(&config);
    for (size_t i = 0; rc == 0 && i < s->space.n; i++)
        rc = params_check_name(s->space.params[i].name, err);
    for (size_t i = 0; rc == 0 && i < s->n_fixed; i++)
        rc = params_check_name(s->fixed[i].name, err);
    return rc;
}

static int check_workers(const struct spec_doc *doc, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec_cells(doc); i++) {
        struct spec s;
        rc = spec_cell(doc, i, &s, err);
        if (rc < 0)
            break;
        if (s.run.runner == RUN_XGBOOST) {
            rc = check_xgboost(&s, err);
            if (rc < 0)
                (void)err_wrap(err, rc, "%s", s.file);
        }
        spec_free(&s);
    }
    return rc;
}

struct options {
    struct spec_option *v; /* owned */
    size_t n;
    struct pool *pool; /* of the paths of --env */
};

static void options_free(struct options *o)
{
    free(o->v);
    pool_destroy(o->pool);
}

static void add_option(struct options *o, const char *option, const char *path, const char *value)
{
    if (value != NULL)
        o->v[o->n++] = (struct spec_option){option, path, value};
}

/* A variable's name may not hold a dot, which would make a path of it. */
static int add_variable(struct options *o, const char *word)
{
    size_t n = strcspn(word, "=");
    if (n == 0 || word[n] == '\0' || memchr(word, '.', n) != NULL) {
        cli_error("--env: expected NAME=VALUE, found '%s'", word);
        return EXIT_USAGE;
    }
    add_option(o, "--env", pool_printf(o->pool, "run.env.%.*s", (int)n, word), word + n + 1);
    return CLI_GO_ON;
}

static int make_options(struct options *o, const struct cli_sweep *s)
{
    *o = (struct options){.v = calloc(s->env.n + 16, sizeof(*o->v)), .pool = pool_create()};
    if (o->v == NULL || o->pool == NULL) {
        cli_error("not enough memory");
        return EXIT_USAGE;
    }
    add_option(o, "--trials", "budget.trials", s->trials);
    add_option(o, "--jobs", "slots.jobs", s->jobs);
    add_option(o, "--study", "study.name", s->study);
    add_option(o, "--storage", "study.storage", s->storage);
    add_option(o, "--metric", "study.metric", s->metric);
    add_option(o, "--direction", "study.direction", s->direction);
    add_option(o, "--sampler", "sampler", s->sampler);
    add_option(o, "--pruner", "pruner", s->pruner);
    add_option(o, "--seed", "sampler.seed", s->seed);
    add_option(o, "--timeout", "budget.wall", s->timeout);
    add_option(o, "--retries", "retry.default", s->retries);
    add_option(o, "--stall", "watch.stall", s->stall);
    add_option(o, "--grace", "watch.grace", s->grace);
    int rc = CLI_GO_ON;
    for (size_t i = 0; rc == CLI_GO_ON && i < s->env.n; i++)
        rc = add_variable(o, s->env.v[i]);
    return rc;
}

static int load(struct spec_doc **out, const struct spec_source *src)
{
    AUTO(buf_free) struct buf problems = BUF_INIT;
    struct err err = {0};
    struct spec_doc *doc;
    int rc = spec_load(&doc, src, &problems, &err);
    if (rc == 0) {
        rc = check_workers(doc, &err);
        if (rc == 0) {
            *out = doc;
            return CLI_GO_ON;
        }
        spec_doc_destroy(doc);
    }
    if (problems.len == 0)
        cli_error("%s", err.msg);
    for (const char *line = buf_str(&problems); *line != '\0'; line += strcspn(line, "\n") + 1)
        cli_error("%.*s", (int)strcspn(line, "\n"), line);
    return EXIT_USAGE;
}

int cli_load_spec(struct spec_doc **out, const struct cli_args *args, const struct cli_sweep *sweep)
{
    AUTO(options_free) struct options options = {0};
    int rc = make_options(&options, sweep);
    if (rc != CLI_GO_ON)
        return rc;
    bool file = args->words.n > 0 && !is_setting(args->words.v[0]);
    return load(out, &(struct spec_source){
                         .path = file ? args->words.v[0] : NULL,
                         .settings = args->words.v + (file ? 1 : 0),
                         .n_settings = args->words.n - (file ? 1 : 0),
                         .options = options.v,
                         .n_options = options.n,
                         .command = args->command.v,
                         .n_command = args->command.n,
                     });
}
