/* Inside the PostgreSQL backend: the handle, its connection, pipeline and transactions, and what
 * its files share.
 *
 * Statements are queued and sent together; their results come in with the next round trip. What
 * need not be known at once, which is most of what is written, waits for the commit. */
#pragma once

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/backend.h"
#include "storage/postgres/sql.h"

struct trial_index;
struct open_trial;
struct reader;
struct addition;

/* A statement on its way: where its result goes. */
struct pg_wait {
    PGresult **out; /* NULL: only whether it succeeded matters */
    bool guard;     /* fails when a trial is not ours any more, see tx_check_trial */
    bool commit;    /* past this one nobody knows what a lost connection means */
    bool prepares;  /* it only makes the statement known to the server */
    enum sql id;    /* of that one */
    bool done;      /* with success */
};

/* Something that an operation did and that must not be done twice, see again.c. */
struct effect;
struct effects {
    struct effect *of; /* [n] owned */
    size_t n, cap;
};

/* A trial that was looked at in this transaction, or is watched by a guard. */
struct checked {
    int64_t trial, study;
};

struct store_pg {
    struct store base;
    PGconn *c;   /* NULL: not connected */
    char *url;   /* with its password */
    char *name;  /* for messages: database and host */
    int busy_ms; /* no wait for the server lasts longer */
    bool prepared[SQL_COUNT];

    /* conn.c: after a failure to connect, not before */
    uint64_t retry_at_ms;
    unsigned failures;
    struct err down; /* what the last try said */

    /* pipe.c */
    struct pg_wait *waits; /* queued since the last round trip, owned */
    size_t n_waits, cap_waits;
    bool commit_in_doubt; /* the round that failed last may have committed */
    bool guard_failed;    /* or it failed because of a guard */

    /* tx.c */
    bool in_tx;              /* BEGIN was queued */
    bool reading;            /* it is a snapshot */
    bool in_batch;           /* between store_begin and store_commit */
    struct err broken;       /* why the batch cannot be committed */
    struct checked *checked; /* trials that this transaction may write to, owned */
    size_t n_checked, cap_checked;
    bool no_guards;        /* one was wrong: look at each trial, until the next commit */
    bool study_locked;     /* the open transaction holds a study's lock */
    bool ending;           /* the batch is being committed */
    bool unflushed;        /* what was committed in it may not have reached the disk */
    int64_t xid;           /* the open transaction's, once it was asked for; 0 = not yet */
    struct effects now;    /* of the open transaction */
    struct effects landed; /* of those that were committed in the batch that is open */
    struct effects doubt;  /* of those whose commit was lost */

    /* add.c */
    struct addition *additions; /* trials that wait for the commit, owned */
    size_t n_additions, cap_additions;
    int64_t n_created; /* so far */

    /* migrate.c */
    bool results_ready; /* the results tables are there, in our version: were they to go, that is
                           trouble, and no answer */
    bool results_made;  /* by the transaction that is open */

    struct trial_index **indexes; /* one for each study that was used */
    size_t n_indexes;
    struct reader *reader; /* memory for reading trials, reused; NULL until needed */
};

/* ---- conn.c ---- */

/* Connects unless connected. first: an answer at once, no waiting for a server that is down.
 * Errors: ERR_UNAVAILABLE; the first time ERR_INVALID too, for what the url names is not there. */
int conn_ensure(struct store_pg *q, bool first, struct err *err);
/* Drops the connection: the server rolls back what is not committed. */
void conn_drop(struct store_pg *q);
/* Waits until the connection can be read, or written too where that is wanted. Errors:
 * ERR_UNAVAILABLE when busy_ms passed. */
int conn_wait(struct store_pg *q, bool write, struct err *err);
/* Sets err from what the server said. A lost connection is dropped. */
int conn_fail(struct store_pg *q, const PGresult *r, struct err *err);
/* Takes url, fills name. Errors: ERR_INVALID, without any part of the url. */
int conn_read_url(struct store_pg *q, const char *url, struct err *err);

/* ---- pipe.c ---- */

/* Parameters of a statement, as text. */
struct args {
    const char *v[16];
    int n;
    char text[16][48]; /* of numbers */
};
void arg_int(struct args *a, int64_t v);
void arg_real(struct args *a, double v);
void arg_text(struct args *a, const char *v);  /* not copied; NULL is NULL */
void arg_time(struct args *a, int64_t utc_us); /* 0 is NULL */
void arg_value(struct args *a, double v);      /* two parameters: the value and its type */
void arg_count(struct args *a, int64_t v);     /* negative is NULL */
void arg_state(struct args *a, enum trial_state s);
#define ARGS_NONE (&(const struct args){0})

static inline void result_clear_p(PGresult **r)
{
    PQclear(*r);
}
#define AUTO_RESULT AUTO(result_clear_p)

/* Queues a statement. *out (out may be NULL) has its result after the next round trip, and is the
 * caller's to clear. Nothing waits. Errors: ERR_NOMEM, ERR_UNAVAILABLE. */
int pipe_queue(struct store_pg *q, enum sql id, const struct args *a, PGresult **out,
               struct err *err);
/* One round trip: sends what is queued and collects all results. On an error every out is NULL. */
int pipe_round(struct store_pg *q, struct err *err);
/* Queues it and makes the round trip. */
int pipe_run(struct store_pg *q, enum sql id, const struct args *a, PGresult **out,
             struct err *err);
/* The next queued statement is a guard; a commit. */
void pipe_mark_guard(struct store_pg *q);
void pipe_mark_commit(struct store_pg *q);
/* Queues a statement that is not kept prepared; out as in pipe_queue. */
int pipe_queue_text(struct store_pg *q, const char *sql, const struct args *a, PGresult **out,
                    struct err *err);
/* Runs a statement that is used once, in the transaction that is open; out as in pipe_queue. */
int pipe_text(struct store_pg *q, const char *sql, PGresult **out, struct err *err);
/* The operation failed with statements on their way: nobody takes their results any more. */
void pipe_forget(struct store_pg *q);
/* Runs SQL text of several statements, outside of a transaction of ours. */
int pipe_script(struct store_pg *q, const char *sql, struct err *err);

/* Fields of a result: never NULL, 0 for NULL. */
const char *field(const PGresult *r, int row, int column);
const char *field_or_null(const PGresult *r, int row, int column);
/* The field, or -1 for NULL. */
int64_t field_count(const PGresult *r, int row, int column);
int64_t field_int(const PGresult *r, int row, int column);
double field_real(const PGresult *r, int row, int column);
/* A value and its type at column and column + 1; false when they are no pair that Optuna writes. */
bool field_value(const PGresult *r, int row, int column, double *out);
/* NULL is 0; false when it is no time. */
bool field_time(const PGresult *r, int row, int column, int64_t *utc_us);
/* Errors: ERR_CORRUPT. */
int field_state(struct store_pg *q, const PGresult *r, int row, int column, int64_t trial,
                enum trial_state *out, struct err *err);
/* JSON as jsonb takes it: Python's NaN and Infinity are null there, and a NUL in a text is U+FFFD.
 * NULL is {}. */
void put_strict(struct buf *b, const char *json);
/* "{1,2,3}" */
void put_ids(struct buf *b, const int64_t *ids, size_t n);

/* ---- tx.c: transactions ---- */

/* Begins a write transaction unless a batch is open. No round trip. */
int tx_enter(struct store_pg *q, struct err *err);
/* Ends what tx_enter began: commits, or rolls back when rc is an error. In a batch an error that
 * may have left a half-done write breaks the batch. Returns rc or the commit's error. */
int tx_leave(struct store_pg *q, int rc, struct err *err);
/* The same for a snapshot over several reads. */
int tx_enter_read(struct store_pg *q, struct err *err);
int tx_leave_read(struct store_pg *q, int rc);
/* The trial is locked until the transaction ends, is unfinished, and, when this handle claimed it,
 * still ours. In a batch our own running trials are trusted and need no round trip: should one have
 * been taken away, the commit fails with ERR_BUSY, and the batch that is run again hears of it
 * here. TX_ALREADY: we have ended it, in a transaction whose commit was lost but landed, as did all
 * that we wrote to it. Errors: ERR_NOTFOUND, ERR_FINISHED, ERR_CONFLICT (taken over). */
enum { TX_ALREADY = 1 };
int tx_check_trial(struct store_pg *q, int64_t trial, int64_t *study, struct err *err);
/* The same whoever runs it. Errors: ERR_NOTFOUND, ERR_FINISHED. */
int tx_lock_trial(struct store_pg *q, int64_t trial, int64_t *study, struct err *err);
/* A trial that this transaction made needs no check. */
void tx_trust(struct store_pg *q, int64_t trial, int64_t study);
/* This transaction has ended the trial. */
void tx_done(struct store_pg *q, int64_t trial);

/* Queues the study's lock, which is held until the commit; *out has a row when there is the study.
 */
int tx_lock_study(struct store_pg *q, int64_t study, PGresult **out, struct err *err);
/* The id of the transaction that is open, by which its fate can be told later. One round trip, the
 * first time. */
int tx_id(struct store_pg *q, int64_t *xid, struct err *err);
/* Whether a transaction has committed. Errors: ERR_BUSY, while it may yet do so. */
int tx_landed(struct store_pg *q, int64_t xid, bool *landed, struct err *err);
/* Queues the commit of what is open, and of what waits in the list of add.c. In the middle of a
 * batch it need not reach the disk. */
int tx_queue_commit(struct store_pg *q, struct err *err);
/* Makes the round trip with it, unless rc is an error: then, and when the round fails, it is rolled
 * back. Returns rc or the round's error. */
int tx_land(struct store_pg *q, int rc, struct err *err);

int pg_begin(struct store *s, struct err *err);
int pg_commit(struct store *s, bool durable, struct err *err);
int pg_sync(struct store *s, struct err *err);
void pg_rollback(struct store *s);

/* ---- again.c: writes whose commit was lost ---- */

enum effect_kind { EFFECT_STUDY, EFFECT_CREATE, EFFECT_CLAIM, EFFECT_END, EFFECT_RETRY };

/* What an operation did that must not be done twice. Whether it has landed is seen by what it
 * wrote: nothing else can have written the same. */
struct effect {
    enum effect_kind kind;
    int64_t on;      /* CREATE, CLAIM: the study; END, RETRY: the trial */
    int64_t id;      /* STUDY: of the study; CREATE, RETRY: of the new trial; CLAIM: of the one that
                      * waited; -1 = none */
    int64_t number;  /* of that trial; while it has no id yet, a number that no other has */
    int64_t time_us; /* CLAIM: its start; END, RETRY: the trial's end, as we wrote them */
    uint64_t what;   /* STUDY, CREATE: hash of what was asked for */
    int64_t xid;     /* CREATE without an id: the transaction; 0: it is known by its start */
    int64_t after, place; /* CREATE without an id: of those of the study with a larger one
                           * that came of the transaction it is this one */
};

/* Notes what the open transaction does, or has found done. Running out of memory only means that a
 * lost commit is taken for one that never happened. */
void again_note(struct store_pg *q, const struct effect *e);
/* The same operation in a transaction whose commit was lost, and not found yet in this one; or
 * NULL. Whether it landed is for the caller to see, under the locks that it took then. Until the
 * next again_ call. */
const struct effect *again_find(const struct store_pg *q, enum effect_kind kind, int64_t on,
                                uint64_t what);
/* The trial that it made has this id and number. */
void again_known(struct store_pg *q, const struct effect *e, int64_t id, int64_t number);
/* It landed, and its caller will not hear of it. */
void again_keep(struct store_pg *q, const struct effect *e);
/* It did not land. */
void again_forget(struct store_pg *q, const struct effect *e);
/* The open transaction is committed; and so is the batch that it was a part of. */
void again_land(struct store_pg *q);
void again_commit(struct store_pg *q);
/* It is perhaps committed; it is not, and what landed before in its batch will be done again. */
void again_doubt(struct store_pg *q);
void again_roll_back(struct store_pg *q);
void again_free(struct store_pg *q);
uint64_t again_hash(uint64_t h, const void *bytes, size_t n);

/* ---- schema.c, migrate.c ---- */

/* Creates or checks Optuna's tables, or upgrades those that there are. Errors: ERR_UNSUPPORTED,
 * ERR_NOTFOUND (read-only or to be upgraded, and none there). */
int schema_open(struct store_pg *q, struct store_upgraded *upgraded, struct err *err);
/* Brings the tables beside Optuna's to our version, inside a write transaction. */
int migrate_tables(struct store_pg *q, struct err *err);
/* The same where there are some: *from and *to, their version before and after; 0 = none. */
int migrate_there(struct store_pg *q, int *from, int *to, struct err *err);
/* Whether they are there in at least this version. */
int migrate_has(struct store_pg *q, int version, bool *has, struct err *err);

/* ---- shared by the operations ---- */

/* Inserts the directions of a new study. */
int study_put_directions(struct store_pg *q, int64_t study, const enum direction *directions,
                         size_t n, struct err *err);

/* One statement that reads, by itself or in the batch that is open. */
int look(struct store_pg *q, enum sql id, const struct args *a, PGresult **out, struct err *err);

/* Ids have 32 bits in Optuna's tables: others are of no row. */
static inline bool id_fits(int64_t id)
{
    return id >= 0 && id <= INT32_MAX;
}
/* Errors: ERR_NOTFOUND. */
int study_check(struct store_pg *q, int64_t study, struct err *err);
int no_study(int64_t study, struct err *err);
int no_trial(int64_t trial, struct err *err);
/* Whether the parameters may stand beside the study's; nothing is written. Errors: ERR_CONFLICT. */
int trial_check_params(struct store_pg *q, struct trial_index *ix, const struct trial_param *params,
                       size_t n, struct err *err);
/* Inserts a trial of the locked study as tmpl says, or a RUNNING one, with this id; as_it_is: with
 * tmpl's number and times too. Errors: ERR_CONFLICT, ERR_INVALID, before any write. */
int trial_write(struct store_pg *q, struct trial_index *ix, const struct trial *tmpl, int64_t id,
                bool as_it_is, struct open_trial *out, struct err *err);
int trial_insert(struct store_pg *q, struct trial_index *ix, const struct trial *tmpl, int64_t id,
                 struct open_trial *out, struct err *err);
/* Ends a trial that tx_check_trial has passed. Errors: ERR_INVALID, before any write. */
int trial_end(struct store_pg *q, int64_t study, int64_t trial, enum trial_state state,
              const double *values, size_t n_values, int64_t now_us, struct err *err);
int trial_put_attrs(struct store_pg *q, int64_t trial, enum attr_kind kind,
                    const struct trial_attr *attrs, size_t n, struct err *err);

int store_pg_open(struct store **out, const char *url, const struct store_opts *opts,
                  struct err *err);
