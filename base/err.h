/* Errors: a stable code to branch on, the cause's number, one sentence for people.
 *
 * A call that can fail returns 0 or a negative err_code and takes `struct err *err` last; NULL is
 * allowed. The struct is the caller's, needs no free and cannot fail to be filled. Context is added
 * on the way up with err_wrap; only the top (CLI, loop callback) prints it, once. */
#pragma once

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,  /* the caller's input is wrong: spec, argument, value */
    ERR_NOMEM,    /* allocation failed */
    ERR_IO,       /* the operating system refused; sys has errno */
    ERR_NOTFOUND, /* no such study, trial, file, key */
    ERR_EXISTS,   /* the name is taken */
    ERR_FINISHED, /* the trial is finished and cannot change (Optuna: UpdateFinishedTrialError) */
    ERR_CONFLICT, /* somebody else was faster, or an incompatible definition exists */
    ERR_BUSY,     /* locked by another; trying again later may succeed */
    ERR_UNAVAILABLE, /* the store is away: connection refused, file gone, disk full */
    ERR_UNSUPPORTED, /* valid, but not to be had here: old kernel, unknown schema revision */
    ERR_STOPPED,     /* a signal asked to stop */
    ERR_CORRUPT,     /* stored data that cannot be read */
};

struct err {
    enum err_code code;
    int sys;       /* errno, libuv or sqlite code; 0 if none */
    char msg[480]; /* one sentence, no newline, UTF-8 */
};

/* Fills err with code and a printf-style message; returns -code. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with ERR_IO (ERR_NOMEM for ENOMEM), ": <strerror>" appended. */
int err_sys(struct err *err, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the message; returns rc, so `return err_wrap(err, rc, …)` reads well.
 */
int err_wrap(struct err *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* clang's analyzer sees one file at a time: this tells it that a failure is never 0. */
#ifdef __clang_analyzer__
#define err_set(err, code, ...) ((void)(err_set)(err, code, __VA_ARGS__), -(int)(code))
#define err_sys(err, ...) ((void)(err_sys)(err, __VA_ARGS__), -(int)ERR_IO)
#define err_wrap(err, rc, ...) ((void)(err_wrap)(err, rc, __VA_ARGS__), (rc))
#endif
