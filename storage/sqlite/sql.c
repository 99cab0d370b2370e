#include "storage/sqlite/sqlite.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

/* The rows of `table` for the trials of study ?1 with ?2 < trial_id <= ?3, by id: the study's index
 * gives the trials, the table's unique index their rows. */
#define OF_TRIALS(columns, table)                                                                  \
    "SELECT c.trial_id, " columns " FROM trials t CROSS JOIN " table " c ON c.trial_id=t.trial_id" \
    " WHERE t.study_id=?1 AND t.trial_id>?2 AND t.trial_id<=?3 ORDER BY t.trial_id"

#define DELETE_OF_TRIALS(table)                                                                    \
    "DELETE FROM " table " WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id=?1)"

#define STEP_INSERT                                                                                \
    "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value,"                    \
    " intermediate_value_type) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(trial_id, step) DO "

#define ATTR_SET(table, owner)                                                                     \
    "INSERT INTO " table "(" owner ", key, value_json) VALUES(?1, ?2, ?3)"                         \
    " ON CONFLICT(" owner ", key) DO UPDATE SET value_json=excluded.value_json"

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_DATA_VERSION] = "PRAGMA data_version",

    [SQL_STUDY_INSERT] = "INSERT INTO studies(study_id, study_name) VALUES(?2, ?1)",
    [SQL_STUDY_DIRECTION_INSERT] =
        "INSERT INTO study_directions(direction, study_id, objective) VALUES(?1, ?2, ?3)",
    [SQL_STUDY_FIND] = "SELECT study_id FROM studies WHERE study_name=?1",
    [SQL_STUDY_NAME] = "SELECT study_name FROM studies WHERE study_id=?1",
    [SQL_STUDY_DIRECTIONS] =
        "SELECT direction FROM study_directions WHERE study_id=?1 ORDER BY objective",
    [SQL_STUDIES] = "SELECT study_id, study_name FROM studies ORDER BY study_id",
    [SQL_STUDY_ONE] = "SELECT study_id, study_name FROM studies WHERE study_id=?1",
    [SQL_STUDY_SUMMARY] = "SELECT state, count(*), min(datetime_start), max(datetime_complete)"
                          " FROM trials WHERE study_id=?1 GROUP BY state",
    [SQL_STUDY_USER_ATTR_SET] = ATTR_SET("study_user_attributes", "study_id"),
    [SQL_STUDY_SYSTEM_ATTR_SET] = ATTR_SET("study_system_attributes", "study_id"),
    [SQL_STUDY_USER_ATTR_GET] =
        "SELECT value_json FROM study_user_attributes WHERE study_id=?1 AND key=?2",
    [SQL_STUDY_SYSTEM_ATTR_GET] =
        "SELECT value_json FROM study_system_attributes WHERE study_id=?1 AND key=?2",
    [SQL_STUDY_USER_ATTRS] =
        "SELECT key, value_json FROM study_user_attributes WHERE study_id=?1 ORDER BY key",
    [SQL_STUDY_SYSTEM_ATTRS] =
        "SELECT key, value_json FROM study_system_attributes WHERE study_id=?1 ORDER BY key",

    [SQL_DELETE_HEARTBEATS] = DELETE_OF_TRIALS("trial_heartbeats"),
    [SQL_DELETE_VALUES] = DELETE_OF_TRIALS("trial_values"),
    [SQL_DELETE_PARAMS] = DELETE_OF_TRIALS("trial_params"),
    [SQL_DELETE_STEPS] = DELETE_OF_TRIALS("trial_intermediate_values"),
    [SQL_DELETE_USER_ATTRS] = DELETE_OF_TRIALS("trial_user_attributes"),
    [SQL_DELETE_SYSTEM_ATTRS] = DELETE_OF_TRIALS("trial_system_attributes"),
    [SQL_DELETE_TRIALS] = "DELETE FROM trials WHERE study_id=?1",
    [SQL_DELETE_STUDY_USER_ATTRS] = "DELETE FROM study_user_attributes WHERE study_id=?1",
    [SQL_DELETE_STUDY_SYSTEM_ATTRS] = "DELETE FROM study_system_attributes WHERE study_id=?1",
    [SQL_DELETE_DIRECTIONS] = "DELETE FROM study_directions WHERE study_id=?1",
    [SQL_DELETE_STUDY] = "DELETE FROM studies WHERE study_id=?1",

    [SQL_TRIAL_INSERT] = "INSERT INTO trials(trial_id, number, study_id, state, datetime_start,"
                         " datetime_complete) VALUES(?6, ?1, ?2, ?3, ?4, ?5)",
    [SQL_TRIAL_LOOK] = "SELECT study_id, state, number, datetime_start FROM trials"
                       " WHERE trial_id=?1",
    [SQL_TRIAL_FIND] = "SELECT trial_id FROM trials WHERE study_id=?1 AND number=?2",
    [SQL_TRIAL_CLAIM] = "UPDATE trials SET state='RUNNING', datetime_start=?2"
                        " WHERE trial_id=?1 AND state='WAITING'",
    [SQL_TRIAL_REQUEUE] = "UPDATE trials SET state='WAITING', datetime_start=NULL"
                          " WHERE trial_id=?1 AND state='RUNNING'",
    [SQL_TRIAL_DISOWN] =
        "DELETE FROM trial_system_attributes WHERE trial_id=?1 AND key='" STORE_ATTR_OWNER "'",
    /* a trial that ends without having run starts when it ends */
    [SQL_TRIAL_END] = "UPDATE trials SET state=?2, datetime_complete=?3,"
                      " datetime_start=coalesce(datetime_start, ?3)"
                      " WHERE trial_id=?1 AND state IN ('RUNNING', 'WAITING')",
    [SQL_TRIAL_VALUE_SET] =
        "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?1, ?2, ?3, ?4)"
        " ON CONFLICT(trial_id, objective) DO UPDATE SET value=excluded.value,"
        " value_type=excluded.value_type",
    [SQL_TRIAL_PARAM_INSERT] =
        "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json)"
        " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(trial_id, param_name) DO NOTHING",
    [SQL_TRIAL_STEP_ADD] = STEP_INSERT "NOTHING",
    [SQL_TRIAL_STEP_REPLACE] =
        STEP_INSERT "UPDATE SET intermediate_value=excluded.intermediate_value,"
                    " intermediate_value_type=excluded.intermediate_value_type",
    [SQL_TRIAL_USER_ATTR_SET] = ATTR_SET("trial_user_attributes", "trial_id"),
    [SQL_TRIAL_SYSTEM_ATTR_SET] = ATTR_SET("trial_system_attributes", "trial_id"),
    [SQL_FIRST_DISTRIBUTION] =
        "SELECT p.distribution_json FROM trials t CROSS JOIN trial_params p"
        " ON p.trial_id=t.trial_id AND p.param_name=?2 WHERE t.study_id=?1 ORDER BY t.trial_id"
        " LIMIT 1",

    [SQL_HEARTBEAT] =
        "INSERT INTO trial_heartbeats(trial_id, heartbeat) VALUES(?1, CURRENT_TIMESTAMP)"
        " ON CONFLICT(trial_id) DO UPDATE SET heartbeat=CURRENT_TIMESTAMP",
    [SQL_RUNNING_LOOK] =
        "SELECT t.number, t.datetime_start,"
        " (julianday('now') - julianday(h.heartbeat)) * 86400.0, a.value_json FROM trials t"
        " LEFT JOIN trial_heartbeats h ON h.trial_id=t.trial_id"
        " LEFT JOIN trial_system_attributes a ON a.trial_id=t.trial_id AND a.key='" STORE_ATTR_OWNER
        "' WHERE t.trial_id=?1",

    [SQL_INDEX_NEW] = "SELECT trial_id, number, state, datetime_start FROM trials"
                      " WHERE study_id=?1 AND trial_id>?2 ORDER BY trial_id",
    [SQL_INDEX_NOT_BEFORE] = "SELECT value_json FROM trial_system_attributes"
                             " WHERE trial_id=?1 AND key='" STORE_ATTR_NOT_BEFORE "'",
    [SQL_INDEX_WAITING] = "SELECT count(*) FROM trials WHERE +study_id=?1 AND trial_id>=?2"
                          " AND trial_id<=?3 AND state='WAITING'",

    [SQL_READ_TRIALS] =
        "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"
        " WHERE study_id=?1 AND trial_id>?2 AND trial_id<=?3 ORDER BY trial_id",
    [SQL_READ_VALUES] = OF_TRIALS("c.objective, c.value, c.value_type", "trial_values"),
    [SQL_READ_PARAMS] =
        OF_TRIALS("c.param_id, c.param_name, c.param_value, c.distribution_json", "trial_params"),
    [SQL_READ_STEPS] = OF_TRIALS("c.step, c.intermediate_value, c.intermediate_value_type",
                                 "trial_intermediate_values"),
    [SQL_READ_USER_ATTRS] = OF_TRIALS("c.key, c.value_json", "trial_user_attributes"),
    [SQL_READ_SYSTEM_ATTRS] = OF_TRIALS("c.key, c.value_json", "trial_system_attributes"),

    [SQL_RUN_START] =
        "INSERT INTO finetune_runs(run_id, dag_id, status, config, started_at)"
        " VALUES(?1, ?2, 'running', ?3, ?4) ON CONFLICT(run_id) DO UPDATE SET status='running',"
        " config=excluded.config, dag_id=coalesce(excluded.dag_id, dag_id), ended_at=NULL",
    [SQL_RUN_END] = "UPDATE finetune_runs SET status=?2, ended_at=?3 WHERE run_id=?1",
    [SQL_RUN_FIND] = "SELECT 1 FROM finetune_runs WHERE run_id=?1",
    [SQL_RUNS] = "SELECT run_id, dag_id, status, config, started_at, ended_at FROM finetune_runs"
                 " ORDER BY started_at, run_id",
    /* ?14: +1 when more is better, -1 when less is */
    [SQL_RESULT_PUT] =
        "INSERT INTO finetune_results(run_id, study, crypto_symbol, factor, variant, fold,"
        " trial_number, objective, run_status, params, metrics, buy_trades, created_at)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT(run_id, study, variant, fold) DO UPDATE SET"
        " crypto_symbol=excluded.crypto_symbol, factor=excluded.factor,"
        " trial_number=excluded.trial_number, objective=excluded.objective,"
        " run_status=excluded.run_status, params=excluded.params, metrics=excluded.metrics,"
        " buy_trades=excluded.buy_trades, created_at=excluded.created_at"
        " WHERE trial_number=excluded.trial_number"
        " OR (excluded.objective IS NOT NULL AND (objective IS NULL"
        " OR ?14 * excluded.objective > ?14 * objective))",
    [SQL_RESULTS_COUNT] = "SELECT count(*) FROM finetune_results WHERE (?1 IS NULL OR run_id=?1)"
                          " AND (?2 IS NULL OR study=?2) AND (?3 IS NULL OR run_status=?3)",
    [SQL_RESULTS] = "SELECT run_id, study, variant, fold, crypto_symbol, factor, trial_number,"
                    " objective, run_status, params, metrics, buy_trades FROM finetune_results"
                    " WHERE (?1 IS NULL OR run_id=?1) ORDER BY study, variant, fold, run_id",

    [SQL_TRAINING_PUT] =
        "INSERT INTO training_runs(run_id, study, trial_number, crypto_symbol, factor,"
        " loss_function, status, failure_class, failure_mode, message, params_requested,"
        " params_used, rolled_back, created_at)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        " ON CONFLICT(study, trial_number) DO UPDATE SET run_id=excluded.run_id,"
        " crypto_symbol=excluded.crypto_symbol, factor=excluded.factor,"
        " loss_function=excluded.loss_function, status=excluded.status,"
        " failure_class=excluded.failure_class, failure_mode=excluded.failure_mode,"
        " message=excluded.message, params_requested=excluded.params_requested,"
        " params_used=excluded.params_used, rolled_back=excluded.rolled_back,"
        " created_at=excluded.created_at",
    [SQL_TRAININGS] =
        "SELECT run_id, study, trial_number, crypto_symbol, factor, loss_function, status,"
        " failure_class, failure_mode, message, params_requested, params_used, rolled_back,"
        " created_at FROM training_runs WHERE created_at>=?1 ORDER BY created_at, training_id",
    [SQL_CONFIG_GET] = "SELECT base_env, version, changed_at FROM ftf_config WHERE id=1",
    [SQL_CONFIG_INSERT] =
        "INSERT INTO ftf_config(id, base_env, version, changed_at) VALUES(1, ?1, ?2, ?3)",
    [SQL_CONFIG_SET] = "UPDATE ftf_config SET base_env=?1, version=?2, changed_at=?3 WHERE id=1",
    [SQL_CONFIG_EVENT_PUT] =
        "INSERT INTO ftf_config_history(version, changed_at, changed_by, reason, old_env, new_env)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_CONFIG_EVENTS] = "SELECT version, changed_at, changed_by, reason, old_env, new_env"
                          " FROM ftf_config_history ORDER BY change_id DESC",
};

static enum err_code code_of(int rc, const char *text)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return ERR_UNAVAILABLE;
    case SQLITE_CORRUPT:
        return ERR_CORRUPT;
    case SQLITE_NOTADB:
        return ERR_INVALID; /* another file was meant */
    case SQLITE_ERROR: /* a table that is gone may come back: a dump is being restored, perhaps */
        return strncmp(text, "no such table", 13) == 0 ? ERR_UNAVAILABLE : ERR_IO;
    default:
        return ERR_IO;
    }
}

static bool is_refusal(int sys)
{
    return sys == EACCES || sys == EPERM || sys == EROFS;
}

/* Whether the system does not let us: waiting will not help. */
static bool forbidden(int rc, int sys)
{
    int primary = rc & 0xff;
    return primary == SQLITE_READONLY || primary == SQLITE_PERM ||
           ((primary == SQLITE_CANTOPEN || primary == SQLITE_IOERR) && is_refusal(sys));
}

/* Why the file cannot be written, as the system says; 0: it does not say. */
static int why_not(const char *path)
{
    if (access(path, R_OK | W_OK) < 0 && is_refusal(errno))
        return errno;
    AUTO_FREE char *copy = strdup(path); /* beside it are its log and the log's index */
    return copy != NULL && access(dirname(copy), W_OK | X_OK) < 0 && is_refusal(errno) ? errno : 0;
}

int sql_forbidden(struct store_sqlite *q, struct err *err)
{
    int sys = why_not(q->path);
    const char *why = sys != 0 ? strerrordesc_np(sys) : sqlite3_errmsg(q->db);
    if (q->base.read_only)
        return err_set(err, ERR_UNSUPPORTED, "%s cannot be read: %s", q->path, why);
    return err_set(
        err, ERR_UNSUPPORTED,
        "%s cannot be written: %s; let user %u write the file and its directory, or name "
        "another store",
        q->path, why, (unsigned)geteuid());
}

int sql_fail(struct store_sqlite *q, struct err *err)
{
    int rc = sqlite3_extended_errcode(q->db);
    enum err_code code = code_of(rc, sqlite3_errmsg(q->db));
    int out;
    if (code == ERR_BUSY)
        out = err_set(err, code, "%s: another process held the lock for more than %g s", q->path,
                      q->busy_ms / 1000.0);
    else if (forbidden(rc, sqlite3_system_errno(q->db)))
        out = sql_forbidden(q, err);
    else
        out = err_set(err, code, "%s: %s", q->path, sqlite3_errmsg(q->db));
    if (err != NULL)
        err->sys = rc;
    return out;
}

int sql_get(struct store_sqlite *q, enum sql id, sqlite3_stmt **out, struct err *err)
{
    if (q->stmts[id] == NULL && sqlite3_prepare_v3(q->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT,
                                                   &q->stmts[id], NULL) != SQLITE_OK)
        return sql_fail(q, err);
    (void)sqlite3_reset(q->stmts[id]); /* does nothing unless a caller left early */
    (void)sqlite3_clear_bindings(q->stmts[id]);
    *out = q->stmts[id];
    return 0;
}

int sql_step(struct store_sqlite *q, sqlite3_stmt *st, struct err *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    rc = rc == SQLITE_DONE ? 0 : sql_fail(q, err);
    (void)sqlite3_reset(st); /* repeats the error */
    return rc;
}

int sql_run(struct store_sqlite *q, enum sql id, struct err *err)
{
    sqlite3_stmt *st;
    int rc = sql_get(q, id, &st, err);
    return rc < 0 ? rc : sql_step(q, st, err);
}

int sql_int(struct store_sqlite *q, sqlite3_stmt *st, int64_t *out, struct err *err)
{
    int rc = sql_step(q, st, err);
    if (rc == 1) {
        *out = sqlite3_column_int64(st, 0);
        (void)sqlite3_reset(st);
    }
    return rc;
}

int sql_exec(struct store_sqlite *q, const char *sql, struct err *err)
{
    return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_fail(q, err);
}

void sql_bind_text(sqlite3_stmt *st, int i, const char *text)
{
    /* binding fails only for a wrong index or a statement in use: our own mistakes */
    (void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

const char *sql_text_or_null(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

const char *sql_text(sqlite3_stmt *st, int i)
{
    const char *text = sql_text_or_null(st, i);
    return text != NULL ? text : "";
}

bool sql_time(sqlite3_stmt *st, int i, int64_t *utc_us)
{
    return decode_time(sql_text_or_null(st, i), utc_us);
}
