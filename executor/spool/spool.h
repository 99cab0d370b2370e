/* The spool: what trials leave in the store, kept on disk beside the run while the store is away.
 *
 * Results wait for the store in memory (storeq.h); the spool is there for the case that the
 * executor does not live so long. Once an entry is in it, a `kill -9` or a power cut loses nothing:
 * the next executor of the run, or `forkless spool replay`, writes it to the store. When the store
 * has taken all that is in it, it is emptied.
 *
 * A file in `<run directory>/.spool/`, locked (flock) by the executor whose it is. Each line is the
 * CRC-32C of its JSON in eight hex digits, a space, and the JSON: first what the file is, then an
 * entry a line, in the order in which they happened. Lines are only appended, many with one write,
 * and synced; so only the end can be torn, and a line that is damaged is told from a whole one. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "executor/entry.h"

#define SPOOL_DIR ".spool"
#define SPOOL_SUFFIX ".spool"
#define SPOOL_DAMAGED ".damaged" /* after the suffix: some of it could not be read, ever */

/* ---- writing (file.c) ---- */

struct spool;

struct spool_conf {
    const char *run_dir; /* exists */
    const char *storage; /* URL; its password is not written */
    const char *run_id;
    const char *owner; /* of the trials, as in the store */
};

/* Makes the file and reserves room for it, so that a full disk finds it there. On success *out is
 * the caller's. Errors: ERR_IO, ERR_NOMEM. */
int spool_create(struct spool **out, const struct spool_conf *conf, struct err *err);
/* Removes the file, unless entries are left in it. NULL is fine. */
void spool_destroy(struct spool *sp);
/* Entries that the store has not taken yet. */
int64_t spool_left(struct spool *sp);
const char *spool_path(const struct spool *sp);

/* These may be called from several threads. Between begin and append, which stand in pairs, no
 * other thread changes the file. Returns its generation: another one each time when it was emptied.
 */
unsigned spool_begin(struct spool *sp);
/* Appends the lines of n entries and syncs them. On an error none of them is in the file. Errors:
 * ERR_UNAVAILABLE (disk full, I/O error). */
int spool_append(struct spool *sp, const struct buf *lines, int64_t n, struct err *err);
/* The store has taken n of the entries. */
void spool_settle(struct spool *sp, int64_t n);

/* Numbers the entries of a trial in the file, so that a missing one is noticed. */
struct spool_chain {
    unsigned generation, n;
};
unsigned spool_chain_next(struct spool_chain *c, unsigned generation);

/* ---- the format (encode.c, read.c) ---- */

/* Appends the first line. */
void spool_put_head(struct buf *out, const struct spool_conf *conf);
/* Appends the line of an entry, the part-th of its trial. */
void spool_put(struct buf *out, const struct entry *e, unsigned part);

/* An entry that was read; owns what it points to. */
struct spool_entry {
    struct entry entry;
    struct entry_end end;
    unsigned part;
    int64_t at_us;      /* when it was written, UTC; 0: not said */
    json_t *doc;        /* the texts are in it */
    struct dist *dists; /* [entry.n_params] */
    struct trial_param *params;
    struct trial_step *steps;
};

/* A spool as read. */
struct spool_data {
    json_t *head;
    const char *storage, *cwd, *run_id, *owner; /* of the first line; NULL: not there */
    struct spool_entry *entries;
    size_t n, cap;
    size_t damaged;       /* lines that are not what was written */
    size_t first_damaged; /* their first, from 1 */
    bool torn;            /* the last line was not written to its end: it never counted */
};

/* Reads n bytes. Damage is no error: it is counted, and the rest read. Errors: ERR_NOMEM,
 * ERR_INVALID (no spool). */
int spool_read(struct spool_data *out, const char *bytes, size_t n, struct err *err);
void spool_data_free(struct spool_data *d);
/* Trials whose end is in it. */
size_t spool_data_ended(const struct spool_data *d);

/* ---- to the store (replay.c) ---- */

struct spool_report {
    int64_t entries;    /* read */
    int64_t stored;     /* trials that were finished by this replay */
    int64_t already;    /* trials whose end the store had already */
    int64_t superseded; /* trials that somebody else had ended otherwise: the store stands */
    int64_t incomplete; /* trials that lack a damaged line: not touched */
    int64_t missing;    /* entries whose trial is not in this store */
    size_t damaged;     /* lines */
    bool torn;
};

/* Writes the entries to the store, in order, each in a transaction; a trial that is finished is
 * left alone, so that it may be done again. Durable when it returns. over (may be NULL) is looked
 * at between two entries. Errors: of the store; ERR_STOPPED, it became true. */
int spool_replay(const struct spool_data *d, struct store *s, const atomic_bool *over,
                 struct spool_report *report, struct err *err);

/* A spool whose executor is gone, opened and locked. */
struct spool_file {
    char *path;
    int fd;
    bool damaged_name; /* it ends in SPOOL_DAMAGED */
    struct spool_data data;
};
void spool_file_close(struct spool_file *f);

enum spool_owner { SPOOL_IDLE, SPOOL_LIVES };

/* Calls fn for each spool in the run directory, by name; with a lock when nobody has it
 * (SPOOL_IDLE) and without when its executor lives. A file that cannot be read has rc and err. A
 * non-zero return of fn stops and is returned; *n (may be NULL) counts. No directory is no error.
 */
typedef int spool_file_fn(void *ctx, struct spool_file *f, enum spool_owner owner, int rc,
                          const struct err *err);
int spool_each(const char *run_dir, spool_file_fn *fn, void *ctx, struct err *err);

/* Replays a file and removes it, or gives it the name for damaged ones when some of it cannot be
 * stored, ever. One with entries that are missing in this store stays. Errors: of the store. */
int spool_file_replay(struct spool_file *f, struct store *s, const atomic_bool *over,
                      struct spool_report *report, struct err *err);
