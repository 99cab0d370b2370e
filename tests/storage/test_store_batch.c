/* Batches, locks, and what happens when a writer dies or the disk is full. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/storage/store_fixture.h"

Test(store_batch, commits_all_or_nothing)
{
    NOT_IN_MEMORY();
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    int64_t number = -1;
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, a, NULL, NULL, &number, &err));
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trials"), "0");
    store_rollback(s);
    store_rollback(s); /* none is fine */
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, a, NULL, NULL, &number, &err));
    cr_expect_eq(number, 0); /* what was rolled back is not counted */
    MUST(store_commit(s, true, &err));
    cr_expect_str_eq(rows(path, "SELECT number FROM trials"), "0");
    store_destroy(s);
}

static void expect_counts_as_of_a_new_handle(struct store *s, int64_t study, const char *path)
{
    int64_t known[TRIAL_STATES], stored[TRIAL_STATES];
    struct store *fresh = must_open(path);
    MUST(store_study_counts(s, study, known, &err));
    MUST(store_study_counts(fresh, study, stored, &err));
    for (int i = 0; i < TRIAL_STATES; i++)
        cr_expect_eq(known[i], stored[i], "%s: %lld, not %lld",
                     trial_state_name((enum trial_state)i), (long long)known[i],
                     (long long)stored[i]);
    store_destroy(fresh);
}

/* Creates a trial of the study by a batch that is then rolled back, with a parameter. */
static void roll_back_a_trial(struct store *s, int64_t study, const struct trial_param *x)
{
    const struct store_retry retry = {.max_retries = -1};
    int64_t id, number;
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, study, NULL, &id, NULL, &err));
    MUST(store_trial_params(s, id, x, 1, &err));
    MUST(store_trial_retry(s, id, &retry, NULL, &number, &err));
    cr_expect_eq(number, 4);
    store_rollback(s);
}

Test(store_batch, a_rollback_takes_back_what_was_created)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a"), id = 0;
    static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    static const struct dist integer = {.kind = DIST_INT, .low = 0, .high = 1, .step = 1};
    const struct trial_param x = {"x", &unit, 0.5}, other_x = {"x", &integer, 1};
    for (int i = 0; i < 3; i++)
        MUST(store_trial_create(s, a, NULL, &id, NULL, &err));
    for (int i = 0; i < 3; i++) {
        roll_back_a_trial(s, a, &x);
        expect_counts_as_of_a_new_handle(s, a, path);
    }
    MUST(store_trial_params(s, id, &other_x, 1, &err)); /* x was never a float */
    cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 3);
    store_destroy(s);
}

Test(store_batch, a_rollback_takes_back_what_was_claimed)
{
    ONLY_WHERE_CLAIMS_WAIT();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const struct trial waiting = {.state = TRIAL_WAITING};
    const struct store_retry retry = {.max_retries = -1};
    static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    const struct trial_param x = {"x", &unit, 0.5};
    int64_t ids[3];
    for (int i = 0; i < 3; i++)
        MUST(store_trial_create(s, a, i < 2 ? &waiting : NULL, &ids[i], NULL, &err));
    for (int i = 0; i < 3; i++) {
        MUST(store_begin(s, &err));
        cr_expect_eq(must_claim(s, a, -1, CLAIM_QUEUED).id, ids[0]);
        MUST(store_trial_params(s, ids[0], &x, 1, &err));
        MUST(store_trial_finish(s, ids[0], TRIAL_FAIL, NULL, 0, &err));
        MUST(store_trial_retry(s, ids[2], &retry, NULL, NULL, &err));
        cr_expect_eq(must_claim(s, a, -1, CLAIM_QUEUED).id, ids[1]);
        cr_expect_eq(must_claim(s, a, -1, CLAIM_QUEUED).number, 3); /* the clone */
        cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 4);
        store_rollback(s);
        expect_counts_as_of_a_new_handle(s, a, path);
    }
    MUST(store_begin(s, &err)); /* a study that is never stored */
    int64_t b = must_study(s, "b");
    (void)must_claim(s, b, -1, CLAIM_NEW);
    store_rollback(s);
    REFUSED(ERR_NOTFOUND, store_trial_create(s, b, NULL, NULL, NULL, &err));
    expect_counts_as_of_a_new_handle(s, a, path);
    store_destroy(s);
}

Test(store_batch, a_refusal_leaves_the_rest_to_commit)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    static const struct dist unit = {.kind = DIST_FLOAT, .low = 0, .high = 1};
    static const struct dist integer = {.kind = DIST_INT, .low = 0, .high = 1, .step = 1};
    const struct trial_param good = {"x", &unit, 0.5};
    const struct trial_param mixed[] = {{"y", &unit, 0.5}, {"x", &integer, 1}};
    MUST(store_begin(s, &err));
    struct store_claim c = must_claim(s, a, -1, CLAIM_NEW);
    MUST(store_trial_params(s, c.id, &good, 1, &err));
    REFUSED(ERR_CONFLICT, store_trial_params(s, c.id, mixed, 2, &err));
    REFUSED(ERR_NOTFOUND, store_trial_finish(s, 99, TRIAL_FAIL, NULL, 0, &err));
    REFUSED(ERR_INVALID, store_trial_finish(s, c.id, TRIAL_COMPLETE, NULL, 0, &err));
    MUST(store_trial_finish(s, c.id, TRIAL_FAIL, NULL, 0, &err));
    REFUSED(ERR_FINISHED, store_trial_finish(s, c.id, TRIAL_FAIL, NULL, 0, &err));
    MUST(store_commit(s, false, &err));
    cr_expect_str_eq(rows(path, "SELECT state, (SELECT max(param_name) FROM trial_params),"
                                " (SELECT count(*) FROM trial_params) FROM trials"),
                     "FAIL|x|1"); /* nothing of the refused pair */
    store_destroy(s);
}

Test(store_batch, waits_for_another_writer)
{
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    const char *const args[] = {path, "hold", "300", NULL};
    FILE *out;
    char line[16];
    int pid = helper(&out, args);
    cr_assert_not_null(fgets(line, sizeof(line), out)); /* it has the lock */
    (void)must_claim(s, a, -1, CLAIM_NEW);
    cr_expect_eq(helper_wait(pid), 0);
    (void)fclose(out);
    store_destroy(s);
}

Test(store_batch, gives_up_after_busy_ms)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *holder = must_open(path);
    int64_t a = must_study(holder, "a");
    const struct store_opts opts = {.busy_ms = 50};
    struct store *s = NULL;
    MUST(store_open(&s, path, &opts, &err));
    MUST(store_begin(holder, &err));
    REFUSED(ERR_BUSY, store_trial_create(s, a, NULL, NULL, NULL, &err));
    REFUSED(ERR_BUSY, store_begin(s, &err));
    store_rollback(s);
    store_rollback(holder);
    MUST(store_trial_create(s, a, NULL, NULL, NULL, &err));
    store_destroy(s);
    store_destroy(holder);
}

Test(store_batch, a_writer_killed_half_way_leaves_nothing)
{
    ONLY_WITH_TRANSACTIONS();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    (void)must_claim(s, a, -1, CLAIM_NEW);
    const char *const args[] = {path, "half", "a", NULL};
    FILE *out;
    char line[16];
    int pid = helper(&out, args);
    cr_assert_not_null(fgets(line, sizeof(line), out));
    cr_assert_eq(kill(pid, SIGKILL), 0);
    int status = helper_wait(pid);
    cr_expect_eq(WIFSIGNALED(status), 1);
    (void)fclose(out);
    cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, 1);
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trials"), "2");
    if (store_is_a_file())
        cr_expect_str_eq(rows(path, "PRAGMA integrity_check"), "ok");
    store_destroy(s);
}

Test(store_batch, a_full_disk_is_unavailable_and_the_batch_can_be_repeated)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    struct rlimit before, tight = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int rc = 0;
    for (int i = 0; i < 200 && rc == 0; i++) {
        MUST(store_begin(s, &err));
        for (int k = 0; k < 100 && rc == 0; k++)
            rc = store_trial_create(s, a, NULL, NULL, NULL, &err);
        int committed = store_commit(s, true, &err);
        rc = rc == 0 ? committed : rc;
        cr_assert(rc == 0 || committed < 0, "a batch with a failed write was committed");
    }
    cr_assert_eq(rc, -ERR_UNAVAILABLE, "%d %s", rc, err.msg);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(s, a, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING] % 100, 0); /* whole batches only */
    cr_expect_eq(must_claim(s, a, -1, CLAIM_NEW).number, counts[TRIAL_RUNNING]);
    cr_expect_str_eq(rows(path, "PRAGMA integrity_check"), "ok");
    store_destroy(s);
}

Test(store_batch, works_in_memory_without_a_log)
{
    struct store *s = must_open(":memory:");
    int64_t a = must_study(s, "a");
    MUST(store_begin(s, &err));
    (void)must_claim(s, a, -1, CLAIM_NEW);
    MUST(store_commit(s, true, &err));
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(s, a, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    store_destroy(s);
}

/* Stands before libc's: the next sync of a log fails, but only once, as Linux would do it. */
static bool fail_next_sync;
static int database_syncs;

int fdatasync(int fd)
{
    char link[32], path[128] = "";
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof(path) - 1);
    bool log = strstr(path, "-wal") != NULL;
    database_syncs += !log;
    if (log && fail_next_sync) {
        fail_next_sync = false;
        errno = EIO;
        return -1;
    }
    return 0;
}

Test(store_batch, a_failed_sync_is_remembered_until_all_is_written_anew)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    int64_t a = must_study(s, "a");
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, a, NULL, NULL, NULL, &err));
    MUST(store_commit(s, false, &err));
    fail_next_sync = true;
    REFUSED(ERR_UNAVAILABLE, store_sync(s, &err));
    REFUSED(ERR_UNAVAILABLE, store_sync(s, &err)); /* the disk would say yes now */
    int before = database_syncs;
    MUST(store_begin(s, &err));
    MUST(store_commit(s, true, &err));
    cr_expect_gt(database_syncs, before);
    MUST(store_sync(s, &err));
    store_destroy(s);
}

Test(store_batch, a_sync_that_fails_in_a_checkpoint_is_not_forgotten)
{
    ONLY_FOR_FILES();
    struct store *s = must_open(fresh_path());
    int64_t a = must_study(s, "a");
    char text[4000];
    (void)memset(text, '7', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    const struct trial_attr attr = {"k", text};
    fail_next_sync = true;
    MUST(store_begin(s, &err));
    for (int i = 0; i < 1200; i++) {
        int64_t id;
        MUST(store_trial_create(s, a, NULL, &id, NULL, &err));
        MUST(store_trial_attrs(s, id, ATTR_USER, &attr, 1, &err));
    }
    MUST(store_commit(s, false, &err)); /* the log is long enough now */
    cr_assert(!fail_next_sync);
    REFUSED(ERR_UNAVAILABLE, store_sync(s, &err));
    MUST(store_study_attr_set(s, a, ATTR_USER, "k", "1", &err));
    MUST(store_sync(s, &err));
    store_destroy(s);
}

/* The batch stands, so nobody may be told that nothing of it does. */
Test(store_batch, a_reader_in_the_way_of_writing_anew_leaves_it_open_whether_the_batch_is_stored)
{
    ONLY_FOR_FILES();
    const struct store_opts opts = {.busy_ms = 100};
    const char *path = fresh_path();
    struct store *s = NULL;
    sqlite3 *reader = NULL;
    MUST(store_open(&s, path, &opts, &err));
    int64_t a = must_study(s, "a");
    cr_assert_eq(sqlite3_open(path, &reader), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM trials", NULL, NULL, NULL),
                 SQLITE_OK);
    fail_next_sync = true;
    REFUSED(ERR_UNAVAILABLE, store_sync(s, &err));
    MUST(store_begin(s, &err));
    MUST(store_trial_create(s, a, NULL, NULL, NULL, &err));
    REFUSED(ERR_UNAVAILABLE, store_commit(s, true, &err));
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM trials"), "1");
    cr_assert_eq(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(reader);
    MUST(store_begin(s, &err));
    MUST(store_commit(s, true, &err));
    store_destroy(s);
}
