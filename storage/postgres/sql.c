#include "storage/postgres/sql.h"

#include "storage/storage.h"

/* The rows of `table` for the trials in the array $1, by id. */
#define OF_TRIALS(columns, table, order)                                                           \
    "SELECT trial_id, " columns " FROM " table                                                     \
    " WHERE trial_id = ANY($1::int[]) ORDER BY trial_id, " order

#define ATTR_SET(table, owner)                                                                     \
    "INSERT INTO " table "(" owner ", key, value_json) VALUES($1, $2, $3)"                         \
    " ON CONFLICT(" owner ", key) DO UPDATE SET value_json=excluded.value_json"

#define STUDY_ATTRS(table)                                                                         \
    "SELECT key, value_json FROM " table " WHERE study_id=$1"                                      \
    " AND ($2::text IS NULL OR key=$2) ORDER BY key COLLATE \"C\""

#define HEAD "trial_id, number, state, datetime_start, datetime_complete"

/* No id up to $1 is drawn any more. Where that is so already the sequence is left alone: others
 * draw from it meanwhile, and it must not go back. */
#define IDS_BEHIND(table, column)                                                                  \
    "SELECT setval(s, $1::bigint) FROM (SELECT pg_get_serial_sequence('" table "', '" column       \
    "')::regclass AS s) sequence WHERE coalesce(pg_sequence_last_value(s), 0) < $1::bigint"

/* Not a FOR UPDATE, which would also stop rows of others that only refer to this one; Optuna's FOR
 * UPDATE and this one exclude each other. */
#define LOCK " FOR NO KEY UPDATE"

/* Deletes the children, then the study, in one statement: foreign keys are checked at its end. */
#define OF_STUDY(name, table)                                                                      \
    name " AS (DELETE FROM " table                                                                 \
         " WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id=$1)),"

static const char *const texts[SQL_COUNT] = {
    /* whatever the database's own defaults are */
    [SQL_BEGIN_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    [SQL_BEGIN_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    [SQL_NO_IDLE_LIMIT] = "SET LOCAL idle_in_transaction_session_timeout=0",
    [SQL_COMMIT_ASYNC] = "SET LOCAL synchronous_commit=off",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    /* something in the log: a transaction without is not waited for */
    [SQL_LOG_SOMETHING] = "SELECT pg_logical_emit_message(true, 'forkless', '')",

    [SQL_XID] = "SELECT txid_current()",
    /* one that is not there yet is of another server, before a failover */
    [SQL_XID_STATUS] = "SELECT CASE WHEN $1::bigint < txid_snapshot_xmax(txid_current_snapshot())"
                       " THEN txid_status($1::bigint) END",

    [SQL_STUDY_INSERT] = "INSERT INTO studies(study_name) VALUES($1)"
                         " ON CONFLICT(study_name) DO NOTHING RETURNING study_id",
    [SQL_STUDY_DIRECTION_INSERT] =
        "INSERT INTO study_directions(direction, study_id, objective) VALUES($1, $2, $3)",
    [SQL_STUDY_IMPORT] = "INSERT INTO studies(study_id, study_name) VALUES($1, $2)"
                         " ON CONFLICT DO NOTHING RETURNING study_id",
    [SQL_STUDY_IDS_BEHIND] = IDS_BEHIND("studies", "study_id"),
    [SQL_STUDY_FIND] = "SELECT study_id FROM studies WHERE study_name=$1",
    [SQL_STUDY_EXISTS] = "SELECT 1 FROM studies WHERE study_id=$1",
    [SQL_STUDY_LOCK] = "SELECT 1 FROM studies WHERE study_id=$1" LOCK,
    [SQL_STUDY_DIRECTIONS] =
        "SELECT direction FROM study_directions WHERE study_id=$1 ORDER BY objective",
    [SQL_STUDIES] = "SELECT s.study_id, s.study_name, d.direction FROM studies s"
                    " LEFT JOIN study_directions d ON d.study_id=s.study_id"
                    " WHERE $1::int IS NULL OR s.study_id=$1 ORDER BY s.study_id, d.objective",
    [SQL_STUDY_SUMMARIES] =
        "SELECT study_id, state, count(*), min(datetime_start), max(datetime_complete)"
        " FROM trials WHERE study_id IS NOT NULL GROUP BY study_id, state ORDER BY study_id",
    [SQL_STUDY_DELETE] = "WITH " OF_STUDY("h", "trial_heartbeats") OF_STUDY("v", "trial_values")
        OF_STUDY("p", "trial_params") OF_STUDY("i", "trial_intermediate_values")
            OF_STUDY("tu", "trial_user_attributes") OF_STUDY(
                "ts",
                "trial_system_attributes") " t AS (DELETE FROM trials WHERE study_id=$1),"
                                           " su AS (DELETE FROM study_user_attributes WHERE "
                                           "study_id=$1),"
                                           " ss AS (DELETE FROM study_system_attributes WHERE "
                                           "study_id=$1),"
                                           " d AS (DELETE FROM study_directions WHERE study_id=$1)"
                                           " DELETE FROM studies WHERE study_id=$1",
    [SQL_STUDY_USER_ATTR_SET] = ATTR_SET("study_user_attributes", "study_id"),
    [SQL_STUDY_SYSTEM_ATTR_SET] = ATTR_SET("study_system_attributes", "study_id"),
    [SQL_STUDY_USER_ATTRS] = STUDY_ATTRS("study_user_attributes"),
    [SQL_STUDY_SYSTEM_ATTRS] = STUDY_ATTRS("study_system_attributes"),

    [SQL_TRIAL_NEXT_ID] = "SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))",
    [SQL_TRIAL_IDS_BEHIND] = IDS_BEHIND("trials", "trial_id"),
    [SQL_TRIAL_INSERT] = "INSERT INTO trials(trial_id, number, study_id, state, datetime_start,"
                         " datetime_complete) VALUES($1, $2, $3, $4, $5, $6)",
    /* Behind the study's lock: $1 study, $2 up to which id its trials are known, $3 how many those
     * are, $4 state, $5 start, then names, values and distributions of parameters, keys and values
     * of attributes: of users, of the system. The third column is as in SQL_CLAIM. More than 1000
     * trials that are new to us, of any study, are counted in a slower way. */
    [SQL_TRIAL_ADD] =
        "WITH fresh AS (SELECT study_id FROM trials WHERE trial_id>$2::int"
        " ORDER BY trial_id LIMIT 1000),"
        " made AS (INSERT INTO trials(trial_id, number, study_id, state, datetime_start)"
        " SELECT nextval(pg_get_serial_sequence('trials', 'trial_id')),"
        " $3::int + CASE WHEN (SELECT count(*) FROM fresh) < 1000"
        " THEN (SELECT count(*) FROM fresh WHERE study_id=$1::int)"
        " ELSE (SELECT count(*) FROM trials WHERE study_id=$1::int AND trial_id>$2::int) END,"
        " s.study_id, $4::text::trialstate, $5::timestamp"
        " FROM studies s WHERE s.study_id=$1::int RETURNING trial_id, number),"
        " p AS (INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json)"
        " SELECT trial_id, u.* FROM made, unnest($6::text[], $7::float8[], $8::text[]) u"
        " ON CONFLICT DO NOTHING),"
        " ua AS (INSERT INTO trial_user_attributes(trial_id, key, value_json)"
        " SELECT trial_id, u.* FROM made, unnest($9::text[], $10::text[]) u ON CONFLICT DO "
        "NOTHING),"
        " sa AS (INSERT INTO trial_system_attributes(trial_id, key, value_json)"
        " SELECT trial_id, u.* FROM made, unnest($11::text[], $12::text[]) u"
        " ON CONFLICT DO NOTHING)"
        " SELECT (SELECT trial_id FROM made), (SELECT number FROM made),"
        " (SELECT max(trial_id) FROM trials)",
    /* by its row, or where somebody has claimed it meanwhile, by what came with it */
    [SQL_TRIAL_OF_XID] =
        "SELECT t.trial_id, t.number FROM trials t WHERE t.study_id=$1 AND t.trial_id>$2::int"
        " AND ($3::bigint % 4294967296)::text IN (SELECT t.xmin::text UNION ALL"
        " SELECT a.xmin::text FROM trial_system_attributes a WHERE a.trial_id=t.trial_id UNION ALL"
        " SELECT p.xmin::text FROM trial_params p WHERE p.trial_id=t.trial_id)"
        " ORDER BY t.trial_id LIMIT 1 OFFSET $4::bigint",
    [SQL_TRIAL_LOOK] = "SELECT study_id, number, state FROM trials WHERE trial_id=$1",
    [SQL_TRIAL_LOCK] = "SELECT study_id, number, state, datetime_start, datetime_complete"
                       " FROM trials WHERE trial_id=$1" LOCK,
    /* nothing to find is a division by zero, which stops all that is queued behind it */
    [SQL_TRIAL_GUARD] = "SELECT 1 / count(*) FROM (SELECT 1 FROM trials WHERE trial_id=$1"
                        " AND state='RUNNING' AND datetime_start=$2" LOCK ") ours",
    [SQL_TRIAL_FIND] = "SELECT trial_id FROM trials WHERE study_id=$1 AND number=$2",
    /* Behind the study's lock: $1 study, $2 up to which id its trials are known, $3 those of them
     * that are open, $4 the states that take a place of the target, $5 a queued trial to take or
     * NULL for a new one, $6 places that known finished trials have left, $7 start, $8 how many
     * trials are known, $9 of them queued and not due, $10 owner. Nothing is claimed when somebody
     * has changed what would change the choice. The third column is the newest id of any study. */
    [SQL_CLAIM] =
        "WITH fresh AS (SELECT study_id, state FROM trials WHERE trial_id>$2::int"
        " ORDER BY trial_id LIMIT 1000),"
        " ours AS (SELECT state FROM fresh WHERE study_id=$1::int),"
        " open AS (SELECT state FROM trials WHERE trial_id = ANY($3::int[])"
        " UNION ALL SELECT state FROM ours),"
        " seen AS (SELECT count(*) FILTER (WHERE state::text = ANY($4::text[])) AS taken,"
        " count(*) FILTER (WHERE state='WAITING') AS queued FROM open"
        " HAVING (SELECT count(*) FROM fresh) < 1000),"
        " took AS (UPDATE trials SET state='RUNNING', datetime_start=$7::timestamp"
        " WHERE trial_id=$5::int AND state='WAITING' AND $6::bigint > (SELECT taken FROM seen)"
        " RETURNING trial_id, number),"
        " made AS (INSERT INTO trials(trial_id, number, study_id, state, datetime_start)"
        " SELECT nextval(pg_get_serial_sequence('trials', 'trial_id')),"
        " $8::int + (SELECT count(*) FROM ours), s.study_id, 'RUNNING', $7::timestamp"
        " FROM seen, studies s WHERE s.study_id=$1::int AND $5::int IS NULL"
        " AND queued <= $9::bigint AND $6::bigint > taken + $9::bigint"
        " RETURNING trial_id, number),"
        " got AS (SELECT * FROM took UNION ALL SELECT * FROM made),"
        " own AS (INSERT INTO trial_system_attributes(trial_id, key, value_json)"
        " SELECT trial_id, '" STORE_ATTR_OWNER "', $10::text FROM got WHERE $10::text IS NOT NULL"
        " ON CONFLICT(trial_id, key) DO UPDATE SET value_json=excluded.value_json)"
        " SELECT (SELECT trial_id FROM got), (SELECT number FROM got),"
        " (SELECT max(trial_id) FROM trials)",
    [SQL_CLAIM_FIND] =
        "SELECT t.trial_id FROM trials t LEFT JOIN trial_system_attributes a"
        " ON a.trial_id=t.trial_id AND a.key='" STORE_ATTR_OWNER "' WHERE t.study_id=$1"
        " AND t.state='RUNNING' AND t.datetime_start=$2 AND a.value_json IS NOT DISTINCT FROM"
        " $3::text",
    [SQL_TRIAL_CLAIM] = "UPDATE trials SET state='RUNNING', datetime_start=$2"
                        " WHERE trial_id=$1 AND state='WAITING' RETURNING number",
    [SQL_TRIAL_PUT_BACK] = "UPDATE trials SET state='WAITING', datetime_start=NULL"
                           " WHERE trial_id=$1 AND state='RUNNING'",
    [SQL_TRIAL_DISOWN] =
        "DELETE FROM trial_system_attributes WHERE trial_id=$1 AND key='" STORE_ATTR_OWNER "'",
    /* a trial that ends without having run starts when it ends */
    [SQL_TRIAL_END] = "UPDATE trials SET state=$2, datetime_complete=$3,"
                      " datetime_start=coalesce(datetime_start, $3)"
                      " WHERE trial_id=$1 AND state IN ('RUNNING', 'WAITING')",
    [SQL_TRIAL_VALUE_SET] =
        "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES($1, $2, $3, $4)"
        " ON CONFLICT(trial_id, objective) DO UPDATE SET value=excluded.value,"
        " value_type=excluded.value_type",
    [SQL_TRIAL_PARAM_INSERT] =
        "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json)"
        " VALUES($1, $2, $3, $4) ON CONFLICT(trial_id, param_name) DO NOTHING",
    [SQL_TRIAL_STEP_ADD] =
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value,"
        " intermediate_value_type) VALUES($1, $2, $3, $4) ON CONFLICT(trial_id, step) DO NOTHING",
    [SQL_TRIAL_STEP_SET] =
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value,"
        " intermediate_value_type) VALUES($1, $2, $3, $4) ON CONFLICT(trial_id, step) DO UPDATE SET"
        " intermediate_value=excluded.intermediate_value,"
        " intermediate_value_type=excluded.intermediate_value_type",
    [SQL_TRIAL_USER_ATTR_SET] = ATTR_SET("trial_user_attributes", "trial_id"),
    [SQL_TRIAL_SYSTEM_ATTR_SET] = ATTR_SET("trial_system_attributes", "trial_id"),
    /* trial by trial up to the first that has it: a plan for a join, made while the server knows
     * nothing of the tables' sizes, reads the study's every parameter of that name */
    [SQL_FIRST_DISTRIBUTION] =
        "SELECT p.distribution_json FROM (SELECT trial_id FROM trials WHERE study_id=$1"
        " ORDER BY trial_id) t CROSS JOIN LATERAL (SELECT distribution_json FROM trial_params"
        " WHERE trial_id=t.trial_id AND param_name=$2 LIMIT 1) p LIMIT 1",

    /* the clock of the session's time zone, as Optuna's now() is */
    [SQL_HEARTBEAT] =
        "INSERT INTO trial_heartbeats(trial_id, heartbeat)"
        " SELECT trial_id, clock_timestamp() FROM trials WHERE trial_id = ANY($1::int[])"
        " ON CONFLICT(trial_id) DO UPDATE SET heartbeat=excluded.heartbeat",
    [SQL_RUNNING] =
        "SELECT t.trial_id, t.number, t.datetime_start,"
        " extract(epoch FROM clock_timestamp()::timestamp - h.heartbeat), a.value_json"
        " FROM trials t LEFT JOIN trial_heartbeats h ON h.trial_id=t.trial_id"
        " LEFT JOIN trial_system_attributes a ON a.trial_id=t.trial_id AND a.key='" STORE_ATTR_OWNER
        "' WHERE t.trial_id = ANY($1::int[]) AND t.state='RUNNING' ORDER BY t.trial_id",

    /* one statement, so that both halves see the same moment */
    [SQL_INDEX_LOAD] =
        "SELECT t.trial_id, t.number, t.state, 1, a.value_json FROM trials t"
        " LEFT JOIN trial_system_attributes a ON a.trial_id=t.trial_id"
        " AND a.key='" STORE_ATTR_NOT_BEFORE "'"
        " WHERE t.study_id=$1 AND t.state IN ('RUNNING', 'WAITING')"
        " UNION ALL SELECT max(trial_id), 0, state, count(*), NULL FROM trials WHERE study_id=$1"
        " AND state NOT IN ('RUNNING', 'WAITING') GROUP BY state ORDER BY 1",
    /* of those that ran and those that waited */
    [SQL_INDEX_CHANGED] =
        "SELECT trial_id, state FROM trials WHERE trial_id = ANY($1::int[]) AND state<>'RUNNING'"
        " UNION ALL"
        " SELECT trial_id, state FROM trials WHERE trial_id = ANY($2::int[]) AND state<>'WAITING'",
    /* of all studies: a limit on the ids alone never costs more than what it returns */
    [SQL_INDEX_NEW] = "SELECT t.trial_id, t.number, t.state, t.study_id, (SELECT value_json"
                      " FROM trial_system_attributes a WHERE a.trial_id=t.trial_id"
                      " AND a.key='" STORE_ATTR_NOT_BEFORE "') FROM trials t WHERE t.trial_id>$1"
                      " ORDER BY t.trial_id LIMIT 1000",

    [SQL_READ_OPEN] = "DECLARE forkless_trials NO SCROLL CURSOR FOR SELECT " HEAD " FROM trials"
                      " WHERE study_id=$1 AND trial_id>$2 AND trial_id<=$3"
                      " AND ($4::text[] IS NULL OR state::text = ANY($4)) ORDER BY trial_id",
    [SQL_READ_FETCH] = "FETCH 500 FROM forkless_trials",
    [SQL_READ_CLOSE] = "CLOSE forkless_trials",
    [SQL_READ_HEADS] = "SELECT " HEAD " FROM trials WHERE trial_id = ANY($1::int[])"
                       " AND ($2::int IS NULL OR study_id=$2) ORDER BY trial_id",
    [SQL_READ_VALUES] = OF_TRIALS("objective, value, value_type", "trial_values", "objective"),
    [SQL_READ_PARAMS] =
        OF_TRIALS("param_name, param_value, distribution_json", "trial_params", "param_id"),
    [SQL_READ_STEPS] = OF_TRIALS("step, intermediate_value, intermediate_value_type",
                                 "trial_intermediate_values", "step"),
    [SQL_READ_USER_ATTRS] =
        OF_TRIALS("key, value_json", "trial_user_attributes", "trial_user_attribute_id"),
    [SQL_READ_SYSTEM_ATTRS] =
        OF_TRIALS("key, value_json", "trial_system_attributes", "trial_system_attribute_id"),

    [SQL_STUDIES_THERE] = "SELECT to_regclass('studies')",
    [SQL_STUDIES_ANY] = "SELECT 1 FROM studies LIMIT 1",
    [SQL_VERSION_THERE] = "SELECT to_regclass('version_info')",
    [SQL_VERSION] = "SELECT schema_version FROM version_info",
    [SQL_REVISION_THERE] = "SELECT to_regclass('alembic_version')",
    [SQL_REVISION] = "SELECT version_num FROM alembic_version",

    [SQL_TABLES_THERE] = "SELECT to_regclass('forkless_schema')",
    [SQL_TABLES_VERSION] = "SELECT version FROM forkless_schema",
    [SQL_RUN_START] =
        "INSERT INTO finetune_runs AS r (run_id, dag_id, status, config, started_at)"
        " VALUES($1, $2, 'running', $3, $4::timestamp AT TIME ZONE 'UTC') ON CONFLICT(run_id) DO "
        "UPDATE SET status='running',"
        " config=excluded.config, dag_id=coalesce(excluded.dag_id, r.dag_id), ended_at=NULL",
    [SQL_RUN_END] = "UPDATE finetune_runs SET status=$2, ended_at=$3::timestamp AT TIME ZONE 'UTC'"
                    " WHERE run_id=$1 RETURNING 1",
    [SQL_RUN_FIND] = "SELECT 1 FROM finetune_runs WHERE run_id=$1",
    [SQL_RUNS] = "SELECT run_id, dag_id, status, config, started_at AT TIME ZONE 'UTC',"
                 " ended_at AT TIME ZONE 'UTC' FROM finetune_runs ORDER BY started_at,"
                 " run_id COLLATE \"C\"",
    /* $14: +1 when more is better, -1 when less is */
    [SQL_RESULT_PUT] =
        "INSERT INTO finetune_results AS r (run_id, study, crypto_symbol, factor, variant, fold,"
        " trial_number, objective, run_status, params, metrics, buy_trades, created_at)"
        " VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
        " $13::timestamp AT TIME ZONE 'UTC')"
        " ON CONFLICT(run_id, study, variant, fold) DO UPDATE SET"
        " crypto_symbol=excluded.crypto_symbol, factor=excluded.factor,"
        " trial_number=excluded.trial_number, objective=excluded.objective,"
        " run_status=excluded.run_status, params=excluded.params, metrics=excluded.metrics,"
        " buy_trades=excluded.buy_trades, created_at=excluded.created_at"
        " WHERE r.trial_number=excluded.trial_number"
        " OR (excluded.objective IS NOT NULL AND (r.objective IS NULL"
        " OR $14::float8 * excluded.objective > $14::float8 * r.objective))",
    [SQL_RESULTS_COUNT] =
        "SELECT count(*) FROM finetune_results WHERE ($1::text IS NULL OR run_id=$1)"
        " AND ($2::text IS NULL OR study=$2) AND ($3::text IS NULL OR run_status=$3)",
    [SQL_RESULTS] = "SELECT run_id, study, variant, fold, crypto_symbol, factor, trial_number,"
                    " objective, run_status, params, metrics, buy_trades FROM finetune_results"
                    " WHERE ($1::text IS NULL OR run_id=$1) ORDER BY study COLLATE \"C\","
                    " variant COLLATE \"C\", fold, run_id COLLATE \"C\"",

    [SQL_TRAINING_PUT] =
        "INSERT INTO training_runs(run_id, study, trial_number, crypto_symbol, factor,"
        " loss_function, status, failure_class, failure_mode, message, params_requested,"
        " params_used, rolled_back, created_at)"
        " VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
        " $14::timestamp) ON CONFLICT(study, trial_number) DO UPDATE SET run_id=excluded.run_id,"
        " crypto_symbol=excluded.crypto_symbol, factor=excluded.factor,"
        " loss_function=excluded.loss_function, status=excluded.status,"
        " failure_class=excluded.failure_class, failure_mode=excluded.failure_mode,"
        " message=excluded.message, params_requested=excluded.params_requested,"
        " params_used=excluded.params_used, rolled_back=excluded.rolled_back,"
        " created_at=excluded.created_at",
    [SQL_TRAININGS] =
        "SELECT run_id, study, trial_number, crypto_symbol, factor, loss_function, status,"
        " failure_class, failure_mode, message, params_requested, params_used, rolled_back,"
        " created_at FROM training_runs"
        " WHERE created_at >= $1::timestamp ORDER BY created_at, training_id",
    /* also where the row is missing */
    [SQL_CONFIG_LOCK] = "LOCK TABLE ftf_config IN SHARE ROW EXCLUSIVE MODE",
    [SQL_CONFIG_GET] =
        "SELECT base_env, version, changed_at AT TIME ZONE 'UTC' FROM ftf_config WHERE id=1",
    [SQL_CONFIG_INSERT] = "INSERT INTO ftf_config(id, base_env, version, changed_at)"
                          " VALUES(1, $1, $2, $3::timestamp AT TIME ZONE 'UTC')",
    [SQL_CONFIG_SET] = "UPDATE ftf_config SET base_env=$1, version=$2,"
                       " changed_at=$3::timestamp AT TIME ZONE 'UTC' WHERE id=1",
    [SQL_CONFIG_EVENT_PUT] =
        "INSERT INTO ftf_config_history(version, changed_at, changed_by, reason, old_env, new_env)"
        " VALUES($1, $2::timestamp AT TIME ZONE 'UTC', $3, $4, $5, $6)",
    [SQL_CONFIG_EVENTS] =
        "SELECT version, changed_at AT TIME ZONE 'UTC', changed_by, reason, old_env, new_env"
        " FROM ftf_config_history ORDER BY change_id DESC",
};

const char *sql_text(enum sql id)
{
    return texts[id];
}
