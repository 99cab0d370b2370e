/* Optuna's tables, as Optuna 3.2 to 5.0 creates them, and the check of what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/revision.h"
#include "storage/sqlite/sqlite.h"

#define OPTUNA_VERSION "5.0.0" /* Optuna shows it in messages only */

#define ATTRIBUTES(table, singular, owner, owners)                                                 \
    "CREATE TABLE IF NOT EXISTS " table " (" singular "_id INTEGER NOT NULL, " owner               \
    "_id INTEGER,"                                                                                 \
    " \"key\" VARCHAR(512), value_json TEXT, PRIMARY KEY (" singular "_id),"                       \
    " UNIQUE (" owner "_id, \"key\"), FOREIGN KEY(" owner "_id) REFERENCES " owners " (" owner     \
    "_id));"

/* On SQLite Optuna looks at a trial's state in one transaction and changes it in another, so two of
 * its processes may claim one queued trial, or end a trial that somebody else has ended. This stops
 * the second one. It then finds an integrity error, which Optuna, from 3.0 on, takes for "somebody
 * else was faster": set_trial_state_values returns False, and the next queued trial is tried. */
#define ONCE "forkless_trial_once"
static const char once[] =
    "CREATE TRIGGER IF NOT EXISTS " ONCE " BEFORE UPDATE OF state ON trials"
    " WHEN OLD.state IN ('COMPLETE', 'PRUNED', 'FAIL')"
    " OR (NEW.state='RUNNING' AND OLD.state<>'WAITING')"
    " BEGIN SELECT RAISE(ABORT, 'somebody else claimed or ended the trial'); END;";

/* "If not exists" because a Python process may have died while it created them one by one. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS studies (study_id INTEGER NOT NULL, study_name VARCHAR(512) NOT "
    "NULL,"
    " PRIMARY KEY (study_id));"
    "CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);"
    "CREATE TABLE IF NOT EXISTS version_info (version_info_id INTEGER NOT NULL,"
    " schema_version INTEGER, library_version VARCHAR(256), PRIMARY KEY (version_info_id),"
    " CHECK (version_info_id=1));"
    "CREATE TABLE IF NOT EXISTS study_directions (study_direction_id INTEGER NOT NULL,"
    " direction VARCHAR(8) NOT NULL, study_id INTEGER NOT NULL, objective INTEGER NOT NULL,"
    " PRIMARY KEY (study_direction_id), UNIQUE (study_id, objective),"
    " FOREIGN KEY(study_id) REFERENCES studies (study_id));" ATTRIBUTES(
        "study_user_attributes", "study_user_attribute", "study", "studies")
        ATTRIBUTES(
            "study_system_attributes", "study_system_attribute", "study",
            "studies") "CREATE TABLE IF NOT EXISTS trials (trial_id INTEGER NOT NULL, number "
                       "INTEGER, study_id INTEGER,"
                       " state VARCHAR(8) NOT NULL, datetime_start DATETIME, datetime_complete "
                       "DATETIME,"
                       " PRIMARY KEY (trial_id), FOREIGN KEY(study_id) REFERENCES studies "
                       "(study_id));"
                       "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials "
                       "(study_id);" ATTRIBUTES("trial_user_attributes", "trial_user_attribute",
                                                "trial", "trials")
                           ATTRIBUTES(
                               "trial_system_attributes", "trial_system_attribute", "trial",
                               "trials") "CREATE TABLE IF NOT EXISTS trial_params (param_id "
                                         "INTEGER NOT NULL, trial_id INTEGER,"
                                         " param_name VARCHAR(512), param_value FLOAT, "
                                         "distribution_json TEXT, PRIMARY KEY (param_id),"
                                         " UNIQUE (trial_id, param_name), FOREIGN KEY(trial_id) "
                                         "REFERENCES trials (trial_id));"
                                         "CREATE TABLE IF NOT EXISTS trial_values (trial_value_id "
                                         "INTEGER NOT NULL, trial_id INTEGER NOT NULL,"
                                         " objective INTEGER NOT NULL, value FLOAT, value_type "
                                         "VARCHAR(7) NOT NULL,"
                                         " PRIMARY KEY (trial_value_id), UNIQUE (trial_id, "
                                         "objective),"
                                         " FOREIGN KEY(trial_id) REFERENCES trials (trial_id));"
                                         "CREATE TABLE IF NOT EXISTS trial_intermediate_values "
                                         "(trial_intermediate_value_id INTEGER NOT NULL,"
                                         " trial_id INTEGER NOT NULL, step INTEGER NOT NULL, "
                                         "intermediate_value FLOAT,"
                                         " intermediate_value_type VARCHAR(7) NOT NULL, PRIMARY "
                                         "KEY (trial_intermediate_value_id),"
                                         " UNIQUE (trial_id, step), FOREIGN KEY(trial_id) "
                                         "REFERENCES trials (trial_id));"
                                         "CREATE TABLE IF NOT EXISTS trial_heartbeats "
                                         "(trial_heartbeat_id INTEGER NOT NULL,"
                                         " trial_id INTEGER NOT NULL, heartbeat DATETIME NOT NULL, "
                                         "PRIMARY KEY (trial_heartbeat_id),"
                                         " UNIQUE (trial_id), FOREIGN KEY(trial_id) REFERENCES "
                                         "trials (trial_id));"
                                         "CREATE TABLE IF NOT EXISTS alembic_version (version_num "
                                         "VARCHAR(32) NOT NULL,"
                                         " CONSTRAINT alembic_version_pkc PRIMARY KEY "
                                         "(version_num));"
                                         "INSERT OR IGNORE INTO version_info VALUES(1, 12, "
                                         "'" OPTUNA_VERSION "');"
                                         "INSERT INTO alembic_version SELECT '" REVISION "'"
                                         " WHERE NOT EXISTS (SELECT 1 FROM alembic_version);";

/* What a file says of itself. */
struct found {
    bool studies;      /* has the table */
    bool any_study;    /* and a row in it */
    bool once;         /* has the trigger */
    int schema;        /* version_info.schema_version; 0 = none */
    char revision[33]; /* alembic_version.version_num; "" = none */
};

/* The first column of a query's first row as text in out; false when there is none. */
static int first_text(struct store_sqlite *q, const char *sql, char *out, size_t size, bool *any,
                      struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(q->db, sql, -1, &st, NULL) != SQLITE_OK)
        return sql_fail(q, err);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        (void)snprintf(out, size, "%s", sql_text(st, 0));
    else if (step != SQLITE_DONE)
        rc = sql_fail(q, err);
    *any = step == SQLITE_ROW;
    (void)sqlite3_finalize(st);
    return rc;
}

static int has(struct store_sqlite *q, const char *type, const char *name, bool *has,
               struct err *err)
{
    char sql[128];
    char ignored[64];
    (void)snprintf(sql, sizeof(sql), "SELECT name FROM sqlite_master WHERE type='%s' AND name='%s'",
                   type, name);
    return first_text(q, sql, ignored, sizeof(ignored), has, err);
}

/* Runs the query when the table is there. */
static int text_of(struct store_sqlite *q, const char *table, const char *sql, char *out,
                   size_t size, bool *any, struct err *err)
{
    int rc = has(q, "table", table, any, err);
    return rc < 0 || !*any ? rc : first_text(q, sql, out, size, any, err);
}

static int look(struct store_sqlite *q, struct found *f, struct err *err)
{
    char text[64] = "";
    bool any = false;
    *f = (struct found){0};
    int rc = has(q, "table", "studies", &f->studies, err);
    if (rc == 0)
        rc = has(q, "trigger", ONCE, &f->once, err);
    if (rc == 0)
        rc = text_of(q, "studies", "SELECT 1 FROM studies LIMIT 1", text, sizeof(text),
                     &f->any_study, err);
    if (rc == 0)
        rc = text_of(q, "version_info", "SELECT schema_version FROM version_info", text,
                     sizeof(text), &any, err);
    f->schema = any ? atoi(text) : 0;
    if (rc == 0)
        rc = text_of(q, "alembic_version", "SELECT version_num FROM alembic_version", f->revision,
                     sizeof(f->revision), &any, err);
    return rc;
}

static int refuse_revision(struct store_sqlite *q, const char *revision, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: schema revision %s, but only " REVISION " is supported: %s", q->path,
                   revision, revision_advice(revision));
}

static int check(struct store_sqlite *q, const struct found *f, bool upgrade, struct err *err)
{
    if (f->any_study && f->schema == 0)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: studies of Optuna before 1.0: update them with `optuna storage upgrade`", q->path);
    if (f->schema != 0 && f->schema != 12)
        return err_set(err, ERR_UNSUPPORTED, "%s: schema version %d, but only 12 is supported",
                       q->path, f->schema);
    if (f->revision[0] == '\0' || strcmp(f->revision, REVISION) == 0)
        return 0;
    if (strcmp(f->revision, REVISION_3_0) == 0 && (q->base.read_only || upgrade))
        return 0;
    return refuse_revision(q, f->revision, err);
}

static int create(struct store_sqlite *q, struct err *err)
{
    struct found f;
    int rc = tx_enter(q, err);
    if (rc < 0)
        return rc;
    rc = look(q, &f, err); /* another process may have created them meanwhile */
    if (rc == 0)
        rc = check(q, &f, false, err);
    if (rc == 0)
        rc = sql_exec(q, tables, err);
    if (rc == 0)
        rc = sql_exec(q, once, err);
    return tx_leave(q, rc, err);
}

/* From 3.0 to 3.2 Optuna only added an index; its tables and what is in them stayed the same. */
static const char from_3_0[] = "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);"
                               "UPDATE alembic_version SET version_num='" REVISION "'";

static int upgrade_here(struct store_sqlite *q, struct store_upgraded *done, struct err *err)
{
    struct found f;
    int rc = look(q, &f, err);
    if (rc == 0 && !f.studies)
        rc = err_set(err, ERR_NOTFOUND, "%s holds no studies", q->path);
    if (rc == 0)
        rc = check(q, &f, true, err);
    if (rc == 0)
        rc = sql_exec(q, strcmp(f.revision, REVISION_3_0) == 0 ? from_3_0 : tables, err);
    if (rc == 0)
        rc = sql_exec(q, once, err);
    if (rc == 0)
        rc = migrate_there(q, &done->tables_from, &done->tables_to, err);
    (void)snprintf(done->from, sizeof(done->from), "%s",
                   f.revision[0] != '\0' ? f.revision : "none");
    (void)snprintf(done->to, sizeof(done->to), "%s", REVISION);
    return rc;
}

static int upgrade(struct store_sqlite *q, struct store_upgraded *done, struct err *err)
{
    int rc = tx_enter(q, err);
    return rc < 0 ? rc : tx_leave(q, upgrade_here(q, done, err), err);
}

int schema_open(struct store_sqlite *q, struct store_upgraded *upgraded, struct err *err)
{
    struct found f;
    if (upgraded != NULL)
        return upgrade(q, upgraded, err);
    int rc = look(q, &f, err);
    if (rc == 0)
        rc = check(q, &f, false, err);
    if (rc < 0)
        return rc;
    bool complete = f.studies && f.schema == 12 && f.revision[0] != '\0';
    if (complete && (f.once || q->base.read_only))
        return 0;
    if (!q->base.read_only)
        return create(q, err);
    return f.studies ? 0 : err_set(err, ERR_NOTFOUND, "%s holds no studies", q->path);
}
