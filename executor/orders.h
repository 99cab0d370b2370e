/* What spawn.c tells a waiting forkless-exec. The orders lie in a memory file, whatever their size;
 * that they are there, and their size as a uint64_t, comes over the channel. */
#pragma once

#include <stdint.h>

/* The descriptor number of the memory file in the stub, right above SPAWN_CHANNEL_FD. */
#define SPAWN_ORDERS_FD 4

struct spawn_orders {
    uint64_t memory_bytes, cpus, files; /* as in struct spawn_req */
    uint32_t argc, envc;
    char text[]; /* each with its NUL: directory (empty: stay), program, arguments, environment */
};
