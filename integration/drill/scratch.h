/* A scratch study: a directory that goes away, and a real `forkless run` in it as a child, watched
 * through its events, its store and its exit. Waits end at once after a stop signal. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "storage/storage.h"

enum { SCRATCH_PIDS = 8 };

struct scratch_event {
    uint64_t ms; /* when it was read */
    json_t *json;
};

struct scratch {
    char dir[256], url[288];
    char *worker;      /* path of forkless-drill */
    int signals;       /* signalfd; -1: none */
    bool stopped;      /* a signal came */
    pid_t run;         /* 0: none */
    int pidfd, err_fd; /* of the run; -1: none */
    struct buf line;   /* of its stderr, as far as it came */
    FILE *log;         /* all of its stderr, in events.jsonl of the directory */
    struct scratch_event *events;
    size_t n_events, cap_events;
    int pidfds[SCRATCH_PIDS]; /* processes that have to go */
    size_t n_pidfds;
};

struct scratch_row {
    int64_t number;
    enum trial_state state;
    char fail[32];      /* class; "": none */
    char evidence[400]; /* path; "": none */
    bool retry;         /* it repeats another trial */
};

/* Errors: ERR_NOTFOUND, ERR_IO. scratch_close is due in any case. */
int scratch_open(struct scratch *s, struct err *err);
/* Ends what still runs; removes the directory unless keep. */
void scratch_close(struct scratch *s, bool keep);

/* Starts `forkless run` with these words (NULL ends) and the worker's mode; -q and -v are up to
 * them. Forgets the events of an earlier run. Errors: ERR_IO, ERR_NOMEM. */
int scratch_start(struct scratch *s, const char *const *words, const char *mode, struct err *err);

/* Waits until due_ms (monotonic) for the event with this trial number (negative: any) and this text
 * under key (NULL: any). NULL when it did not come. Borrowed until the next start. */
const struct scratch_event *scratch_await(struct scratch *s, const char *event, int64_t trial,
                                          const char *key, const char *text, uint64_t due_ms);
/* Events of that name so far. */
size_t scratch_count(const struct scratch *s, const char *event);
/* Reads events until then. */
void scratch_pass(struct scratch *s, uint64_t due_ms);

/* From now on the processes that a drill_fault event names are waited for by scratch_await_gone. */
void scratch_note_pids(struct scratch *s, const struct scratch_event *fault);
bool scratch_await_gone(struct scratch *s, uint64_t due_ms);

/* Waits for the end of the run: its exit code, 128 + signal, or -1 when time was up. */
int scratch_await_exit(struct scratch *s, uint64_t due_ms);

/* The rows by number, at most n; returns how many there are, or a negative err_code. */
int scratch_rows(struct scratch *s, struct scratch_row *rows, size_t n, struct err *err);
