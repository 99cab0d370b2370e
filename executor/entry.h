/* What a trial leaves in the store at one time: an entry. The same entry goes to the store directly
 * (record.c) or by way of the spool (spool/), and means the same on both ways. */
#pragma once

#include "base/json.h"
#include "storage/storage.h"

/* The end of a trial. */
struct entry_end {
    enum trial_state state;
    double value; /* NaN: none */
    enum fail_class fail;
    const char *message;    /* why it failed; "": nothing to say */
    bool retry;             /* queue it again */
    int64_t retry_at_us;    /* not before, UTC; 0: at once */
    const json_t *fallback; /* of the retry: with other values (requeue.h); NULL: with the same */
    const char *refused;    /* why an earlier entry of the trial was refused; NULL: none was */

    const json_t *rows; /* array of result rows as the worker gave them; NULL: none */
    const char *params; /* for the rows: JSON object name -> value */
    /* what training_runs gets besides: an object with loss_function (or null), requested, used
     * (objects of parameters) and rolled_back; NULL: the trial is no training */
    const json_t *training;
    const char *run_id, *crypto, *factor; /* for both; the last two may be NULL */
    enum direction direction;
};

/* Everything is borrowed. */
struct entry {
    int64_t trial;     /* id in the store */
    const char *study; /* by name */
    int64_t number;
    const struct trial_param *params;
    size_t n_params;
    const struct trial_step *steps;
    size_t n_steps;
    json_t *attrs, *rungs;       /* user and system attributes, objects; NULL: none */
    const struct entry_end *end; /* NULL: the trial goes on */
};

/* Writes an entry without an end. Errors: of store_trial_params, _steps and _attrs. */
int entry_put_news(const struct entry *e, struct store *s, struct err *err);
/* Writes an entry with an end. *why: an earlier refusal of something of this trial, or code
 * ERR_NONE; on return also what was refused of this entry. With a refusal a good outcome is stored
 * as a failure of class `storage`: what the store lacks makes it a lie. *failed tells that. Errors:
 * trouble, that a later try may not have; ERR_FINISHED; of store_results_put and
 * store_training_put. */
int entry_put_end(const struct entry *e, struct store *s, struct err *why, bool *failed,
                  struct err *err);
