/* A worker's pipes and its channel: what it prints and says is read, what it is told is written.
 * Embedded in struct slot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "executor/capture.h"
#include "executor/lines.h"

struct pipes {
    bool deaf; /* stdout and stderr are not watched until listen_ms */
    uint64_t listen_ms;
    struct lines out_lines, err_lines, channel_lines;
    struct capture out_log, err_log;
    int log_dir;    /* of the logs: a descriptor of its own, for they outlive the trial a little */
    char tail[240]; /* last line of stderr */
    struct buf reply; /* what the worker has not taken yet */
    bool reply_waits; /* for it to read: then its channel is watched for that, too */
    bool taking;      /* what its channel had is being taken */
    bool untold;      /* its worker does not know of the trial yet */
};
