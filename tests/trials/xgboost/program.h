/* The real program under a real socket, in a directory of the test's own: the test is its executor.
 */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/json.h"

/* A directory with data.csv: 600 rows in which x0 says most about y, and c a little. */
void setup(void);
void teardown(void);
void write_text(const char *path, const char *text);

extern FILE *in;      /* what the program says */
extern int fd;        /* the test's end of the channel */
extern pid_t pid;     /* of the program */
extern int positives; /* rows of data.csv with y = 1 */

#define COMMON "\"data\":\"data.csv\",\"categorical\":[\"c\"],\"cache\":\"cache\","
#define BINARY                                                                                     \
    "{" COMMON "\"label\":\"y\",\"drop\":[\"k\",\"z\"],\"folds\":{\"walk_forward\":3},\"rounds\":" \
    "40"

/* Starts the program with run.json and params.json. */
void start(const char *config, const char *params);
void say(const char *line);
/* The program's next message, NULL at its end. The caller frees. */
json_t *hear(void);
const char *op_of(const json_t *message);

struct heard {
    json_t *rows, *attrs;
    json_t *events; /* [] */
    char end[16];   /* op of the last message */
    json_t *last;
    double value;
    double reported[64];
    int steps[64], n_reports;
};

/* Listens until the trial ends, answering reports with "prune": after the prune_at-th. */
struct heard listen_to_trial(int prune_at);
void forget(struct heard *h);
int exit_status(void);
void expect_stop(void);
