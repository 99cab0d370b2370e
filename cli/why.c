/* forkless why: why a trial ended as it did, or where it stands. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/autopsy.h"
#include "cli/describe.h"
#include "cli/fallen.h"
#include "cli/finding.h"
#include "cli/reading.h"
#include "cli/waiting.h"
#include "executor/evidence/doc.h"
#include "executor/evidence/evidence.h"
#include "executor/owner.h"
#include "executor/proc.h"

#define STACKS_MS 10000u /* of looking, at most: libraries are large, machines busy */
#define SAMPLE_MS 300

static const char *const synopsis[] = {"why [OPTION …] TRIAL [STUDY]", NULL};

static const char examples[] =
    "  forkless why 17           why trial 17 failed, what to change, what happens next\n"
    "  forkless why 17 sweep-a   of that study\n"
    "  forkless why --json 17    for a program: one object\n"
    "\n"
    "Of a trial that runs on this machine it tells where the worker stands; nothing is changed, "
    "but\n"
    "a process that looks deadlocked is stopped for some milliseconds while its stacks are read.\n"
    "\n"
    "Exit code 0: it ended well, or it waits or runs and nothing speaks against it; 1: it failed,\n"
    "nobody runs it any more, or it looks deadlocked; 5: it hung (fork_deadlock, stalled), or it\n"
    "runs and is proven to be deadlocked.\n";

struct why {
    const struct reading *r;
    int64_t number, id;
    enum trial_state state;
    enum fail_class fail;
    struct autopsy autopsy;
    struct buf forks;            /* what the fork guard saw, as signs of causes */
    const struct forker *forker; /* which package it saw; NULL: none that is known */
    struct buf next;             /* what happens next */
    char *dir;                   /* owned; NULL: it was not run by forkless */
    const char *fix;             /* static; NULL: nothing to mend */
    json_t *doc;                 /* what is printed */
    json_t *tries;               /* borrowed from doc: itself, its earlier and later tries */
    double not_before;           /* UTC seconds; 0: at once */
    enum waiting waits;          /* of a WAITING trial */
    int code;
};

static void why_free(struct why *w)
{
    autopsy_free(&w->autopsy);
    buf_free(&w->forks);
    buf_free(&w->next);
    free(w->dir);
    json_decref(w->doc);
}

static const char *text_of(const struct why *w, const char *key)
{
    return doc_get(w->doc, key);
}

static json_t *attr_json(const struct trial_attr *attrs, size_t n, const char *key)
{
    const char *json = trial_attr_find(attrs, n, key);
    return json != NULL ? json_read(json, strlen(json), NULL) : NULL;
}

/* --- the trial and its other tries ------------------------------------------------------------ */

static void add_try(json_t *tries, const struct trial *t)
{
    AUTO(buf_free) struct buf fail = BUF_INIT;
    json_t *o = json_object();
    trial_attr_text(t->user_attrs, t->n_user_attrs, "forkless:class", &fail);
    doc_int(o, "number", t->number);
    doc_text(o, "state", trial_state_name(t->state));
    if (fail.len > 0)
        doc_text(o, "class", buf_str(&fail));
    (void)json_array_append_new(tries, o);
}

static int take_earlier(void *ctx, const struct trial *t)
{
    add_try(ctx, t);
    return 0;
}

/* Numbers of the tries before this one, the first one first; the caller's to free. NULL: none. */
static json_t *history_of(const struct trial *t)
{
    return attr_json(t->system_attrs, t->n_system_attrs, "retry_history");
}

static int take_later(void *ctx, const struct trial *t)
{
    struct why *w = ctx;
    size_t i;
    const json_t *number;
    AUTO_JSON json_t *history = history_of(t);
    json_array_foreach(history, i, number)
    {
        if (json_integer_value(number) != w->number || !json_is_integer(number))
            continue;
        AUTO_JSON json_t *due =
            attr_json(t->system_attrs, t->n_system_attrs, STORE_ATTR_NOT_BEFORE);
        w->not_before = json_number_value(due);
        add_try(w->tries, t);
        break;
    }
    return 0;
}

static void take_forks(struct why *w, json_t *forks)
{
    const json_t *last = json_object_get(forks, "last");
    if (json_integer_value(json_object_get(forks, "denied")) > 0)
        buf_puts(&w->forks, "fork refused\n");
    if (json_integer_value(json_object_get(forks, "going_on")) > 0)
        buf_puts(&w->forks, "forked with threads\n");
    if (strcmp(doc_get(last, "openmp"), "live") == 0)
        buf_puts(&w->forks, "OpenMP\n");
    if (strcmp(doc_get(last, "grpc"), "live") == 0)
        buf_puts(&w->forks, "gRPC\n");
    w->forker = autopsy_forker(json_object_get(forks, "from"));
    if (json_is_object(forks))
        (void)json_object_set(w->doc, "forks", forks);
}

struct taking {
    struct why *w;
    json_t *history;
};

static int take_trial(void *ctx, const struct trial *t)
{
    struct taking *taking = ctx;
    struct why *w = taking->w;
    AUTO(buf_free) struct buf fail = BUF_INIT;
    AUTO(buf_free) struct buf message = BUF_INIT;
    AUTO(buf_free) struct buf fallen = BUF_INIT;
    AUTO(buf_free) struct buf params = BUF_INIT;
    AUTO_JSON json_t *forks = attr_json(t->user_attrs, t->n_user_attrs, "forkless:forks");
    AUTO_JSON json_t *due = attr_json(t->system_attrs, t->n_system_attrs, STORE_ATTR_NOT_BEFORE);
    w->state = t->state;
    w->waits = waiting_kind(t);
    w->not_before = json_number_value(due);
    doc_int(w->doc, "trial", t->number);
    doc_text(w->doc, "state", trial_state_name(t->state));
    trial_attr_text(t->user_attrs, t->n_user_attrs, "forkless:class", &fail);
    trial_attr_text(t->user_attrs, t->n_user_attrs, "forkless:message", &message);
    if (!fail_class_from_name(buf_str(&fail), &w->fail))
        w->fail = FAIL_NONE;
    if (fail.len > 0)
        doc_text(w->doc, "class", buf_str(&fail));
    if (message.len > 0)
        doc_text(w->doc, "message", buf_str(&message));
    trial_params_text(t, &params);
    if (params.len > 0)
        doc_text(w->doc, "parameters", buf_str(&params));
    if (t->n_values == 1)
        (void)json_object_set_new(w->doc, "value", json_real(t->values[0])); /* infinite: none */
    if (t->start_us != 0)
        doc_int(w->doc, "ms", (int64_t)trial_duration_ms(t));
    take_forks(w, forks);
    fallen_put(&fallen, t);
    if (fallen.len > 0)
        doc_text(w->doc, "fallback", buf_str(&fallen));
    taking->history = history_of(t);
    return 0;
}

static int read_earlier(struct why *w, const json_t *history, struct err *err)
{
    size_t i;
    const json_t *number;
    int rc = 0;
    json_array_foreach(history, i, number)
    {
        int64_t id;
        if (store_trial_find(w->r->store, w->r->study, json_integer_value(number), &id, NULL) == 0)
            rc = store_trial_get(w->r->store, id, WANT_USER_ATTRS, take_earlier, w->tries, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_store(struct why *w, struct err *err)
{
    struct taking taking = {.w = w};
    int rc = store_trial_find(w->r->store, w->r->study, w->number, &w->id, err);
    if (rc == 0)
        rc = store_trial_get(w->r->store, w->id, WANT_PARAMS | WANT_USER_ATTRS | WANT_SYSTEM_ATTRS,
                             take_trial, &taking, err);
    AUTO_JSON json_t *history = taking.history;
    w->tries = json_array();
    (void)json_object_set_new(w->doc, "tries", w->tries);
    if (rc == 0)
        rc = read_earlier(w, history, err);
    if (rc == 0)
        rc = store_trial_get(w->r->store, w->id, WANT_USER_ATTRS, take_earlier, w->tries, err);
    const struct store_each_opts later = {.after_id = w->id,
                                          .want = WANT_USER_ATTRS | WANT_SYSTEM_ATTRS};
    if (rc == 0)
        rc = store_trials_each(w->r->store, w->r->study, &later, take_later, w, err);
    return rc;
}

/* Trials of Python programs have none. */
static void read_dir(struct why *w)
{
    AUTO_FREE char *json = NULL;
    if (store_study_attr_get(w->r->store, w->r->study, ATTR_USER, "forkless:dir", &json, NULL) < 0)
        return;
    AUTO_JSON json_t *text = json_read(json, strlen(json), NULL);
    if (!json_is_string(text) ||
        asprintf(&w->dir, "%s/%" PRId64, json_string_value(text), w->number) < 0)
        w->dir = NULL;
}

/* --- what became of it ------------------------------------------------------------------------ */

static void blame(struct why *w, enum fail_class fail, const char *const *texts, size_t n)
{
    const struct cause *c = cause_find(fail, texts, n);
    doc_text(w->doc, "cause", c->name);
    doc_text(w->doc, "reason", c->reason);
    w->fix = c->fix;
}

static bool is_hang(enum fail_class fail)
{
    return fail == FAIL_FORK_DEADLOCK || fail == FAIL_STALLED;
}

static void explain_failure(struct why *w)
{
    w->code = is_hang(w->fail) ? EXIT_STALLED : EXIT_UNMET;
    if (w->fail == FAIL_NONE) {
        doc_text(w->doc, "reason", "it failed, and whoever ran it did not say why");
        return;
    }
    const char *const texts[] = {buf_str(&w->autopsy.stands), text_of(w, "message"),
                                 buf_str(&w->forks), buf_str(&w->autopsy.log)};
    blame(w, w->fail, texts, ARRAY_LEN(texts));
}

static int64_t last_output_ms(const struct why *w)
{
    static const char *const names[] = {"stdout.log", "stderr.log"};
    int64_t newest = -1;
    for (size_t i = 0; w->dir != NULL && i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *path = NULL;
        struct stat st;
        if (asprintf(&path, "%s/%s", w->dir, names[i]) < 0)
            path = NULL;
        if (path == NULL || stat(path, &st) < 0 || st.st_size == 0)
            continue;
        int64_t ago = clock_utc_us() / 1000 -
                      ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
        if (newest < 0 || ago < newest)
            newest = ago > 0 ? ago : 0;
    }
    return newest;
}

/* What looks deadlocked is looked at as for the evidence of a hang. */
static void look_closer(struct why *w, pid_t pid)
{
    struct verdict v;
    const struct evidence_req req = {
        .root = pid, .dir = -1, .deadline_ms = clock_mono_ms() + STACKS_MS};
    AUTO_JSON json_t *doc = evidence_collect(&req, &v);
    autopsy_take(&w->autopsy, doc, w->forker);
}

static void look_at_worker(struct why *w, pid_t pid)
{
    const struct timespec pause = {.tv_nsec = SAMPLE_MS * 1000000L};
    struct verdict v;
    char text[200], ago[32];
    uint64_t before = proc_tree_cpu_ms(pid);
    evidence_verdict(pid, 0, clock_mono_ms() + STACKS_MS, &v);
    (void)nanosleep(&pause, NULL);
    bool burns = proc_tree_cpu_ms(pid) > before;
    int64_t silent = last_output_ms(w);
    json_t *live = json_object();
    (void)json_object_set_new(w->doc, "live", live);
    doc_int(live, "pid", pid);
    doc_text(live, "verdict", verdict_name(v.kind));
    if (v.kind != VERDICT_NONE)
        doc_text(live, "why", v.why);
    doc_flag(live, "uses_cpu", burns);
    if (silent >= 0)
        doc_int(live, "silent_ms", silent);
    if (v.kind == VERDICT_PROVEN) {
        look_closer(w, pid);
        const char *const texts[] = {buf_str(&w->autopsy.stands), v.why, buf_str(&w->forks)};
        w->code = EXIT_STALLED;
        blame(w, FAIL_FORK_DEADLOCK, texts, ARRAY_LEN(texts));
        buf_puts(&w->next, "its forkless ends it after watch.deadlock, and tries it again as "
                           "retry.fork_deadlock says; forkless dump shows its stacks");
        return;
    }
    if (v.kind == VERDICT_SUSPICIOUS)
        w->code = EXIT_UNMET;
    (void)snprintf(
        text, sizeof(text), "it runs as process %d, %s, %s%s%s%s", (int)pid,
        burns ? "uses CPU" : "uses no CPU",
        silent >= 0 ? "last output " : "has printed nothing yet",
        silent >= 0 ? text_human_ms((uint64_t)silent, ago) : "", silent >= 0 ? " ago" : "",
        v.look_closer ? "; forked children wait, which is not proven to be a deadlock" : "");
    doc_text(w->doc, "reason", text);
    buf_printf(&w->next, "forkless dump %" PRId64 " shows where it stands", w->number);
}

static int take_owner(void *ctx, const struct store_running *r)
{
    struct why *w = ctx;
    if (r->id != w->id || r->owner == NULL)
        return 0;
    if (owner_state(r->owner) == OWNER_DEAD) {
        char text[100];
        w->code = EXIT_UNMET;
        (void)snprintf(text, sizeof(text), "the forkless that ran it, pid %d, is dead",
                       owner_pid(r->owner));
        doc_text(w->doc, "reason", text);
        buf_puts(&w->next, "run the same command again: it marks the trial as lost and continues");
    } else if (owner_state(r->owner) == OWNER_ELSEWHERE) {
        doc_text(w->doc, "reason", "it runs on another machine or in another container: ask there");
    }
    return 0;
}

static int explain_running(struct why *w, struct err *err)
{
    char number[32];
    (void)snprintf(number, sizeof(number), "%" PRId64, w->number);
    struct finding f = {.number = number, .dir = w->dir};
    int rc = store_running_each(w->r->store, w->r->study, take_owner, w, err);
    if (rc < 0 || text_of(w, "reason")[0] != '\0')
        return rc;
    if (w->dir != NULL)
        finding_worker(&f);
    if (f.pid != 0)
        look_at_worker(w, f.pid);
    else
        doc_text(w->doc, "reason", "the store says that it runs; no worker of it is seen here");
    return 0;
}

static void put_due(struct buf *b, double not_before)
{
    char text[32];
    double left = not_before - (double)clock_utc_us() / 1e6;
    if (left > 0)
        buf_printf(b, ", due in %s", text_human_ms((uint64_t)(left * 1000), text));
}

/* Whose it is: the try before it stands before it in the list. */
static void explain_waiting(struct why *w)
{
    static const char *const reasons[] = {
        [WAITING_RETRY] = "it has not started: it is the next try of trial",
        [WAITING_ENQUEUED] = "it has not started: it was enqueued with values of its own",
        [WAITING_ADDED] = "it has not started: a program added it, with its parameters",
        [WAITING_GIVEN_BACK] = "it has not started: a run had taken it ahead of its turn, and gave "
                               "it back when it stopped",
    };
    const json_t *before = NULL;
    size_t i;
    json_t *t;
    json_array_foreach(w->tries, i, t)
    {
        if (json_integer_value(json_object_get(t, "number")) == w->number)
            break;
        before = t;
    }
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_puts(&b, reasons[w->waits]);
    if (w->waits == WAITING_RETRY && before == NULL)
        buf_puts(&b, " that is gone");
    else if (w->waits == WAITING_RETRY)
        buf_printf(&b, " %" JSON_INTEGER_FORMAT " (%s)",
                   json_integer_value(json_object_get(before, "number")),
                   doc_get(before, "class")[0] != '\0' ? doc_get(before, "class")
                                                       : doc_get(before, "state"));
    doc_text(w->doc, "reason", buf_str(&b));
}

/* Who starts what waits. */
static int put_starter(struct why *w, struct err *err)
{
    int pid = 0;
    int rc = waiting_runner(w->r->store, w->r->name, &pid, err);
    if (rc == 0 && pid != 0)
        buf_printf(&w->next,
                   "the forkless that runs this study, pid %d, starts it when a place is free",
                   pid);
    else if (rc == 0)
        buf_puts(&w->next,
                 "nobody runs this study here: run the same command again, which starts it before "
                 "any new trial, unless the study has its target");
    put_due(&w->next, w->not_before);
    return rc;
}

static int tell_next(struct why *w, struct err *err)
{
    const json_t *last = json_array_get(w->tries, json_array_size(w->tries) - 1);
    int64_t number = json_integer_value(json_object_get(last, "number"));
    const char *state = doc_get(last, "state");
    if (number == w->number && w->state == TRIAL_WAITING)
        return put_starter(w, err);
    if (number != w->number && strcmp(state, "WAITING") == 0) {
        buf_printf(&w->next, "trial %" PRId64 " is its next try, queued: ", number);
        return put_starter(w, err);
    }
    if (number != w->number) {
        buf_printf(&w->next, "trial %" PRId64 " tried it again: %s%s%s", number, state,
                   doc_get(last, "class")[0] != '\0' ? ", " : "", doc_get(last, "class"));
    } else if (w->state == TRIAL_FAIL && w->fail != FAIL_NONE) {
        buf_printf(&w->next, "no retry is queued: retry.%s allows no more (`retry: {%s: N}`)",
                   fail_class_name(w->fail), fail_class_name(w->fail));
    }
    return 0;
}

static int explain(struct why *w, struct err *err)
{
    int rc = 0;
    w->code = EXIT_OK;
    if (w->state == TRIAL_FAIL)
        explain_failure(w);
    else if (w->state == TRIAL_RUNNING)
        rc = explain_running(w, err);
    else if (w->state == TRIAL_WAITING)
        explain_waiting(w);
    else
        doc_text(w->doc, "reason",
                 w->state == TRIAL_COMPLETE ? "it completed"
                                            : "the pruner stopped it: others were better by then");
    if (rc == 0 && w->state != TRIAL_RUNNING)
        rc = tell_next(w, err);
    return rc;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void finish_doc(struct why *w)
{
    AUTO(buf_free) struct buf logs = BUF_INIT;
    const struct forker *forker = w->autopsy.forker != NULL ? w->autopsy.forker : w->forker;
    doc_text(w->doc, "study", w->r->name);
    if (w->fix != NULL)
        doc_text(w->doc, "fix", w->fix);
    if (forker != NULL) {
        doc_text(w->doc, "forks_in", forker->name);
        doc_text(w->doc, "fix_there", forker->fix);
    }
    if (w->next.len > 0)
        doc_text(w->doc, "next", buf_str(&w->next));
    if (w->autopsy.found != NULL)
        (void)json_object_set(w->doc, "evidence", w->autopsy.found);
    if (w->dir == NULL)
        return;
    char number[32];
    (void)snprintf(number, sizeof(number), "%" PRId64, w->number);
    const char *argv[] = {"forkless", "logs", number, w->r->name, "--storage", w->r->url};
    const struct spec_strings words = {.v = (char **)(uintptr_t)argv,
                                       .n = ARRAY_LEN(argv) - (w->r->storage == NULL ? 2 : 0)};
    describe_argv(&logs, &words);
    doc_text(w->doc, "logs", buf_str(&logs));
    doc_text(w->doc, "dir", w->dir);
}

static void line(const char *label, const char *text)
{
    if (text[0] != '\0')
        (void)printf("%-9s %s\n", label, text);
}

static void print_head(const struct why *w)
{
    char ms[32];
    const json_t *took = json_object_get(w->doc, "ms");
    (void)printf("trial %" PRId64 " of study %s: %s", w->number, text_of(w, "study"),
                 text_of(w, "state"));
    if (text_of(w, "class")[0] != '\0')
        (void)printf(", %s", text_of(w, "class"));
    if (took != NULL)
        (void)printf(", %s %s", w->state == TRIAL_RUNNING ? "for" : "after",
                     text_human_ms((uint64_t)json_integer_value(took), ms));
    (void)putchar('\n');
}

/* A deadlock's message is the verdict's. */
static void print_verdict(const json_t *evidence, const char *said)
{
    const char *why = doc_get(evidence, "why");
    bool is_new = why[0] != '\0' && strcmp(why, said) != 0;
    (void)printf("%-9s %s%s%s\n", "deadlock", doc_get(evidence, "verdict"), is_new ? ": " : "",
                 is_new ? why : "");
}

static void print_evidence(const json_t *evidence, const char *said)
{
    size_t i;
    const json_t *t;
    if (evidence == NULL)
        return;
    print_verdict(evidence, said);
    json_array_foreach(json_object_get(evidence, "standing"), i, t)
    {
        const char *stands = doc_get(t, "stands"), *waits = doc_get(t, "waits_for"),
                   *at = doc_get(t, "at");
        (void)printf("%-9s thread %" JSON_INTEGER_FORMAT " of process %" JSON_INTEGER_FORMAT
                     "%s%s%s%s%s%s\n",
                     i == 0 ? "stands" : "", json_integer_value(json_object_get(t, "tid")),
                     json_integer_value(json_object_get(t, "pid")), stands[0] != '\0' ? " " : "",
                     stands, waits[0] != '\0' ? ", waits for " : "", waits,
                     at[0] != '\0' ? ": " : "", at);
    }
    line("in", doc_get(evidence, "forked_by"));
}

static void print_forks(const json_t *forks)
{
    const json_t *last = json_object_get(forks, "last");
    char command[32];
    if (forks == NULL)
        return;
    (void)snprintf(command, sizeof(command), "%.30s", doc_get(last, "command"));
    (void)printf("%-9s %" JSON_INTEGER_FORMAT " with threads alive, %" JSON_INTEGER_FORMAT
                 " of the children went on without exec, %" JSON_INTEGER_FORMAT
                 " refused; the last: %s with %" JSON_INTEGER_FORMAT
                 " threads, gRPC %s, OpenMP %s\n",
                 "forks", json_integer_value(json_object_get(forks, "threaded")),
                 json_integer_value(json_object_get(forks, "going_on")),
                 json_integer_value(json_object_get(forks, "denied")), text_clean(command),
                 json_integer_value(json_object_get(last, "threads")), doc_get(last, "grpc"),
                 doc_get(last, "openmp"));
    line("forked", doc_get(json_object_get(forks, "from"), "at"));
}

static void print_tries(const json_t *tries)
{
    size_t i;
    const json_t *t;
    if (json_array_size(tries) < 2)
        return;
    (void)printf("%-9s %zu times:", "tried", json_array_size(tries));
    json_array_foreach(tries, i, t)(void)
        printf("%s trial %" JSON_INTEGER_FORMAT " %s%s%s", i > 0 ? "," : "",
               json_integer_value(json_object_get(t, "number")), doc_get(t, "state"),
               doc_get(t, "class")[0] != '\0' ? " " : "", doc_get(t, "class"));
    (void)putchar('\n');
}

static void print_text(const struct why *w)
{
    print_head(w);
    line("why", text_of(w, "reason"));
    line("said", text_of(w, "message"));
    line("with", text_of(w, "parameters"));
    line("fallback", text_of(w, "fallback"));
    if (w->autopsy.found == NULL)
        line("deadlock", doc_get(json_object_get(w->doc, "live"), "why"));
    print_evidence(w->autopsy.found, text_of(w, "message"));
    print_forks(json_object_get(w->doc, "forks"));
    line("fix", text_of(w, "fix"));
    if (text_of(w, "fix_there")[0] != '\0')
        (void)printf("%-9s %s: %s\n", "there", text_of(w, "forks_in"), text_of(w, "fix_there"));
    print_tries(w->tries);
    line("next", text_of(w, "next"));
    if (w->state != TRIAL_WAITING) /* it has printed nothing */
        line("logs", text_of(w, "logs"));
    if (doc_get(w->autopsy.found, "file")[0] != '\0')
        (void)printf("%-9s %s/evidence.txt\n", "evidence", text_of(w, "dir"));
}

static int tell(struct why *w, bool json)
{
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    w->doc = json_object();
    int rc = w->doc != NULL ? read_store(w, &err) : -ERR_NOMEM;
    if (rc == 0) {
        read_dir(w);
        if (w->dir != NULL && w->state != TRIAL_RUNNING)
            autopsy_read(&w->autopsy, w->dir, w->forker);
        rc = explain(w, &err);
    }
    if (rc < 0)
        return reading_failed(&err);
    finish_doc(w);
    doc_int(w->doc, "exit", w->code);
    if (json) {
        (void)json_dumpf(w->doc, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        print_text(w);
    }
    return w->code;
}

int why_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    AUTO(why_free) struct why w = {.r = &r};
    AUTO_CLI_ARGS struct cli_args args = {0};
    bool json = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {.name = "json", .help = "one JSON object", .flag = &json},
    };
    const struct cli_usage usage = {.command = "why",
                                    .summary = "Tells why a trial ended as it did, what to change "
                                               "and what happens next.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    int code = reading_begin(&r, &usage, argc, argv, READING_TRIAL_STUDY, &args);
    if (code != CLI_GO_ON)
        return code;
    if (!text_int(args.words.v[0], &w.number)) {
        cli_error("why: expected the number of a trial, found '%s'", args.words.v[0]);
        return EXIT_USAGE;
    }
    return tell(&w, json);
}
