/* A trial's stdout or stderr in its directory: written as it comes, capped and rotated. The file is
 * made when the first byte arrives, or by capture_open before. `NAME` holds the newest part,
 * `NAME.1` the part before it, `NAME.gone`, as a decimal number, how many bytes there were before
 * both. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct capture {
    int dir;          /* descriptor of the trial's directory; borrowed */
    const char *name; /* "stdout.log"; static */
    int fd;           /* -1: not opened yet, or given up */
    uint64_t size;    /* of the current part */
    uint64_t half;    /* bytes a part may have: both together stay below the cap */
    uint64_t older;   /* bytes of the part before it */
    uint64_t gone;    /* bytes before that one */
    uint64_t lost;    /* bytes that could not be written: disk full, no such directory */
};

void capture_init(struct capture *c, int dir, const char *name, uint64_t cap);
/* Makes the file now. */
void capture_open(struct capture *c);
void capture_close(struct capture *c);
/* Never fails: what cannot be written is counted in lost. */
void capture_write(struct capture *c, const char *data, size_t n);
