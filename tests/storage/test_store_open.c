/* Opening: urls, new and old schemas, read-only, files that are no database. */
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/storage/store_fixture.h"

static int try_open(const char *url, bool read_only)
{
    /* a server on a busy machine takes its time to answer */
    const struct store_opts opts = {.read_only = read_only,
                                    .busy_ms = store_is_a_file() ? 200 : 20000};
    struct store *s = NULL;
    int rc = store_open(&s, url, &opts, &err);
    store_destroy(s);
    return rc;
}

Test(store_open, urls_name_files_as_in_sqlalchemy)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    char url[128];
    (void)snprintf(url, sizeof(url), "sqlite:///%s?timeout=3",
                   path); /* an absolute path: four slashes */
    MUST(try_open(url, false));
    cr_expect_eq(access(path, F_OK), 0);
    cr_assert_eq(chdir("/tmp"), 0);
    (void)snprintf(url, sizeof(url), "sqlite:///%s", path + strlen("/tmp/"));
    MUST(try_open(url, true));
    MUST(try_open(path, true));
    MUST(try_open(":memory:", false));
    MUST(try_open("sqlite://", false));
}

Test(store_open, wrong_urls_say_what_is_wrong)
{
    REFUSED(ERR_INVALID, try_open("sqlite:///a.db?cache=shared", false));
    cr_expect_not_null(strstr(err.msg, "cache=shared"));
    REFUSED(ERR_INVALID, try_open("sqlite://file.db", false));
    REFUSED(ERR_INVALID, try_open("mysql://me:secret@host/db", false));
    cr_expect_null(strstr(err.msg, "secret"));
    REFUSED(ERR_INVALID, try_open("/tmp", false));
    REFUSED(ERR_INVALID, try_open("/tmp/no/such/directory/s.db", false));
}

Test(store_open, schema_is_optunas)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    store_destroy(must_open(path));
    cr_expect_str_eq(rows(path, "SELECT * FROM version_info"), "1|12|5.0.0");
    cr_expect_str_eq(rows(path, "SELECT * FROM alembic_version"), "v3.2.0.a");
    cr_expect_str_eq(rows(path, "SELECT count(*) FROM sqlite_master WHERE type='table'"), "13");
    cr_expect_str_eq(rows(path, "PRAGMA journal_mode"), "wal");
    /* column names, types and NOT NULL of one table as SQLAlchemy makes them */
    cr_expect_str_eq(
        rows(path, "SELECT name, type, \"notnull\" FROM pragma_table_info('trial_params')"),
        "param_id|INTEGER|1\ntrial_id|INTEGER|0\nparam_name|VARCHAR(512)|0\n"
        "param_value|FLOAT|0\ndistribution_json|TEXT|0");
}

Test(store_open, read_only_creates_nothing_and_refuses_writes)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    REFUSED(ERR_NOTFOUND, try_open(path, true));
    cr_expect_neq(access(path, F_OK), 0);
    struct store *writer = must_open(path);
    int64_t study = must_study(writer, "a");
    const struct store_opts opts = {.read_only = true};
    struct store *reader = NULL;
    MUST(store_open(&reader, path, &opts, &err));
    MUST(store_trial_create(writer, study, NULL, NULL, NULL, &err));
    int64_t counts[TRIAL_STATES];
    MUST(store_study_counts(reader, study, counts, &err));
    cr_expect_eq(counts[TRIAL_RUNNING], 1);
    REFUSED(ERR_UNSUPPORTED, store_trial_create(reader, study, NULL, NULL, NULL, &err));
    REFUSED(ERR_UNSUPPORTED, store_begin(reader, &err));
    store_destroy(reader);
    store_destroy(writer);
}

Test(store_open, reads_while_another_holds_the_write_lock)
{
    NOT_IN_MEMORY();
    const char *path = fresh_path();
    struct store *writer = must_open(path);
    (void)must_study(writer, "a");
    MUST(store_begin(writer, &err));
    MUST(try_open(path, true));
    MUST(try_open(path, false)); /* an existing schema needs no lock */
    store_rollback(writer);
    store_destroy(writer);
}

Test(store_open, what_is_no_database_is_a_wrong_name)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(write(fd, "this is no database\n", 20), 20);
    (void)close(fd);
    REFUSED(ERR_INVALID, try_open(path, false));
}

Test(store_open, other_revisions_are_refused_with_advice)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    store_destroy(must_open(path));
    outside(path, "UPDATE alembic_version SET version_num='v2.6.0.a'");
    REFUSED(ERR_UNSUPPORTED, try_open(path, false));
    cr_expect_not_null(strstr(err.msg, "optuna storage upgrade"));
    outside(path, "UPDATE alembic_version SET version_num='v9.0.0.a'");
    REFUSED(ERR_UNSUPPORTED, try_open(path, true));
    cr_expect_not_null(strstr(err.msg, "newer"));
    outside(path,
            "UPDATE alembic_version SET version_num='v3.0.0.d'; DROP INDEX ix_trials_study_id");
    MUST(try_open(path, true));
    REFUSED(ERR_UNSUPPORTED, try_open(path, false));
    outside(path, "UPDATE alembic_version SET version_num='v3.2.0.a';"
                  " UPDATE version_info SET schema_version=13");
    REFUSED(ERR_UNSUPPORTED, try_open(path, false));
}

Test(store_open, a_missing_revision_is_stamped)
{
    ONLY_WITH_TABLES();
    const char *path = fresh_path();
    store_destroy(must_open(path));
    outside(path, "DROP TABLE alembic_version");
    MUST(try_open(path, false));
    cr_expect_str_eq(rows(path, "SELECT version_num FROM alembic_version"), "v3.2.0.a");
}

Test(store_open, reads_in_a_directory_that_cannot_be_written)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    struct store *s = must_open(path);
    (void)must_study(s, "a");
    store_destroy(s); /* the last one to leave removes the log */
    char dir[64];
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(path) - strlen("/s.db")), path);
    cr_assert_eq(chmod(dir, 0555), 0);
    uid_t me = geteuid();
    if (me == 0) /* root may write anywhere */
        cr_assert_eq(seteuid(65534), 0);
    MUST(try_open(path, true));
    cr_assert_eq(seteuid(me), 0);
    (void)prctl(PR_SET_DUMPABLE, 1); /* a leak check looks into the process */
}

Test(store_open, a_directory_that_cannot_be_written_is_named)
{
    ONLY_FOR_FILES();
    const char *path = fresh_path();
    char dir[64], text[128];
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(path) - strlen("/s.db")), path);
    (void)snprintf(text, sizeof(text), "may not write the directory %s: Permission denied", dir);
    cr_assert_eq(chmod(dir, 0555), 0);
    uid_t me = geteuid();
    if (me == 0) /* root may write anywhere */
        cr_assert_eq(seteuid(65534), 0);
    REFUSED(ERR_UNSUPPORTED, try_open(path, false));
    cr_expect_not_null(strstr(err.msg, text), "%s", err.msg);
    cr_assert_eq(seteuid(me), 0);
    (void)prctl(PR_SET_DUMPABLE, 1); /* a leak check looks into the process */
}
