/* What a victim says of itself, and what it needs before it can run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "integration/reproducers/run.h"

enum { DESCRIBE_MS = 60000, PREPARE_MS = 3600000 };

void repro_plan_free(struct repro_plan *plan)
{
    for (size_t i = 0; i < plan->n_cases; i++) {
        free(plan->cases[i].name);
        free(plan->cases[i].about);
    }
    free(plan->cases);
    free(plan->summary);
    free(plan->prepare);
    *plan = (struct repro_plan){0};
}

static bool copy_text(char **out, json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static bool read_case(struct repro_case *out, json_t *j)
{
    const char *expect = json_string_value(json_object_get(j, "expect"));
    out->hangs = expect != NULL && strcmp(expect, "hang") == 0;
    return copy_text(&out->name, j, "name") && copy_text(&out->about, j, "about") &&
           out->name != NULL && out->about != NULL && expect != NULL;
}

static int read_plan(struct repro_plan *out, const struct reproducer *r, const struct buf *said,
                     struct err *err)
{
    AUTO_JSON json_t *j = json_read(buf_str(said), said->len, err);
    if (j == NULL)
        return err_wrap(err, -ERR_INVALID, "%s: what it says of itself", r->program);
    json_t *cases = json_object_get(j, "cases");
    size_t n = json_array_size(cases);
    struct repro_plan plan = {.cases = calloc(n + 1, sizeof(*plan.cases))};
    bool good = plan.cases != NULL && copy_text(&plan.summary, j, "summary") &&
                copy_text(&plan.prepare, j, "prepare") && plan.summary != NULL;
    for (size_t i = 0; good && i < n; i++)
        good = read_case(&plan.cases[plan.n_cases++], json_array_get(cases, i));
    if (!good) {
        repro_plan_free(&plan);
        return err_set(err, ERR_INVALID, "%s: not what forkless repro expects a victim to say",
                       r->program);
    }
    *out = plan;
    return 0;
}

/* Runs it to its end; with an error when that is not exit 0. */
static int ask(struct running *w, const struct reproducer *r, uint64_t limit_ms, struct err *err)
{
    int rc = run_watch(w, limit_ms, err);
    run_end(w);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(err, ERR_UNAVAILABLE, "%s did not answer in %" PRIu64 " s", r->program,
                       limit_ms / 1000);
    if (WIFEXITED(w->status) && WEXITSTATUS(w->status) == 0)
        return 0;
    const char *said = buf_str(&w->log);
    return err_set(err, ERR_UNAVAILABLE, "%s failed: %s", r->program,
                   *said != '\0' ? said : "it does not say why");
}

int repro_describe(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
                   struct repro_plan *out, struct err *err)
{
    AUTO(run_free) struct running w;
    int rc = run_start(&w, s, r, arm, "describe", NULL, err);
    rc = rc < 0 ? rc : ask(&w, r, DESCRIBE_MS, err);
    return rc < 0 ? rc : read_plan(out, r, &w.out, err);
}

int repro_prepare(struct repro_session *s, const struct reproducer *r, const struct repro_arm *arm,
                  struct err *err)
{
    AUTO(run_free) struct running w;
    int rc = run_start(&w, s, r, arm, "prepare", NULL, err);
    w.echo = true;
    return rc < 0 ? rc : ask(&w, r, PREPARE_MS, err);
}
