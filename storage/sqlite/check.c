/* Looks for damage: the file, the rows against each other, and what each row says. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "storage/sqlite/care.h"

struct checking {
    struct store_sqlite *q;
    store_problem_fn *fn;
    void *ctx;
    struct err *err;
};

/* A rule in SQL: each row that it selects is a problem: row id, study, trial, and perhaps what was
 * found. The first one that Optuna trips over is the reason of the severity. */
struct rule {
    enum store_severity severity;
    const char *table, *column, *text;
    const char *sql;
};

#define ORPHANS(table_, key, owner, owners)                                                        \
    {                                                                                              \
        STORE_NOTE, table_, owner, "its " owners " is not there",                                  \
            "SELECT c." key ", 0, 0, c." owner " FROM " table_ " c LEFT JOIN " owners              \
            " o ON o." owner "=c." owner " WHERE o." owner " IS NULL"                              \
    }
#define OF_TRIAL(table_, key) ORPHANS(table_, key, "trial_id", "trials")

/* A value and its type that Optuna never writes together. */
#define WRONG_VALUE(value, type)                                                                   \
    "(" type "='FINITE') <> (" value " IS NOT NULL) OR " type " NOT IN ('FINITE', 'INF_POS', "     \
    "'INF_NEG'"

static const struct rule rules[] = {
    {STORE_BROKEN, "study_directions", "study_id", "the study has no direction",
     "SELECT study_id, study_id, 0, NULL FROM studies"
     " WHERE study_id NOT IN (SELECT study_id FROM study_directions)"},
    {STORE_BROKEN, "study_directions", "objective", "the objectives are not 0, 1, 2 …",
     "SELECT min(study_direction_id), study_id, 0, NULL FROM study_directions GROUP BY study_id"
     " HAVING min(objective) <> 0 OR max(objective) <> count(*) - 1"},
    {STORE_BROKEN, "study_directions", "direction", "is neither MINIMIZE nor MAXIMIZE",
     "SELECT study_direction_id, study_id, 0, direction FROM study_directions"
     " WHERE direction NOT IN ('MINIMIZE', 'MAXIMIZE')"},
    {STORE_BROKEN, "trials", "number", "is missing",
     "SELECT trial_id, study_id, trial_id, NULL FROM trials WHERE number IS NULL"},
    {STORE_BROKEN, "trials", "number", "stands twice in the study: Optuna shows one of the two",
     "SELECT max(trial_id), study_id, max(trial_id), number FROM trials WHERE number IS NOT NULL"
     " GROUP BY study_id, number HAVING count(*) > 1"},
    {STORE_BROKEN, "trials", "number", "the study's numbers have a gap: fewer trials than the",
     "SELECT 0, study_id, 0, max(number) FROM trials GROUP BY study_id"
     " HAVING max(number) <> count(DISTINCT number) - 1"},
    {STORE_NOTE, "trials", "number", "is not in the order of the ids",
     "SELECT trial_id, study_id, trial_id, number FROM (SELECT trial_id, study_id, number,"
     " lag(number) OVER (PARTITION BY study_id ORDER BY trial_id) AS before FROM trials)"
     " WHERE number < before"},
    {STORE_BROKEN, "trials", "state", "is no state",
     "SELECT trial_id, study_id, trial_id, state FROM trials"
     " WHERE state NOT IN ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')"},
    {STORE_BROKEN, "trials", "datetime_start", "the trial has ended and lacks a time",
     "SELECT trial_id, study_id, trial_id, state FROM trials WHERE state IN ('COMPLETE', 'PRUNED',"
     " 'FAIL') AND (datetime_start IS NULL OR datetime_complete IS NULL)"},
    {STORE_NOTE, "trials", "datetime_start", "does not fit the state",
     "SELECT trial_id, study_id, trial_id, state FROM trials"
     " WHERE (state='WAITING' AND (datetime_start IS NOT NULL OR datetime_complete IS NOT NULL))"
     " OR (state='RUNNING' AND (datetime_start IS NULL OR datetime_complete IS NOT NULL))"},
    {STORE_NOTE, "trials", "datetime_complete", "is before the start",
     "SELECT trial_id, study_id, trial_id, datetime_complete FROM trials"
     " WHERE datetime_complete < datetime_start"},
    {STORE_BROKEN, "trial_values", "value", "a COMPLETE trial lacks values",
     "SELECT t.trial_id, t.study_id, t.trial_id, NULL FROM trials t WHERE t.state='COMPLETE' AND"
     " (SELECT count(*) FROM trial_values v WHERE v.trial_id=t.trial_id) <>"
     " (SELECT count(*) FROM study_directions d WHERE d.study_id=t.study_id)"},
    {STORE_NOTE, "trial_values", "value", "a trial that failed, runs or waits has values",
     "SELECT DISTINCT t.trial_id, t.study_id, t.trial_id, t.state FROM trials t JOIN trial_values v"
     " ON v.trial_id=t.trial_id WHERE t.state IN ('FAIL', 'RUNNING', 'WAITING')"},
    {STORE_BROKEN, "trial_values", "objective", "the objectives are not 0, 1, 2 …",
     "SELECT min(trial_value_id), 0, trial_id, NULL FROM trial_values GROUP BY trial_id"
     " HAVING min(objective) <> 0 OR max(objective) <> count(*) - 1"},
    {STORE_BROKEN, "trial_values", "value_type",
     "does not fit the value: Optuna cannot read the study",
     "SELECT trial_value_id, 0, trial_id, value_type FROM trial_values WHERE " WRONG_VALUE(
         "value", "value_type") ")"},
    {STORE_BROKEN, "trial_intermediate_values", "intermediate_value_type",
     "does not fit the value: Optuna cannot read the study",
     "SELECT trial_intermediate_value_id, 0, trial_id, intermediate_value_type"
     " FROM trial_intermediate_values WHERE " WRONG_VALUE("intermediate_value",
                                                          "intermediate_value_type") ", 'NAN')"},
    ORPHANS("study_directions", "study_direction_id", "study_id", "studies"),
    ORPHANS("study_user_attributes", "study_user_attribute_id", "study_id", "studies"),
    ORPHANS("study_system_attributes", "study_system_attribute_id", "study_id", "studies"),
    ORPHANS("trials", "trial_id", "study_id", "studies"),
    OF_TRIAL("trial_user_attributes", "trial_user_attribute_id"),
    OF_TRIAL("trial_system_attributes", "trial_system_attribute_id"),
    OF_TRIAL("trial_params", "param_id"),
    OF_TRIAL("trial_values", "trial_value_id"),
    OF_TRIAL("trial_intermediate_values", "trial_intermediate_value_id"),
    OF_TRIAL("trial_heartbeats", "trial_heartbeat_id"),
};

static void finalize(sqlite3_stmt **st)
{
    (void)sqlite3_finalize(*st); /* repeats the error of the last step */
}
#define AUTO_STMT AUTO(finalize)

static int tell(const struct checking *c, const struct rule *r, sqlite3_stmt *st, const char *text)
{
    const struct store_problem p = {.severity = r->severity,
                                    .table = r->table,
                                    .row = sqlite3_column_int64(st, 0),
                                    .column = r->column,
                                    .study = sqlite3_column_int64(st, 1),
                                    .trial = sqlite3_column_int64(st, 2),
                                    .text = text};
    return c->fn(c->ctx, &p);
}

static int check_rule(const struct checking *c, const struct rule *r)
{
    AUTO_STMT sqlite3_stmt *st = NULL;
    int rc;
    if (sqlite3_prepare_v2(c->q->db, r->sql, -1, &st, NULL) != SQLITE_OK)
        return sql_fail(c->q, c->err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        char text[240];
        const char *found = (const char *)sqlite3_column_text(st, 3);
        (void)snprintf(text, sizeof(text), found != NULL ? "%s: %.80s" : "%s", r->text, found);
        rc = tell(c, r, st, text);
        if (rc != 0)
            return rc;
    }
    return rc == SQLITE_DONE ? 0 : sql_fail(c->q, c->err);
}

/* --- rows whose text has to be read
 * --------------------------------------------------------------- */

/* Each judges a row of its query; false and a sentence when it is wrong. */
typedef bool judge_fn(sqlite3_stmt *st, char *text, size_t size);

static bool is_json(sqlite3_stmt *st, char *text, size_t size)
{
    const char *json = sql_text(st, 3);
    if (json_check(json, (size_t)sqlite3_column_bytes(st, 3)))
        return true;
    (void)snprintf(text, size, "is not JSON: %.80s", json);
    return false;
}

static bool is_time(sqlite3_stmt *st, char *text, size_t size)
{
    int64_t us;
    int type = sqlite3_column_type(st, 3);
    if (type == SQLITE_NULL ||
        (type == SQLITE_TEXT && decode_time((const char *)sqlite3_column_text(st, 3), &us)))
        return true;
    (void)snprintf(text, size, "is no time: %.40s", sql_text(st, 3));
    return false;
}

static bool is_param(sqlite3_stmt *st, char *text, size_t size)
{
    struct dist d;
    struct err why = {0};
    const char *json = sql_text(st, 3);
    if (dist_read_stored(&d, json, (size_t)sqlite3_column_bytes(st, 3), &why) < 0) {
        (void)snprintf(text, size, "is no distribution: %.120s", why.msg);
        return false;
    }
    double value = sqlite3_column_double(st, 4);
    bool number = sqlite3_column_type(st, 4) != SQLITE_NULL && !isnan(value);
    bool fine = number && (d.kind != DIST_CHOICE || dist_contains(&d, value));
    if (!fine && number)
        (void)snprintf(text, size, "param_value %g is no index of its choices", value);
    else if (!fine)
        (void)snprintf(text, size, "param_value is missing");
    dist_free(&d);
    return fine;
}

static const struct {
    struct rule rule;
    judge_fn *judge;
} readings[] = {
    {{STORE_BROKEN, "trials", "datetime_start", NULL,
      "SELECT trial_id, study_id, trial_id, datetime_start FROM trials"},
     is_time},
    {{STORE_BROKEN, "trials", "datetime_complete", NULL,
      "SELECT trial_id, study_id, trial_id, datetime_complete FROM trials"},
     is_time},
    {{STORE_BROKEN, "trial_params", "distribution_json", NULL,
      "SELECT param_id, 0, trial_id, distribution_json, param_value FROM trial_params"},
     is_param},
    {{STORE_BROKEN, "study_user_attributes", "value_json", NULL,
      "SELECT study_user_attribute_id, study_id, 0, value_json FROM study_user_attributes"},
     is_json},
    {{STORE_BROKEN, "study_system_attributes", "value_json", NULL,
      "SELECT study_system_attribute_id, study_id, 0, value_json FROM study_system_attributes"},
     is_json},
    {{STORE_BROKEN, "trial_user_attributes", "value_json", NULL,
      "SELECT trial_user_attribute_id, 0, trial_id, value_json FROM trial_user_attributes"},
     is_json},
    {{STORE_BROKEN, "trial_system_attributes", "value_json", NULL,
      "SELECT trial_system_attribute_id, 0, trial_id, value_json FROM trial_system_attributes"},
     is_json},
};

static int check_reading(const struct checking *c, const struct rule *r, judge_fn *judge)
{
    AUTO_STMT sqlite3_stmt *st = NULL;
    int step, rc = 0;
    if (sqlite3_prepare_v2(c->q->db, r->sql, -1, &st, NULL) != SQLITE_OK)
        return sql_fail(c->q, c->err);
    while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        char text[240];
        if (!judge(st, text, sizeof(text)))
            rc = tell(c, r, st, text);
    }
    return rc != 0 || step == SQLITE_DONE ? rc : sql_fail(c->q, c->err);
}

/* --- the file
 * ------------------------------------------------------------------------------------------ */

/* What SQLite finds. A page that cannot be read at all ends it with an error, told as a problem. */
static int check_file(const struct checking *c, bool quick, bool *sound)
{
    AUTO_STMT sqlite3_stmt *st = NULL;
    int rc;
    *sound = true;
    if (sqlite3_prepare_v2(c->q->db, quick ? "PRAGMA quick_check" : "PRAGMA integrity_check", -1,
                           &st, NULL) != SQLITE_OK)
        return sql_fail(c->q, c->err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const struct store_problem p = {
            .severity = STORE_BROKEN, .table = "", .column = "", .text = sql_text(st, 0)};
        if (strcmp(p.text, "ok") == 0)
            continue;
        *sound = false;
        int told = c->fn(c->ctx, &p);
        if (told != 0)
            return told;
    }
    return rc == SQLITE_DONE ? 0 : sql_fail(c->q, c->err);
}

static int check_all(const struct checking *c, bool quick)
{
    bool sound;
    int rc = check_file(c, quick, &sound);
    if (rc != 0 || !sound) /* what a damaged file says of its rows is noise */
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(rules) && rc == 0; i++)
        rc = check_rule(c, &rules[i]);
    for (size_t i = 0; i < ARRAY_LEN(readings) && rc == 0; i++)
        rc = check_reading(c, &readings[i].rule, readings[i].judge);
    return rc;
}

int sqlite_check(struct store *s, bool quick, store_problem_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *q = CONTAINER_OF(s, struct store_sqlite, base);
    const struct checking c = {.q = q, .fn = fn, .ctx = ctx, .err = err};
    int rc = tx_enter_read(q, err);
    return rc < 0 ? rc : tx_leave_read(q, check_all(&c, quick));
}
