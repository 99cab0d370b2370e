#include "storage/rules.h"

#include <math.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "storage/times.h"

static bool check_json(const struct check_row *row, char *out, size_t size)
{
    if (row->text != NULL && json_check(row->text, row->n))
        return true;
    (void)snprintf(out, size, "is not JSON: %.80s", row->text != NULL ? row->text : "NULL");
    return false;
}

static bool check_time(const struct check_row *row, char *out, size_t size)
{
    int64_t us;
    if (row->text == NULL || (row->is_text && decode_time(row->text, &us)))
        return true;
    (void)snprintf(out, size, "is no time: %.40s", row->text);
    return false;
}

static bool check_param(const struct check_row *row, char *out, size_t size)
{
    struct dist d;
    struct err why = {0};
    if (dist_read_stored(&d, row->text != NULL ? row->text : "", row->n, &why) < 0) {
        (void)snprintf(out, size, "is no distribution: %.120s", why.msg);
        return false;
    }
    bool number = !isnan(row->number);
    bool fine = number && (d.kind != DIST_CHOICE || dist_contains(&d, row->number));
    if (!fine && number)
        (void)snprintf(out, size, "param_value %g is no index of its choices", row->number);
    else if (!fine)
        (void)snprintf(out, size, "param_value is missing");
    dist_free(&d);
    return fine;
}

#define ORPHANS(table_, key, owner, owners)                                                        \
    {                                                                                              \
        STORE_NOTE, table_, owner, "its row in " owners " is not there",                           \
            "SELECT c." key ", 0, 0, c." owner " FROM " table_ " c LEFT JOIN " owners              \
            " o ON o." owner "=c." owner " WHERE o." owner " IS NULL",                             \
            NULL                                                                                   \
    }
#define OF_TRIAL(table_, key) ORPHANS(table_, key, "trial_id", "trials")

/* A value and its type that Optuna never writes together. */
#define WRONG_VALUE(value, type)                                                                   \
    "(" type "='FINITE') <> (" value " IS NOT NULL) OR " type " NOT IN ('FINITE', 'INF_POS', "     \
    "'INF_NEG'"

const struct check_rule check_rules[] = {
    {STORE_BROKEN, "study_directions", "study_id", "the study has no direction",
     "SELECT study_id, study_id, 0, NULL FROM studies"
     " WHERE study_id NOT IN (SELECT study_id FROM study_directions)",
     NULL},
    {STORE_BROKEN, "study_directions", "objective", "the objectives are not 0, 1, 2 …",
     "SELECT min(study_direction_id), study_id, 0, NULL FROM study_directions GROUP BY study_id"
     " HAVING min(objective) <> 0 OR max(objective) <> count(*) - 1",
     NULL},
    {STORE_BROKEN, "study_directions", "direction", "is neither MINIMIZE nor MAXIMIZE",
     "SELECT study_direction_id, study_id, 0, direction FROM study_directions"
     " WHERE direction NOT IN ('MINIMIZE', 'MAXIMIZE')",
     NULL},
    {STORE_BROKEN, "trials", "number", "is missing",
     "SELECT trial_id, study_id, trial_id, NULL FROM trials WHERE number IS NULL", NULL},
    {STORE_BROKEN, "trials", "number", "stands twice in the study: Optuna shows one of the two",
     "SELECT max(trial_id), study_id, max(trial_id), number FROM trials WHERE number IS NOT NULL"
     " GROUP BY study_id, number HAVING count(*) > 1",
     NULL},
    {STORE_BROKEN, "trials", "number", "the study's numbers have a gap: fewer trials than the",
     "SELECT 0, study_id, 0, max(number) FROM trials GROUP BY study_id"
     " HAVING max(number) <> count(DISTINCT number) - 1",
     NULL},
    {STORE_NOTE, "trials", "number", "is not in the order of the ids",
     "SELECT trial_id, study_id, trial_id, number FROM (SELECT trial_id, study_id, number,"
     " lag(number) OVER (PARTITION BY study_id ORDER BY trial_id) AS before FROM trials) AS o"
     " WHERE number < before",
     NULL},
    {STORE_BROKEN, "trials", "state", "is no state",
     "SELECT trial_id, study_id, trial_id, state FROM trials"
     " WHERE state NOT IN ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')",
     NULL},
    {STORE_BROKEN, "trials", "datetime_start", "the trial has ended and lacks a time",
     "SELECT trial_id, study_id, trial_id, state FROM trials WHERE state IN ('COMPLETE', 'PRUNED',"
     " 'FAIL') AND (datetime_start IS NULL OR datetime_complete IS NULL)",
     NULL},
    {STORE_NOTE, "trials", "datetime_start", "does not fit the state",
     "SELECT trial_id, study_id, trial_id, state FROM trials"
     " WHERE (state='WAITING' AND (datetime_start IS NOT NULL OR datetime_complete IS NOT NULL))"
     " OR (state='RUNNING' AND (datetime_start IS NULL OR datetime_complete IS NOT NULL))",
     NULL},
    {STORE_NOTE, "trials", "datetime_complete", "is before the start",
     "SELECT trial_id, study_id, trial_id, datetime_complete FROM trials"
     " WHERE datetime_complete < datetime_start",
     NULL},
    {STORE_BROKEN, "trial_values", "value", "a COMPLETE trial lacks values",
     "SELECT t.trial_id, t.study_id, t.trial_id, NULL FROM trials t WHERE t.state='COMPLETE' AND"
     " (SELECT count(*) FROM trial_values v WHERE v.trial_id=t.trial_id) <>"
     " (SELECT count(*) FROM study_directions d WHERE d.study_id=t.study_id)",
     NULL},
    {STORE_NOTE, "trial_values", "value", "a trial that failed, runs or waits has values",
     "SELECT DISTINCT t.trial_id, t.study_id, t.trial_id, t.state FROM trials t JOIN trial_values v"
     " ON v.trial_id=t.trial_id WHERE t.state IN ('FAIL', 'RUNNING', 'WAITING')",
     NULL},
    {STORE_BROKEN, "trial_values", "objective", "the objectives are not 0, 1, 2 …",
     "SELECT min(trial_value_id), 0, trial_id, NULL FROM trial_values GROUP BY trial_id"
     " HAVING min(objective) <> 0 OR max(objective) <> count(*) - 1",
     NULL},
    {STORE_BROKEN, "trial_values", "value_type",
     "does not fit the value: Optuna cannot read the study",
     "SELECT trial_value_id, 0, trial_id, value_type FROM trial_values WHERE " WRONG_VALUE(
         "value", "value_type") ")",
     NULL},
    {STORE_BROKEN, "trial_intermediate_values", "intermediate_value_type",
     "does not fit the value: Optuna cannot read the study",
     "SELECT trial_intermediate_value_id, 0, trial_id, intermediate_value_type"
     " FROM trial_intermediate_values WHERE " WRONG_VALUE("intermediate_value",
                                                          "intermediate_value_type") ", 'NAN')",
     NULL},
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

    /* rows whose text has to be read */
    {STORE_BROKEN, "trials", "datetime_start", NULL,
     "SELECT trial_id, study_id, trial_id, datetime_start FROM trials", .judge = check_time},
    {STORE_BROKEN, "trials", "datetime_complete", NULL,
     "SELECT trial_id, study_id, trial_id, datetime_complete FROM trials", .judge = check_time},
    {STORE_BROKEN, "trial_params", "distribution_json", NULL,
     "SELECT param_id, 0, trial_id, distribution_json, param_value FROM trial_params",
     .judge = check_param},
    {STORE_BROKEN, "study_user_attributes", "value_json", NULL,
     "SELECT study_user_attribute_id, study_id, 0, value_json FROM study_user_attributes",
     .judge = check_json},
    {STORE_BROKEN, "study_system_attributes", "value_json", NULL,
     "SELECT study_system_attribute_id, study_id, 0, value_json FROM study_system_attributes",
     .judge = check_json},
    {STORE_BROKEN, "trial_user_attributes", "value_json", NULL,
     "SELECT trial_user_attribute_id, 0, trial_id, value_json FROM trial_user_attributes",
     .judge = check_json},
    {STORE_BROKEN, "trial_system_attributes", "value_json", NULL,
     "SELECT trial_system_attribute_id, 0, trial_id, value_json FROM trial_system_attributes",
     .judge = check_json},
};
const size_t check_rules_n = ARRAY_LEN(check_rules);

int check_tell(const struct check_rule *rule, const struct check_row *row,
               int (*fn)(void *ctx, const struct store_problem *p), void *ctx)
{
    char text[240];
    struct store_problem p = {.severity = rule->severity,
                              .table = rule->table,
                              .row = row->row,
                              .column = rule->column,
                              .study = row->study,
                              .trial = row->trial,
                              .text = text};
    if (rule->judge == NULL)
        (void)snprintf(text, sizeof(text), row->text != NULL ? "%s: %.80s" : "%s", rule->text,
                       row->text);
    else if (rule->judge(row, text, sizeof(text)))
        return 0;
    return fn(ctx, &p);
}
