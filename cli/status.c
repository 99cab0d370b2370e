/* forkless status: the studies of a store, what runs, the runs' results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/owner_words.h"
#include "cli/ranking.h"
#include "cli/spooled.h"
#include "cli/table.h"
#include "cli/waiting.h"
#include "executor/attrs.h"
#include "executor/owner.h"

static const char *const synopsis[] = {"status [OPTION …] [STUDY]", NULL};

static const char examples[] =
    "  forkless status                 every study: how far it is, its best value, what runs\n"
    "  forkless status lr-sweep        one of them\n"
    "  forkless status --json          for a program: one object with studies and runs\n"
    "\n"
    "INTERRUPTED are trials that failed by no fault of theirs (preempted, lost): they are made up "
    "for,\n"
    "and FAIL counts the others; \"fail\" in the JSON counts both, as Optuna does.\n"
    "BEAT is the time since the trial's last heartbeat; a trial without one is run by a program\n"
    "that sends none. BY is the forkless that runs it: alive or dead on this machine, or "
    "elsewhere.\n"
    "While the store refuses (a full disk, a lock), what runs leave waits on disk beside them: it "
    "is\n"
    "listed last.\n";

/* What is printed, collected while the store is read. */
struct report {
    struct store *store;
    const char *only; /* the name of a study; NULL = all */
    struct table studies, running, runs;
    struct buf json_studies, json_runs;
    struct spooled spooled;
    struct buf waiting; /* a line for each study with trials that wait */
    size_t n_running, n_runs;
    int dead_pid; /* of a forkless that died: in the middle of a trial, or with the newest run */
    /* of the study at hand */
    struct buf json_running;
    const char *study_name;
};

/* Studies by name with what status_study needs after the listing has ended. */
struct study_list {
    struct study_info *v; /* owned, with name and directions[0] */
    enum direction *directions;
    size_t n;
};

static void study_list_free(struct study_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free((char *)l->v[i].name);
    free(l->v);
    free(l->directions);
}

static int keep_study(void *ctx, const struct study_info *info)
{
    struct study_list *l = ctx;
    struct study_info *v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (v == NULL)
        return -ERR_NOMEM;
    l->v = v;
    enum direction *directions = realloc(l->directions, (l->n + 1) * sizeof(*directions));
    if (directions == NULL)
        return -ERR_NOMEM;
    l->directions = directions;
    directions[l->n] = info->directions[0];
    v[l->n] = *info;
    v[l->n].directions = NULL; /* not ours to keep */
    v[l->n].name = strdup(info->name);
    return v[l->n].name == NULL ? -ERR_NOMEM : (l->n++, 0);
}

static int put_running(void *ctx, const struct store_running *r)
{
    struct report *report = ctx;
    char time[32], beat[32];
    int64_t ms = r->start_us != 0 ? (clock_utc_us() - r->start_us) / 1000 : -1;
    buf_printf(&report->json_running,
               "%s{\"number\":%lld,\"seconds\":", report->json_running.len > 0 ? "," : "",
               (long long)r->number);
    if (ms >= 0)
        buf_printf(&report->json_running, "%.3f", (double)ms / 1000);
    else
        buf_puts(&report->json_running, "null");
    buf_puts(&report->json_running, ",\"heartbeat_age\":");
    if (r->heartbeat_age >= 0)
        buf_printf(&report->json_running, "%.3f", r->heartbeat_age);
    else
        buf_puts(&report->json_running, "null");
    buf_puts(&report->json_running, ",\"owner\":");
    json_put_text(&report->json_running, r->owner);
    owner_put_state(&report->json_running, r->owner);
    buf_putc(&report->json_running, '}');

    table_cell(&report->running, report->study_name);
    table_cellf(&report->running, "%lld", (long long)r->number);
    table_cell(&report->running, ms >= 0 ? text_human_ms((uint64_t)ms, time) : "-");
    table_cell(&report->running, r->heartbeat_age >= 0
                                     ? text_human_ms((uint64_t)(r->heartbeat_age * 1000), beat)
                                     : "-");
    owner_cell(&report->running, r->owner);
    if (owner_is_dead(r->owner))
        report->dead_pid = owner_pid(r->owner);
    report->n_running++;
    return 0;
}

/* Failed by no fault of theirs: the run was stopped, or its process died. */
static int count_interrupted(void *ctx, const struct trial *t)
{
    AUTO(buf_free) struct buf fail = BUF_INIT;
    trial_attr_text(t->user_attrs, t->n_user_attrs, ATTR_CLASS, &fail);
    *(int64_t *)ctx +=
        strcmp(buf_str(&fail), "preempted") == 0 || strcmp(buf_str(&fail), "lost") == 0;
    return 0;
}

static int count_waiting(void *ctx, const struct trial *t)
{
    ((int64_t *)ctx)[waiting_kind(t)]++;
    return 0;
}

/* What is known of a study beyond its counts. */
struct extras {
    const struct ranked *best;      /* NULL: none */
    int64_t interrupted;            /* of the failed trials */
    int64_t waiting[WAITING_KINDS]; /* of the waiting trials */
};

static void put_study_row(struct report *report, const struct study_info *info,
                          enum direction direction, const struct extras *x)
{
    const struct ranked *best = x->best;
    char text[32];
    int64_t ago = (clock_utc_us() - info->last_complete_us) / 1000;
    table_cell(&report->studies, info->name);
    table_cell(&report->studies, info->n_directions > 1            ? "several"
                                 : direction == DIRECTION_MAXIMIZE ? "maximize"
                                                                   : "minimize");
    for (int s = 0; s < TRIAL_STATES; s++) {
        int64_t others = s == TRIAL_FAIL ? x->interrupted : 0;
        table_cellf(&report->studies, "%lld", (long long)(info->counts[s] - others));
        if (s == TRIAL_FAIL)
            table_cellf(&report->studies, "%lld", (long long)x->interrupted);
    }
    if (best != NULL)
        table_cellf(&report->studies, "%.6g (#%lld)", best->value, (long long)best->number);
    else
        table_cell(&report->studies, "-");
    if (info->last_complete_us != 0)
        table_cellf(&report->studies, "%s ago", text_human_ms(ago > 0 ? (uint64_t)ago : 0, text));
    else
        table_cell(&report->studies, "-");
}

static void put_study_json(struct report *report, const struct study_info *info,
                           enum direction direction, const struct extras *x)
{
    const struct ranked *best = x->best;
    struct buf *b = &report->json_studies;
    buf_printf(b, "%s{\"name\":", b->len > 0 ? "," : "");
    json_put_string(b, info->name);
    buf_printf(b, ",\"objectives\":%zu,\"direction\":\"%s\"", info->n_directions,
               direction == DIRECTION_MAXIMIZE ? "maximize" : "minimize");
    for (int s = 0; s < TRIAL_STATES; s++) {
        static const char *const keys[] = {"running", "complete", "pruned", "fail", "waiting"};
        buf_printf(b, ",\"%s\":%lld", keys[s], (long long)info->counts[s]);
    }
    buf_printf(b, ",\"interrupted\":%lld,\"waiting_trials\":{", (long long)x->interrupted);
    for (int k = 0; k < WAITING_KINDS; k++) {
        static const char *const keys[] = {"retries", "enqueued", "added", "given_back"};
        buf_printf(b, "%s\"%s\":%lld", k > 0 ? "," : "", keys[k], (long long)x->waiting[k]);
    }
    buf_puts(b, "},\"best\":");
    if (best != NULL) {
        buf_printf(b, "{\"number\":%lld,\"value\":", (long long)best->number);
        json_put_value(b, best->value);
        buf_putc(b, '}');
    } else {
        buf_puts(b, "null");
    }
    buf_printf(b, ",\"running_trials\":[%s]}", buf_str(&report->json_running));
}

/* "s: 3 trials wait (2 next tries of failed ones, 1 enqueued): …" */
static int put_waiting(struct report *report, const struct study_info *info, const struct extras *x,
                       struct err *err)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    int64_t n = info->counts[TRIAL_WAITING];
    const char *comma = "", *them = n == 1 ? "it" : "them";
    int pid = 0;
    int rc = waiting_runner(report->store, info->name, &pid, err);
    buf_printf(&b, "%s: %lld trial%s (", info->name, (long long)n, n == 1 ? " waits" : "s wait");
    for (int k = 0; k < WAITING_KINDS; k++) {
        if (x->waiting[k] == 0)
            continue;
        buf_printf(&b, "%s%lld %s", comma, (long long)x->waiting[k],
                   waiting_noun((enum waiting)k, x->waiting[k] == 1));
        comma = ", ";
    }
    if (pid != 0)
        buf_printf(&b, "): pid %d starts %s when a place is free", pid, them);
    else
        buf_printf(&b, "): the same command, run again, starts %s first", them);
    if (b.len > 0)
        buf_printf(&report->waiting, "%s\n", text_clean(b.data));
    return rc;
}

/* A study of Python programs alone has no run directory, and no spool. */
static void look_at_spools(struct report *report, int64_t study)
{
    AUTO_FREE char *json = NULL;
    if (store_study_attr_get(report->store, study, ATTR_USER, ATTR_DIR, &json, NULL) < 0)
        return;
    AUTO_JSON json_t *text = json_read(json, strlen(json), NULL);
    AUTO_FREE char *dir = json_is_string(text) ? strdup(json_string_value(text)) : NULL;
    char *slash = dir != NULL ? strrchr(dir, '/') : NULL;
    if (slash == NULL)
        return;
    *slash = '\0'; /* the study's own is below the run directory */
    spooled_look(&report->spooled, dir);
}

static int put_study(struct report *report, const struct study_info *info, enum direction direction,
                     struct err *err)
{
    const struct reading r = {.store = report->store, .study = info->id, .direction = direction};
    const struct store_each_opts failed = {.states = STORE_STATE_BIT(TRIAL_FAIL),
                                           .want = WANT_USER_ATTRS};
    const struct store_each_opts waiting = {.states = STORE_STATE_BIT(TRIAL_WAITING),
                                            .want = WANT_PARAMS | WANT_SYSTEM_ATTRS};
    struct extras x = {0};
    struct ranked best;
    size_t found = 0;
    int rc = 0;
    report->study_name = info->name;
    buf_clear(&report->json_running);
    if (info->n_directions == 1)
        rc = ranking(&r, &best, 1, &found, err);
    if (rc == 0 && info->counts[TRIAL_RUNNING] > 0)
        rc = store_running_each(report->store, info->id, put_running, report, err);
    if (rc == 0 && info->counts[TRIAL_FAIL] > 0)
        rc = store_trials_each(report->store, info->id, &failed, count_interrupted, &x.interrupted,
                               err);
    if (rc == 0 && info->counts[TRIAL_WAITING] > 0)
        rc = store_trials_each(report->store, info->id, &waiting, count_waiting, x.waiting, err);
    if (rc == 0 && info->counts[TRIAL_WAITING] > 0)
        rc = put_waiting(report, info, &x, err);
    if (rc < 0)
        return rc;
    x.best = found > 0 ? &best : NULL;
    put_study_row(report, info, direction, &x);
    put_study_json(report, info, direction, &x);
    look_at_spools(report, info->id);
    return 0;
}

/* Runs, kept until their rows can be counted. */
struct run_list {
    struct kept_run {
        char *id, *status;
        char *owner; /* NULL: unknown, or the run has ended */
        int64_t started_us, ended_us;
    } * v; /* owned */
    size_t n;
};

static void run_list_free(struct run_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].id);
        free(l->v[i].status);
        free(l->v[i].owner);
    }
    free(l->v);
}

/* The row may be another program's. */
static char *owner_of(const struct store_run *run)
{
    const char *text = run->config != NULL ? run->config : "";
    AUTO_JSON json_t *config = json_read(text, strlen(text), NULL);
    const char *owner = json_string_value(json_object_get(config, "owner"));
    return run->ended_us == 0 && owner != NULL ? strdup(owner) : NULL;
}

static int keep_run(void *ctx, const struct store_run *run)
{
    struct run_list *l = ctx;
    struct kept_run *v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (v == NULL)
        return -ERR_NOMEM;
    l->v = v;
    v[l->n] = (struct kept_run){.id = strdup(run->run_id),
                                .status = strdup(run->status),
                                .owner = owner_of(run),
                                .started_us = run->started_us,
                                .ended_us = run->ended_us};
    l->n++;
    return v[l->n - 1].id == NULL || v[l->n - 1].status == NULL ? -ERR_NOMEM : 0;
}

static int put_run(struct report *report, const struct kept_run *run, struct err *err)
{
    char text[32];
    int64_t rows = 0;
    int64_t end = run->ended_us != 0 ? run->ended_us : clock_utc_us();
    int64_t ms = end > run->started_us ? (end - run->started_us) / 1000 : 0;
    int rc = store_results_count(report->store, run->id, report->only, NULL, &rows, err);
    if (rc < 0)
        return rc;
    table_cell(&report->runs, run->id);
    if (owner_is_dead(run->owner))
        table_cellf(&report->runs, "dead, pid %d", owner_pid(run->owner));
    else
        table_cell(&report->runs, run->status);
    table_cellf(&report->runs, "%lld", (long long)rows);
    table_cell(&report->runs, text_human_ms((uint64_t)ms, text));
    buf_printf(&report->json_runs, "%s{\"run_id\":", report->json_runs.len > 0 ? "," : "");
    json_put_string(&report->json_runs, run->id);
    buf_puts(&report->json_runs, ",\"status\":");
    json_put_string(&report->json_runs, run->status);
    owner_put_state(&report->json_runs, run->owner);
    buf_printf(&report->json_runs, ",\"rows\":%lld,\"seconds\":%.3f}", (long long)rows,
               (double)ms / 1000);
    report->n_runs++;
    return 0;
}

static int collect(struct report *report, struct err *err)
{
    AUTO(study_list_free) struct study_list studies = {0};
    AUTO(run_list_free) struct run_list runs = {0};
    int rc = store_studies_each(report->store, keep_study, &studies, err);
    for (size_t i = 0; i < studies.n && rc == 0; i++) {
        if (report->only == NULL || strcmp(report->only, studies.v[i].name) == 0)
            rc = put_study(report, &studies.v[i], studies.directions[i], err);
    }
    if (rc == 0)
        rc = store_runs_each(report->store, keep_run, &runs, err);
    for (size_t i = 0; i < runs.n && rc == 0; i++)
        rc = put_run(report, &runs.v[i], err);
    if (rc == 0 && runs.n > 0 && owner_is_dead(runs.v[runs.n - 1].owner))
        report->dead_pid = owner_pid(runs.v[runs.n - 1].owner);
    return rc;
}

static void print(const struct report *report, bool json, const char *url)
{
    if (json) {
        AUTO(buf_free) struct buf storage = BUF_INIT;
        json_put_string(&storage, url);
        (void)printf("{\"storage\":%s,\"studies\":[%s],\"runs\":[%s],\"spools\":[%s]}\n",
                     buf_str(&storage), buf_str(&report->json_studies), buf_str(&report->json_runs),
                     buf_str(&report->spooled.json));
        return;
    }
    table_print(&report->studies);
    if (report->n_running > 0) {
        (void)putchar('\n');
        table_print(&report->running);
    }
    if (report->n_runs > 0) {
        (void)putchar('\n');
        table_print(&report->runs);
    }
    if (report->waiting.len > 0)
        (void)printf("\n%s", buf_str(&report->waiting));
    spooled_print(&report->spooled);
    if (report->dead_pid != 0)
        (void)printf(
            "\nThe forkless with pid %d is dead: run the same command again to continue.\n",
            report->dead_pid);
}

static void report_free(struct report *report)
{
    spooled_free(&report->spooled);
    buf_free(&report->waiting);
    table_free(&report->studies);
    table_free(&report->running);
    table_free(&report->runs);
    buf_free(&report->json_studies);
    buf_free(&report->json_runs);
    buf_free(&report->json_running);
}

/* The store cannot be read, so it does not say where its runs were: the usual place is known. */
static void tell_spools_alone(struct spooled *s)
{
    spooled_look(s, "forkless-runs");
    spooled_print(s);
}

int status_main(int argc, char **argv)
{
    AUTO_READING struct reading r = {0};
    bool json = false;
    const struct cli_option options[] = {
        READING_STORAGE(&r),
        {.name = "json", .help = "one JSON object", .flag = &json},
    };
    const struct cli_usage usage = {.command = "status",
                                    .summary = "Shows the studies of a store and what is running.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    AUTO(report_free) struct report report = {0};
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    spooled_init(&report.spooled);
    int code = reading_begin(&r, &usage, argc, argv, READING_ALL, &args);
    if (code == EXIT_STORE && !json)
        tell_spools_alone(&report.spooled);
    if (code != CLI_GO_ON)
        return code;
    report.store = r.store;
    report.only = r.name;
    table_init(&report.studies, (const char *const[]){"STUDY", "DIRECTION", ">RUNNING", ">COMPLETE",
                                                      ">PRUNED", ">FAIL", ">INTERRUPTED",
                                                      ">WAITING", ">BEST", ">LAST END", NULL});
    table_init(&report.running,
               (const char *const[]){"RUNNING IN", ">TRIAL", ">TIME", ">BEAT", "BY", NULL});
    table_init(&report.runs, (const char *const[]){"RUN", "STATUS", ">ROWS", ">TIME", NULL});
    int rc = collect(&report, &err);
    if (rc < 0)
        return reading_failed(&err);
    print(&report, json, r.url);
    return EXIT_OK;
}
