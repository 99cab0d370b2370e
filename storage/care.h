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

/* The tables beside Optuna's, in the order in which their rows can be written. */
enum store_table {
    STORE_RUNS,      /* finetune_runs */
    STORE_RESULTS,   /* finetune_results */
    STORE_TRAININGS, /* training_runs */
    STORE_CONFIG,    /* ftf_config */
    STORE_CONFIG_HISTORY,
    STORE_TABLES
};

/* "finetune_runs" … Static. */
const char *store_table_name(enum store_table table);
/* Whether the store keeps them; one behind a proxy does not. */
bool store_keeps_tables(const struct store *s);
/* Calls fn for each row of the table, or of those of a study (by name; STORE_RESULTS and
 * STORE_TRAININGS alone), in the order in which they came; the cells are as storage/tables.h has
 * them, and borrowed. None when there are no tables. A non-zero return of fn stops and is returned.
 * Errors: ERR_CORRUPT, with the column. */
int store_rows_each(struct store *s, enum store_table table, const char *study,
                    int (*fn)(void *ctx, const char *const *cells), void *ctx, struct err *err);
/* Writes a row; one with the same key is replaced, but of finetune_runs, where it stays. Creates
 * the tables when missing. In a batch. */
int store_row_put(struct store *s, enum store_table table, const char *const *cells,
                  struct err *err);
/* Deletes all rows of the table. Creates the tables when missing. In a batch. */
int store_rows_clear(struct store *s, enum store_table table, struct err *err);

/* Destroys the handle, and the file that was made when it was opened, unless somebody has it
 * open, or has put a study into it by now. */
void store_discard(struct store *s);

struct store_copy_opts {
    const char *const *names; /* [n_names] of studies; none: all */
    size_t n_names;
};

struct store_copied {
    int64_t studies, trials;
    int64_t running;            /* of the trials: their copies stay RUNNING */
    bool kept_ids;              /* every study and trial has the id that it had */
    int64_t rows[STORE_TABLES]; /* copied */
    struct {
        int64_t rows;    /* left behind; 0 with a reason: it is not known how many */
        const char *why; /* static; NULL: none were */
    } left[STORE_TABLES];
};

/* Copies studies with all that Optuna knows of them, and with their rows of the tables beside
 * Optuna's; where all studies are copied, with all the rows there are, and with ftf_config, unless
 * dst has one of its own. In one transaction of dst: all or nothing; behind a proxy, which has
 * none, what was copied is deleted again when the copy fails. A trial keeps its number, and its id
 * where dst's backend can and has it free: then all keep theirs. Errors: ERR_EXISTS (a study of
 * that name is in dst, or another run of the same id), ERR_NOTFOUND (a name), and those of reading
 * and writing. */
int store_copy(struct store *dst, struct store *src, const struct store_copy_opts *opts,
               struct store_copied *out, struct err *err);
