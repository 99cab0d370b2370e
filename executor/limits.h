/* What this process may use: CPUs and memory as the cgroup, the affinity mask and the machine
 * allow. */
#pragma once

#include <stdint.h>

/* CPUs: the smallest of the cgroup's quota (v2 and v1, all levels up), the affinity mask and the
 * machine; at least a fraction above 0, e.g. 1.5. `root` is "" but for tests, which put a tree of
 * their own in front of /proc and /sys. */
double limits_cpus(const char *root);
/* Bytes of memory that could be taken now: the smaller of what the cgroup leaves and MemAvailable;
 * UINT64_MAX when unknown. */
uint64_t limits_memory_free(const char *root);
/* Count of OOM kills in our cgroup so far; 0 when unknown. A worker's SIGKILL that raises it was
 * one. */
uint64_t limits_oom_kills(const char *root);
