#include "cli/smoke.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"
#include "executor/executor.h"

#define SMOKE_PATH 1024

struct seen {
    enum trial_state state;
    enum fail_class fail;
    double value;
    char message[240];
};

static void on_trial_end(void *ctx, const struct executor_study *study, int64_t number,
                         enum trial_state state, enum fail_class fail, const char *message,
                         double value)
{
    struct seen *seen = ctx;
    (void)study;
    (void)number;
    *seen = (struct seen){.state = state, .fail = fail, .value = value};
    if (message != NULL)
        (void)snprintf(seen->message, sizeof(seen->message), "%s", message);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* One trial, no second try, nothing promised beyond it. */
static void shrink(struct spec *s, const char *dir, const char *storage)
{
    s->study.storage = storage;
    s->run.dir = dir;
    s->run.trials_per_worker = 1;
    s->budget.trials = 1;
    s->budget.complete = 0;
    s->budget.attempts = 1;
    s->slots.jobs = 1;
    s->flap = 0;
    s->prove.rows = 0;
    s->prove.trials = 1;
    for (int i = 0; i < FAIL_CLASSES; i++)
        s->retry[i].times = 0;
}

static void tell(const struct spec *s, struct seen *seen, uint64_t ms)
{
    char number[TEXT_DOUBLE_MAX], took[32];
    if (seen->state == TRIAL_FAIL)
        (void)printf("smoke: the trial failed (%s): %s\n", fail_class_name(seen->fail),
                     text_clean(seen->message));
    else
        (void)printf("smoke: one trial ran in %s: %s=%s\n", text_human_ms(ms, took),
                     s->study.metric, text_from_double(seen->value, number));
}

/* Makes a directory of its own in $TMPDIR or /tmp; in the working directory where that cannot be
 * written, as in a container with a read-only root. */
static bool make_dir(char dir[static SMOKE_PATH])
{
    static const char name[] = "forkless-smoke-XXXXXX";
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(dir, SMOKE_PATH, "%s/%s", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", name);
    if (n < SMOKE_PATH && mkdtemp(dir) != NULL)
        return true;
    (void)snprintf(dir, SMOKE_PATH, "%s", name);
    return mkdtemp(dir) != NULL;
}

int smoke_run(struct spec *s)
{
    char dir[SMOKE_PATH], storage[SMOKE_PATH + 16];
    struct seen seen = {.state = TRIAL_FAIL, .message = "it never ran"};
    const struct executor_watcher watcher = {.ctx = &seen, .trial_end = on_trial_end};
    const struct executor_conf conf = {
        .cells = s, .n_cells = 1, .run_id = "smoke", .config_json = "{}", .watcher = &watcher};
    struct executor_result result;
    struct err err = {0};
    if (!make_dir(dir)) {
        cli_error("no temporary directory: %s", strerror(errno));
        return EXIT_USAGE;
    }
    (void)snprintf(storage, sizeof(storage), "%s/smoke.db", dir);
    shrink(s, dir, storage);
    log_setup(-1, LOG_INFO);
    int rc = executor_run(&conf, &result, &err);
    if (rc < 0) {
        cli_error("%s", err.msg);
        (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        return EXIT_USAGE;
    }
    tell(s, &seen, result.elapsed_ms);
    executor_result_free(&result);
    if (seen.state == TRIAL_FAIL) {
        (void)printf("       its output is in %s/%s/0\n", dir, s->study.name);
        return EXIT_UNMET;
    }
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return EXIT_OK;
}
