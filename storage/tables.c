#include "storage/tables.h"

#include <stdbool.h>

#include "base/cleanup.h"

/* clang-format off */
static const struct table_column runs[] = {
    {"run_id", CELL_TEXT},       {"dag_id", CELL_TEXT}, {"factor", CELL_TEXT}, {"crypto_group", CELL_TEXT},
    {"power_mode", CELL_TEXT},   {"status", CELL_TEXT}, {"config", CELL_TEXT}, {"image_sha", CELL_TEXT},
    {"started_at", CELL_TIME},   {"ended_at", CELL_TIME},
};
static const struct table_column results[] = {
    {"run_id", CELL_TEXT},       {"study", CELL_TEXT},  {"crypto_symbol", CELL_TEXT}, {"factor", CELL_TEXT},
    {"variant", CELL_TEXT},      {"fold", CELL_INT},    {"trial_number", CELL_INT},   {"objective", CELL_REAL},
    {"run_status", CELL_TEXT},   {"params", CELL_JSON}, {"metrics", CELL_JSON},       {"buy_trades", CELL_INT},
    {"created_at", CELL_TIME},
};
static const struct table_column trainings[] = {
    {"run_id", CELL_TEXT},       {"study", CELL_TEXT},  {"trial_number", CELL_INT},   {"crypto_symbol", CELL_TEXT},
    {"factor", CELL_TEXT},       {"loss_function", CELL_TEXT}, {"status", CELL_TEXT}, {"failure_class", CELL_TEXT},
    {"failure_mode", CELL_TEXT}, {"message", CELL_TEXT}, {"params_requested", CELL_JSON},
    {"params_used", CELL_JSON},  {"rolled_back", CELL_BOOL}, {"created_at", CELL_UTC_TIME},
};
static const struct table_column config[] = {
    {"id", CELL_INT},            {"base_env", CELL_JSON}, {"version", CELL_INT}, {"changed_at", CELL_TIME},
};
static const struct table_column history[] = {
    {"version", CELL_INT},       {"changed_at", CELL_TIME}, {"changed_by", CELL_TEXT}, {"reason", CELL_TEXT},
    {"old_env", CELL_JSON},      {"new_env", CELL_JSON},
};

#define COLUMNS(c) c, ARRAY_LEN(c)
const struct table_form table_forms[STORE_TABLES] = {
    [STORE_RUNS] = {"finetune_runs", COLUMNS(runs), "started_at, run_id", "run_id", true, 1},
    [STORE_RESULTS] = {"finetune_results", COLUMNS(results), "result_id", "run_id, study, variant, fold", false, 1},
    [STORE_TRAININGS] = {"training_runs", COLUMNS(trainings), "training_id", "study, trial_number", false, 2},
    [STORE_CONFIG] = {"ftf_config", COLUMNS(config), "id", NULL, false, 2},
    [STORE_CONFIG_HISTORY] = {"ftf_config_history", COLUMNS(history), "change_id", NULL, false, 2},
};
/* clang-format on */

void table_put_columns(struct buf *sql, const struct table_form *form)
{
    for (size_t i = 0; i < form->n; i++)
        buf_printf(sql, "%s%s", i > 0 ? ", " : "", form->columns[i].name);
}

void table_put_conflict(struct buf *sql, const struct table_form *form)
{
    if (form->key == NULL)
        return;
    buf_printf(sql, " ON CONFLICT(%s) DO %s", form->key, form->stays ? "NOTHING" : "UPDATE SET ");
    for (size_t i = 0; i < form->n && !form->stays; i++)
        buf_printf(sql, "%s%s=excluded.%s", i > 0 ? ", " : "", form->columns[i].name,
                   form->columns[i].name);
}
