/* The tables beside Optuna's, and how they get from one version to the next. Times are kept with
 * their zone, so that a query by hand may compare them with now(). */
#include <string.h>

#include "storage/postgres/pg.h"

/* What takes the tables from version i to i + 1. In one transaction with the version's change, and
 * under a lock, so that each is run once, however often and by however many one begins. */
static const char *const migrations[] = {
    [0] = "CREATE TABLE finetune_runs (run_id text NOT NULL PRIMARY KEY, dag_id text, factor text,"
          " crypto_group text, power_mode text, status text NOT NULL, config text NOT NULL,"
          " image_sha text, started_at timestamptz NOT NULL, ended_at timestamptz);"
          "CREATE TABLE finetune_results (result_id bigserial PRIMARY KEY,"
          " run_id text NOT NULL REFERENCES finetune_runs (run_id), study text NOT NULL,"
          " crypto_symbol text, factor text, variant text NOT NULL, fold integer NOT NULL,"
          " trial_number integer NOT NULL, objective double precision, run_status text NOT NULL,"
          " params jsonb NOT NULL, metrics jsonb NOT NULL, buy_trades bigint,"
          " created_at timestamptz NOT NULL, UNIQUE (run_id, study, variant, fold));",
    /* created_at has no time zone and is in UTC: those who page by it compare it with
     * NOW() AT TIME ZONE 'UTC', and must be right in a session of any time zone.
     *
     * Who writes ftf_config by a statement of their own leaves the version alone: that is how the
     * trigger knows, and then it writes the history's row. */
    [1] = "CREATE TABLE training_runs (training_id bigserial PRIMARY KEY, run_id text, study text,"
          " trial_number integer, crypto_symbol text, factor text, loss_function text,"
          " status text NOT NULL CHECK (status IN ('SUCCESS', 'FAILED')), failure_class text,"
          " failure_mode text, message text, params_requested jsonb NOT NULL DEFAULT '{}',"
          " params_used jsonb NOT NULL DEFAULT '{}', rolled_back boolean NOT NULL DEFAULT false,"
          " created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),"
          " UNIQUE (study, trial_number));"
          "CREATE INDEX ix_training_runs_created_at ON training_runs (created_at);"
          "CREATE TABLE ftf_config (id integer NOT NULL PRIMARY KEY CHECK (id = 1),"
          " base_env jsonb NOT NULL CHECK (jsonb_typeof(base_env) = 'object'),"
          " version bigint NOT NULL DEFAULT 1, changed_at timestamptz NOT NULL DEFAULT now());"
          "CREATE TABLE ftf_config_history (change_id bigserial PRIMARY KEY,"
          " version bigint NOT NULL, changed_at timestamptz NOT NULL, changed_by text NOT NULL,"
          " reason text, old_env jsonb, new_env jsonb NOT NULL);"
          "CREATE OR REPLACE FUNCTION forkless_config_edited() RETURNS trigger LANGUAGE plpgsql AS "
          "$edited$"
          " BEGIN IF NEW.version = OLD.version AND NEW.base_env <> OLD.base_env THEN"
          " NEW.version := OLD.version + 1; NEW.changed_at := now();"
          " INSERT INTO ftf_config_history(version, changed_at, changed_by, old_env, new_env)"
          " VALUES (NEW.version, NEW.changed_at, 'SQL', OLD.base_env, NEW.base_env);"
          " END IF; RETURN NEW; END $edited$;"
          "CREATE TRIGGER ftf_config_edited BEFORE UPDATE OF base_env ON ftf_config FOR EACH ROW"
          " EXECUTE FUNCTION forkless_config_edited();"
          "INSERT INTO ftf_config(id, base_env) VALUES (1, '" STORE_CONFIG_FIRST "');"
          "INSERT INTO ftf_config_history(version, changed_at, changed_by, reason, new_env)"
          " SELECT 1, changed_at, 'forkless', 'first values', base_env FROM ftf_config;",
};

/* Another process may be at it; the key is nobody else's ("forkless"). */
#define LOCK "PERFORM pg_advisory_xact_lock(x'666f726b6c657373'::bigint);"

/* The version of the tables; 0 = none. */
static int read_version(struct store_pg *q, int *version, struct err *err)
{
    AUTO_RESULT PGresult *there = NULL;
    AUTO_RESULT PGresult *r = NULL;
    int rc = look(q, SQL_TABLES_THERE, ARGS_NONE, &there, err);
    *version = 0;
    if (rc < 0 || PQgetisnull(there, 0, 0))
        return rc;
    rc = look(q, SQL_TABLES_VERSION, ARGS_NONE, &r, err);
    if (rc < 0)
        return rc;
    *version = PQntuples(r) > 0 ? (int)field_int(r, 0, 0) : 0;
    if (*version > (int)ARRAY_LEN(migrations))
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: results tables of version %d, but this forkless knows %zu: use a newer one",
            q->name, *version, ARRAY_LEN(migrations));
    return 0;
}

/* All steps in one statement, each if the version is still below it. */
static int run(struct store_pg *q, struct err *err)
{
    AUTO(buf_free) struct buf sql = BUF_INIT;
    buf_puts(&sql, "DO $forkless$ DECLARE v integer; BEGIN " LOCK
                   "CREATE TABLE IF NOT EXISTS forkless_schema (version integer NOT NULL);"
                   "SELECT coalesce(max(version), 0) INTO v FROM forkless_schema;");
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++)
        buf_printf(&sql, "IF v <= %zu THEN %s END IF;", i, migrations[i]);
    buf_printf(&sql,
               "IF v < %zu THEN DELETE FROM forkless_schema;"
               " INSERT INTO forkless_schema VALUES (%zu); END IF; END $forkless$",
               ARRAY_LEN(migrations), ARRAY_LEN(migrations));
    if (sql.failed)
        return err_set(err, ERR_NOMEM, "tables of results");
    return pipe_text(q, buf_str(&sql), NULL, err);
}

int migrate_tables(struct store_pg *q, struct err *err)
{
    int version;
    if (q->results_ready)
        return 0;
    int rc = read_version(q, &version, err);
    if (rc < 0)
        return rc;
    bool current = version == (int)ARRAY_LEN(migrations);
    q->results_ready = current && !q->results_made;
    if (current)
        return 0;
    rc = run(q, err);
    q->results_made = rc == 0;
    return rc;
}

int migrate_there(struct store_pg *q, int *from, int *to, struct err *err)
{
    int rc = read_version(q, from, err);
    *to = *from > 0 ? (int)ARRAY_LEN(migrations) : 0;
    return rc < 0 || *from == *to ? rc : run(q, err);
}

int migrate_has(struct store_pg *q, int version, bool *has, struct err *err)
{
    int found = (int)ARRAY_LEN(migrations);
    int rc = q->results_ready ? 0 : read_version(q, &found, err);
    *has = found >= version;
    return rc;
}
