/* What the store's tests share: a new file for each, and the raw rows as text. */
#pragma once

#include <criterion/criterion.h>

#include "storage/storage.h"

/* The path of a database that does not exist yet, in a directory of this test. */
const char *fresh_path(void);
/* Opens it, or any other; fails the test when that fails. */
struct store *must_open(const char *url);
/* A study to minimise one objective. */
int64_t must_study(struct store *s, const char *name);
/* Claims a trial that has to be of that kind. */
struct store_claim must_claim(struct store *s, int64_t study, int64_t target, enum claim_kind kind);
/* All rows of a query: columns joined with '|', rows with '\n'; NULL is "NULL". Until the next
 * call. */
const char *rows(const char *path, const char *sql);
/* Runs SQL on a connection of its own, as another program would. */
void outside(const char *path, const char *sql);
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
