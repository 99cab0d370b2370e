#include "cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/proc.h"

#define MUCH_BYTES (8ull << 30)   /* near the limit of a node */
#define GROWTH_BYTES (1ull << 20) /* between two looks; less is noise */

/* False: it may not be read, or the kernel is older than Linux 4.14. */
static bool read_share(pid_t pid, uint64_t *bytes)
{
    char path[64], text[2048];
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    const char *at = proc_read(path, text, sizeof(text)) > 0 ? strstr(text, "\nPss:") : NULL;
    if (at == NULL)
        return false;
    *bytes = strtoull(at + strlen("\nPss:"), NULL, 10) * 1024;
    return true;
}

static uint64_t read_resident(pid_t pid)
{
    char path[64], text[128];
    unsigned long long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    if (proc_read(path, text, sizeof(text)) <= 0 || sscanf(text, "%*s %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add(void *ctx, pid_t pid)
{
    struct memory *m = ctx;
    uint64_t bytes = read_resident(pid);
    if (bytes == 0)
        return; /* it is over */
    bool shared = read_share(pid, &bytes);
    m->bytes += bytes;
    m->shared += shared;
    m->whole += !shared;
}

void memory_of(pid_t pid, struct memory *out)
{
    *out = (struct memory){0};
    proc_walk(pid, add, out);
}

static void say_how(const struct memory *m, char *text, size_t n)
{
    if (m->whole == 0)
        (void)snprintf(text, n, "PSS");
    else if (m->shared == 0)
        (void)snprintf(text, n, "RSS: what processes share counts in each");
    else
        (void)snprintf(text, n, "PSS; RSS of %u that may not be looked at", m->whole);
}

bool memory_judge(const struct memory *before, const struct memory *after, char *text, size_t n)
{
    char how[96];
    bool grows = after->bytes > before->bytes + GROWTH_BYTES;
    bool risk = grows && after->bytes > MUCH_BYTES;
    say_how(after, how, sizeof(how));
    (void)snprintf(text, n, "%.1f GiB resident (%s), %s%s", (double)after->bytes / (1u << 30), how,
                   grows ? "growing" : "not growing",
                   risk ? ": end it before the node runs out" : "");
    return risk;
}
