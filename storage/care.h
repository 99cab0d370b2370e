/* What `forkless db` does with a store beyond what sweeps do: looking for damage, and moving. */
#pragma once

#include "storage/storage.h"

/* ---- damage ---- */

enum store_severity {
    STORE_NOTE,   /* Optuna never writes it, and reads it all the same */
    STORE_BROKEN, /* Optuna or forkless cannot read the study, or silently reads something else */
};

struct store_problem {
    enum store_severity severity;
    const char *table; /* of the row; "" = the file itself */
    int64_t row;       /* value of its primary key; 0 = none */
    const char *column;
    int64_t study, trial; /* ids; 0 = none */
    const char *text;     /* what is wrong */
};

/* Looks at everything and calls fn for each problem; a non-zero return stops and is returned.
 * quick: without the check that every index agrees with its table. Reads from one snapshot. Errors:
 * ERR_INVALID (this backend cannot), and those of reading. */
int store_check(struct store *s, bool quick, int (*fn)(void *ctx, const struct store_problem *p),
                void *ctx, struct err *err);

struct store_vacuumed {
    int64_t before_bytes, after_bytes;
};

/* Gives free pages back to the file system. Takes the write lock for as long as it takes to write
 * the file anew. Errors: ERR_INVALID (this backend does it by itself). */
int store_vacuum(struct store *s, struct store_vacuumed *out, struct err *err);

/* ---- moving ---- */

/* Creates a study or a trial with the id, and the number, that it had elsewhere; the trial as it
 * stands, with its times. In a batch. Errors: ERR_UNSUPPORTED (this backend gives its own),
 * ERR_EXISTS (the id or the name is taken), ERR_NOTFOUND (study). */
int store_study_import(struct store *s, const struct study_info *info, struct err *err);
int store_trial_import(struct store *s, int64_t study, const struct trial *t, struct err *err);

struct store_copy_opts {
    const char *const *names; /* [n_names] of studies; none: all */
    size_t n_names;
};

struct store_copied {
    int64_t studies, trials;
    int64_t running; /* of the trials: their copies stay RUNNING */
    bool kept_ids;   /* every study and trial has the id that it had */
};

/* Copies studies with all that Optuna knows of them, in one transaction of dst: all or nothing. A
 * trial keeps its number, and its id where dst's backend can and has it free: then all keep theirs.
 * Errors: ERR_EXISTS (a study of that name is in dst), ERR_NOTFOUND (a name), and those of reading
 * and writing. */
int store_copy(struct store *dst, struct store *src, const struct store_copy_opts *opts,
               struct store_copied *out, struct err *err);
