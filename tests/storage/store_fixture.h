/* What the store's tests share: a new database for each, and its raw rows as text. The tests run
 * over each backend: FORKLESS_TEST_STORE names it, sqlite unless it is set. */
#pragma once

#include <criterion/criterion.h>

#include "storage/storage.h"

/* The url of a store that nobody has used yet, of this test alone. */
const char *fresh_path(void);
/* The path of a SQLite file that does not exist yet, whatever the backend. */
const char *fresh_file(void);
/* Whether the backend is a SQLite file. */
bool store_is_a_file(void);
/* Or SQLite in memory, or a SQLite file behind a proxy. */
bool store_speaks_sqlite(void);
bool store_is_in_memory(void);
/* Whether a batch is all or nothing: Optuna's proxy protocol has nothing of the kind. */
bool store_has_transactions(void);
/* What SQL has to be said in two ways: for SQLite and for PostgreSQL. */
#define IN_SQL(file, server) (store_speaks_sqlite() ? (file) : (server))
/* For a test of what only a file has. */
#define ONLY_FOR_FILES()                                                                           \
    do {                                                                                           \
        if (!store_is_a_file())                                                                    \
            cr_skip_test("of SQLite files");                                                       \
    } while (0)
/* For a test that reads while another handle writes: in memory it would wait. */
#define NOT_IN_MEMORY()                                                                            \
    do {                                                                                           \
        if (store_is_in_memory())                                                                  \
            cr_skip_test("readers of a store in memory wait for its writer");                      \
    } while (0)
/* For a test of batches. */
#define ONLY_WITH_TRANSACTIONS()                                                                   \
    do {                                                                                           \
        if (!store_has_transactions())                                                             \
            cr_skip_test("the proxy's protocol has no transactions");                              \
    } while (0)
/* For a test of claims in a batch that is rolled back: on PostgreSQL they stand at once. */
#define ONLY_WHERE_CLAIMS_WAIT()                                                                   \
    do {                                                                                           \
        if (!store_has_transactions() || !store_speaks_sqlite())                                   \
            cr_skip_test("a claim stands at once");                                                \
    } while (0)
/* For a test of what stands in tables that the proxy's protocol does not reach: results,
 * heartbeats, the schema. */
#define ONLY_WITH_TABLES()                                                                         \
    do {                                                                                           \
        if (!store_has_transactions())                                                             \
            cr_skip_test("the proxy's protocol does not reach it");                                \
    } while (0)
/* Opens it, or any other; fails the test when that fails. */
struct store *must_open(const char *url);
/* A study to minimise one objective. */
int64_t must_study(struct store *s, const char *name);
/* Claims a trial that has to be of that kind. */
struct store_claim must_claim(struct store *s, int64_t study, int64_t target, enum claim_kind kind);
/* Ends the trial in a batch of its own with the value 1, as often as a guard of the batch turns out
 * to be wrong. Returns what the store answered. */
int finish_in_batch(struct store *s, int64_t trial);
/* All rows of a query: columns joined with '|', rows with '\n'; NULL is "NULL". Until the next
 * call. */
const char *rows(const char *path, const char *sql);
/* Runs SQL on a connection of its own, as another program would. */
void outside(const char *path, const char *sql);
/* SQLite's code, 0 = done. */
int try_outside(const char *path, const char *sql);
/* The same for what the store's trigger would not let pass. */
void harm(const char *path, const char *sql);
/* To the proxy that the last fresh_path has started; SIGSTOP has stopped it. */
void signal_server(int sig);
/* Starts the helper program with these arguments (NULL at the end); its pid, *out its stdout. */
int helper(FILE **out, const char *const *args);
/* Waits for it; its exit status. */
int helper_wait(int pid);

extern struct err err; /* for the calls of the test */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        int must_rc_ = (call);                                                                     \
        cr_assert(must_rc_ >= 0, "%s: %s", #call, err.msg);                                        \
    } while (0)
#define REFUSED(code_, call)                                                                       \
    do {                                                                                           \
        int refused_rc_ = (call);                                                                  \
        cr_assert(refused_rc_ == -(code_), "%s gave %d (%s), not " #code_, #call, refused_rc_,     \
                  err.msg);                                                                        \
    } while (0)
