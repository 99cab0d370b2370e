/* Opening a database, and the table of operations. */
#include <stdlib.h>
#include <string.h>

#include "storage/module.h"
#include "storage/postgres/add.h"
#include "storage/postgres/index.h"
#include "storage/postgres/ops.h"
#include "storage/postgres/reader.h"

enum { BUSY_MS_DEFAULT = 60000, BUSY_MS_MIN = 50 };

static void pg_destroy(struct store *s)
{
    struct store_pg *q = CONTAINER_OF(s, struct store_pg, base);
    pg_rollback(s);
    conn_drop(q);
    index_free(q);
    again_free(q);
    add_free(q);
    reader_destroy(q->reader);
    free(q->waits);
    free(q->checked);
    free(q->url);
    free(q->name);
    free(q);
}

static const struct store_ops ops = {
    .scheme = "postgresql",
    .destroy = pg_destroy,
    .begin = pg_begin,
    .commit = pg_commit,
    .sync = pg_sync,
    .rollback = pg_rollback,
    .study_create = pg_study_create,
    .study_find = pg_study_find,
    .study_directions = pg_study_directions,
    .studies_each = pg_studies_each,
    .study_look = pg_study_look,
    .study_delete = pg_study_delete,
    .study_attr_set = pg_study_attr_set,
    .study_attr_get = pg_study_attr_get,
    .study_attrs_each = pg_study_attrs_each,
    .study_counts = pg_study_counts,
    .ids_optional = true,
    .trial_create = pg_trial_create,
    .trial_claim = pg_trial_claim,
    .trial_params = pg_trial_params,
    .trial_steps = pg_trial_steps,
    .trial_attrs = pg_trial_attrs,
    .trial_finish = pg_trial_finish,
    .trial_state = pg_trial_state,
    .trial_retry = pg_trial_retry,
    .heartbeat = pg_heartbeat,
    .running_each = pg_running_each,
    .trials_each = pg_trials_each,
    .trial_get = pg_trial_get,
    .trial_look = pg_trial_look,
    .trial_find = pg_trial_find,
    .trials_sync = pg_trials_sync,
    .run_start = pg_run_start,
    .run_end = pg_run_end,
    .runs_each = pg_runs_each,
    .results_put = pg_results_put,
    .results_count = pg_results_count,
    .ftf = &pg_ftf_ops,
    .care = &pg_care_ops,
};

int store_pg_open(struct store **out, const char *url, const struct store_opts *opts,
                  struct err *err)
{
    struct store_pg *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return err_set(err, ERR_NOMEM, "store");
    q->base = (struct store){.ops = &ops, .owner = getpid(), .read_only = opts->read_only};
    q->busy_ms = opts->busy_ms > 0 ? opts->busy_ms : BUSY_MS_DEFAULT;
    if (q->busy_ms < BUSY_MS_MIN)
        q->busy_ms = BUSY_MS_MIN;
    int rc = conn_read_url(q, url, err);
    if (rc == 0)
        rc = conn_ensure(q, true, err);
    if (rc == 0)
        rc = schema_open(q, opts->upgrade, err);
    if (rc < 0) {
        pg_destroy(&q->base);
        return rc;
    }
    *out = &q->base;
    return 0;
}

STORE_MODULE(store_pg_open);
