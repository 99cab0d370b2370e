/* Optuna's tables, as Optuna 3.2 to 5.0 creates them, and the check of what is there. */
#include <stdlib.h>
#include <string.h>

#include "storage/postgres/pg.h"
#include "storage/revision.h"

#define OPTUNA_VERSION "5.0.0" /* Optuna shows it in messages only */

/* How often we look again when a Python process creates the tables at the same moment. */
enum { TRIES = 5 };

#define TYPE(name, labels)                                                                         \
    "DO $f$ BEGIN CREATE TYPE " name " AS ENUM (" labels ");"                                      \
    " EXCEPTION WHEN duplicate_object THEN NULL; END $f$;"

/* The names of keys and constraints are those that the server gives them, as with Optuna. */
#define ATTRIBUTES(table, singular, owner, owners)                                                 \
    "CREATE TABLE IF NOT EXISTS " table " (" singular "_id serial NOT NULL, " owner                \
    "_id integer, key varchar(512), value_json text, PRIMARY KEY (" singular "_id),"               \
    " UNIQUE (" owner "_id, key), FOREIGN KEY (" owner "_id) REFERENCES " owners " (" owner        \
    "_id));"

/* One text is one transaction. The lock keeps others of us out; a Python process takes none, so
 * what it makes meanwhile is an error, after which we look again. */
/* clang-format off */
static const char tables[] =
    "SELECT pg_advisory_xact_lock(x'666f726b6c657374'::bigint);"
    TYPE("studydirection", "'NOT_SET', 'MINIMIZE', 'MAXIMIZE'")
    TYPE("trialstate", "'RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING'")
    TYPE("trialvaluetype", "'FINITE', 'INF_POS', 'INF_NEG'")
    TYPE("trialintermediatevaluetype", "'FINITE', 'INF_POS', 'INF_NEG', 'NAN'")
    "CREATE TABLE IF NOT EXISTS studies (study_id serial NOT NULL,"
    " study_name varchar(512) NOT NULL, PRIMARY KEY (study_id));"
    "CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);"
    "CREATE TABLE IF NOT EXISTS version_info (version_info_id integer NOT NULL,"
    " schema_version integer, library_version varchar(256), PRIMARY KEY (version_info_id),"
    " CHECK (version_info_id = 1));"
    "CREATE TABLE IF NOT EXISTS study_directions (study_direction_id serial NOT NULL,"
    " direction studydirection NOT NULL, study_id integer NOT NULL, objective integer NOT NULL,"
    " PRIMARY KEY (study_direction_id), UNIQUE (study_id, objective),"
    " FOREIGN KEY (study_id) REFERENCES studies (study_id));"
    ATTRIBUTES("study_user_attributes", "study_user_attribute", "study", "studies")
    ATTRIBUTES("study_system_attributes", "study_system_attribute", "study", "studies")
    "CREATE TABLE IF NOT EXISTS trials (trial_id serial NOT NULL, number integer,"
    " study_id integer, state trialstate NOT NULL, datetime_start timestamp without time zone,"
    " datetime_complete timestamp without time zone, PRIMARY KEY (trial_id),"
    " FOREIGN KEY (study_id) REFERENCES studies (study_id));"
    "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);"
    ATTRIBUTES("trial_user_attributes", "trial_user_attribute", "trial", "trials")
    ATTRIBUTES("trial_system_attributes", "trial_system_attribute", "trial", "trials")
    "CREATE TABLE IF NOT EXISTS trial_params (param_id serial NOT NULL, trial_id integer,"
    " param_name varchar(512), param_value double precision, distribution_json text,"
    " PRIMARY KEY (param_id), UNIQUE (trial_id, param_name),"
    " FOREIGN KEY (trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_values (trial_value_id serial NOT NULL,"
    " trial_id integer NOT NULL, objective integer NOT NULL, value double precision,"
    " value_type trialvaluetype NOT NULL, PRIMARY KEY (trial_value_id),"
    " UNIQUE (trial_id, objective), FOREIGN KEY (trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_intermediate_values ("
    " trial_intermediate_value_id serial NOT NULL, trial_id integer NOT NULL,"
    " step integer NOT NULL, intermediate_value double precision,"
    " intermediate_value_type trialintermediatevaluetype NOT NULL,"
    " PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step),"
    " FOREIGN KEY (trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_heartbeats (trial_heartbeat_id serial NOT NULL,"
    " trial_id integer NOT NULL, heartbeat timestamp without time zone NOT NULL,"
    " PRIMARY KEY (trial_heartbeat_id), UNIQUE (trial_id),"
    " FOREIGN KEY (trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));"
    "INSERT INTO version_info VALUES (1, 12, '" OPTUNA_VERSION "') ON CONFLICT DO NOTHING;"
    "INSERT INTO alembic_version SELECT '" REVISION "'"
    " WHERE NOT EXISTS (SELECT 1 FROM alembic_version);";
/* clang-format on */

/* What a database says of itself. */
struct found {
    bool studies;      /* has the table */
    bool any_study;    /* and a row in it */
    int schema;        /* version_info.schema_version; 0 = none */
    char revision[33]; /* alembic_version.version_num; "" = none */
};

/* The first column of the first row as text, "" when there is no such table or row. */
static int text_of(struct store_pg *q, enum sql there, enum sql query, char *out, size_t size,
                   struct err *err)
{
    AUTO_RESULT PGresult *table = NULL;
    AUTO_RESULT PGresult *r = NULL;
    *out = '\0';
    int rc = look(q, there, ARGS_NONE, &table, err);
    if (rc < 0 || PQgetisnull(table, 0, 0))
        return rc;
    rc = look(q, query, ARGS_NONE, &r, err);
    if (rc == 0 && PQntuples(r) > 0)
        (void)snprintf(out, size, "%s", field(r, 0, 0));
    return rc;
}

static int look_at(struct store_pg *q, struct found *f, struct err *err)
{
    AUTO_RESULT PGresult *studies = NULL;
    char text[64];
    *f = (struct found){0};
    int rc = look(q, SQL_STUDIES_THERE, ARGS_NONE, &studies, err);
    if (rc < 0)
        return rc;
    f->studies = !PQgetisnull(studies, 0, 0);
    rc = text_of(q, SQL_STUDIES_THERE, SQL_STUDIES_ANY, text, sizeof(text), err);
    f->any_study = text[0] != '\0';
    if (rc == 0)
        rc = text_of(q, SQL_VERSION_THERE, SQL_VERSION, text, sizeof(text), err);
    f->schema = atoi(text);
    if (rc == 0)
        rc = text_of(q, SQL_REVISION_THERE, SQL_REVISION, f->revision, sizeof(f->revision), err);
    return rc;
}

static int refuse_revision(struct store_pg *q, const char *revision, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: schema revision %s, but only " REVISION " is supported: %s", q->name,
                   revision, revision_advice(revision));
}

static int check(struct store_pg *q, const struct found *f, bool upgrade, struct err *err)
{
    if (f->any_study && f->schema == 0)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: studies of Optuna before 1.0: update them with `optuna storage upgrade`", q->name);
    if (f->schema != 0 && f->schema != 12)
        return err_set(err, ERR_UNSUPPORTED, "%s: schema version %d, but only 12 is supported",
                       q->name, f->schema);
    if (f->revision[0] == '\0' || strcmp(f->revision, REVISION) == 0)
        return 0;
    if (strcmp(f->revision, REVISION_3_0) == 0 && (q->base.read_only || upgrade))
        return 0;
    return refuse_revision(q, f->revision, err);
}

/* Creates what is missing, again when a Python process was at it too. */
static int create(struct store_pg *q, struct err *err)
{
    struct err why = {0};
    for (int i = 0; i < TRIES; i++) {
        int rc = pipe_script(q, tables, &why);
        if (rc == 0)
            return 0;
        if (q->c == NULL || rc == -ERR_BUSY || strstr(why.msg, "(42501)") != NULL)
            break;
    }
    if (err != NULL)
        *err = why;
    return err_wrap(err, -(int)why.code, "Optuna's tables cannot be created");
}

/* From 3.0 to 3.2 Optuna only added an index; its tables and what is in them stayed the same. */
static const char from_3_0[] = "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);"
                               "UPDATE alembic_version SET version_num='" REVISION "'";

static int upgrade_tables(struct store_pg *q, struct store_upgraded *done, struct err *err)
{
    int rc = tx_enter(q, err);
    return rc < 0 ? rc
                  : tx_leave(q, migrate_there(q, &done->tables_from, &done->tables_to, err), err);
}

static int upgrade(struct store_pg *q, const struct found *f, struct store_upgraded *done,
                   struct err *err)
{
    if (!f->studies)
        return err_set(err, ERR_NOTFOUND, "%s holds no studies", q->name);
    bool old = strcmp(f->revision, REVISION_3_0) == 0;
    int rc = old ? pipe_script(q, from_3_0, err) : create(q, err);
    if (rc == 0)
        rc = upgrade_tables(q, done, err);
    (void)snprintf(done->from, sizeof(done->from), "%s",
                   f->revision[0] != '\0' ? f->revision : "none");
    (void)snprintf(done->to, sizeof(done->to), "%s", REVISION);
    return rc;
}

int schema_open(struct store_pg *q, struct store_upgraded *upgraded, struct err *err)
{
    struct found f;
    int rc = look_at(q, &f, err);
    if (rc == 0)
        rc = check(q, &f, upgraded != NULL, err);
    if (rc < 0)
        return rc;
    if (upgraded != NULL)
        return upgrade(q, &f, upgraded, err);
    if (f.studies && f.schema == 12 && f.revision[0] != '\0')
        return 0;
    if (q->base.read_only)
        return f.studies ? 0 : err_set(err, ERR_NOTFOUND, "%s holds no studies", q->name);
    return create(q, err);
}
