/* The worker's end of the channel: JSON lines over a socket, both ways. What is said is collected
 * and sent in one write when an answer is awaited. An executor that is gone shows as
 * ERR_UNAVAILABLE. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct channel {
    int fd;
    struct buf out; /* not yet sent */
    struct buf in;  /* read, from the answered line on */
};

/* Takes the fd named by FORKLESS_FD. Returns 0 and *there = false when the variable is not set.
 * Errors: ERR_INVALID when it is no open descriptor. */
int channel_open(struct channel *c, bool *there, struct err *err);
void channel_close(struct channel *c);

/* Says {"op":"attr","key":key,"value":value}; takes value. */
void channel_attr(struct channel *c, const char *key, json_t *value);
/* Says {"op":"row","table":table,"values":values}; takes values. */
void channel_row(struct channel *c, const char *table, json_t *values);
/* Says {"op":"event","event":event, …fields} at once, because long work may follow; takes fields,
 * an object. An executor that is gone shows at the next answer. */
void channel_event(struct channel *c, const char *event, json_t *fields);
/* Says an intermediate value and waits for the answer; *prune: stop this trial. */
int channel_report(struct channel *c, int64_t step, double value, bool *prune, struct err *err);

/* The three ends of a trial. message: one line for people. */
void channel_result(struct channel *c, double value);
void channel_fail(struct channel *c, const char *fail_class, const char *message);
void channel_pruned(struct channel *c);

/* Sends what was said and waits for what to do next: *trial is the message of another trial, the
 * caller's to free, or NULL: stop. An executor that closes the channel means stop as well. */
int channel_next(struct channel *c, json_t **trial, struct err *err);
