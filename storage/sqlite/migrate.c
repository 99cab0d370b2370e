/* The tables beside Optuna's, and how they get from one version to the next. */
#include "storage/sqlite/sqlite.h"

#define NOW "(strftime('%Y-%m-%d %H:%M:%f', 'now'))"

/* What takes the tables from version i to i + 1. In one transaction with the version's change, so
 * that each is run once, however often one begins. */
static const char *const migrations[] = {
    [0] = "CREATE TABLE finetune_runs (run_id TEXT NOT NULL PRIMARY KEY, dag_id TEXT, factor TEXT,"
          " crypto_group TEXT, power_mode TEXT, status TEXT NOT NULL, config TEXT NOT NULL,"
          " image_sha TEXT, started_at DATETIME NOT NULL, ended_at DATETIME);"
          "CREATE TABLE finetune_results (result_id INTEGER PRIMARY KEY,"
          " run_id TEXT NOT NULL REFERENCES finetune_runs (run_id), study TEXT NOT NULL,"
          " crypto_symbol TEXT, factor TEXT, variant TEXT NOT NULL, fold INTEGER NOT NULL,"
          " trial_number INTEGER NOT NULL, objective FLOAT, run_status TEXT NOT NULL,"
          " params TEXT NOT NULL, metrics TEXT NOT NULL, buy_trades INTEGER,"
          " created_at DATETIME NOT NULL, UNIQUE (run_id, study, variant, fold));",
    /* Who writes ftf_config by a statement of their own leaves the version alone: that is how the
     * trigger knows, and then it writes the history's row. */
    [1] =
        "CREATE TABLE training_runs (training_id INTEGER PRIMARY KEY, run_id TEXT, study TEXT,"
        " trial_number INTEGER, crypto_symbol TEXT, factor TEXT, loss_function TEXT,"
        " status TEXT NOT NULL CHECK (status IN ('SUCCESS', 'FAILED')), failure_class TEXT,"
        " failure_mode TEXT, message TEXT, params_requested TEXT NOT NULL DEFAULT '{}',"
        " params_used TEXT NOT NULL DEFAULT '{}', rolled_back INTEGER NOT NULL DEFAULT 0,"
        " created_at DATETIME NOT NULL DEFAULT " NOW ", UNIQUE (study, trial_number));"
        "CREATE INDEX ix_training_runs_created_at ON training_runs (created_at);"
        "CREATE TABLE ftf_config (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),"
        " base_env TEXT NOT NULL CHECK (json_type(base_env) = 'object'),"
        " version INTEGER NOT NULL DEFAULT 1, changed_at DATETIME NOT NULL DEFAULT " NOW ");"
        "CREATE TABLE ftf_config_history (change_id INTEGER PRIMARY KEY,"
        " version INTEGER NOT NULL, changed_at DATETIME NOT NULL, changed_by TEXT NOT NULL, reason "
        "TEXT, old_env TEXT,"
        " new_env TEXT NOT NULL);"
        "CREATE TRIGGER ftf_config_edited AFTER UPDATE OF base_env ON ftf_config"
        " WHEN NEW.version = OLD.version AND NEW.base_env <> OLD.base_env BEGIN"
        " INSERT INTO ftf_config_history(version, changed_at, changed_by, old_env, new_env)"
        " VALUES (OLD.version + 1, " NOW ", 'SQL', OLD.base_env, NEW.base_env);"
        " UPDATE ftf_config SET version = OLD.version + 1, changed_at = " NOW " WHERE id = 1; END;"
        "INSERT INTO ftf_config(id, base_env) VALUES (1, '" STORE_CONFIG_FIRST "');"
        "INSERT INTO ftf_config_history(version, changed_at, changed_by, reason, new_env)"
        " SELECT 1, changed_at, 'forkless', 'first values', base_env FROM ftf_config;",
};

/* The version of the tables; 0 = none. */
static int read_version(struct store_sqlite *q, int *version, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    *version = 0;
    if (sqlite3_prepare_v2(q->db, "SELECT version FROM forkless_schema", -1, &st, NULL) !=
        SQLITE_OK) {
        /* only a failed prepare reads the schema anew: before it we could miss another's tables */
        bool exists = sqlite3_table_column_metadata(q->db, "main", "forkless_schema", "version",
                                                    NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
        return exists ? sql_fail(q, err) : 0;
    }
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *version = sqlite3_column_int(st, 0);
    else if (step != SQLITE_DONE)
        rc = sql_fail(q, err);
    (void)sqlite3_finalize(st);
    if (rc == 0 && *version > (int)ARRAY_LEN(migrations))
        rc = err_set(
            err, ERR_UNSUPPORTED,
            "%s: results tables of version %d, but this forkless knows %zu: use a newer one",
            q->path, *version, ARRAY_LEN(migrations));
    return rc;
}

int migrate_tables(struct store_sqlite *q, struct err *err)
{
    char sql[160];
    int version;
    if (q->results_ready)
        return 0;
    int rc = read_version(q, &version, err);
    if (rc < 0)
        return rc;
    bool current = version == (int)ARRAY_LEN(migrations);
    for (; rc == 0 && version < (int)ARRAY_LEN(migrations); version++)
        rc = sql_exec(q, migrations[version], err);
    (void)snprintf(sql, sizeof(sql),
                   "CREATE TABLE IF NOT EXISTS forkless_schema (version INTEGER NOT NULL);"
                   "DELETE FROM forkless_schema; INSERT INTO forkless_schema VALUES(%zu);",
                   ARRAY_LEN(migrations));
    if (rc == 0 && !current)
        rc = sql_exec(q, sql, err);
    q->results_made = q->results_made || (rc == 0 && !current);
    q->results_ready = rc == 0 && !q->results_made;
    return rc;
}

int migrate_there(struct store_sqlite *q, int *from, int *to, struct err *err)
{
    int rc = read_version(q, from, err);
    *to = rc == 0 && *from > 0 ? (int)ARRAY_LEN(migrations) : 0;
    return rc == 0 && *from > 0 ? migrate_tables(q, err) : rc;
}

int migrate_has(struct store_sqlite *q, int version, bool *has, struct err *err)
{
    int found = (int)ARRAY_LEN(migrations);
    int rc = q->results_ready ? 0 : read_version(q, &found, err);
    *has = found >= version;
    return rc;
}
