#include "executor/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* The first line of a file that starts with prefix, without it; false when there is none. */
static bool line_after(const char *path, const char *prefix, char *out, size_t n)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    char line[PATH_MAX];
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t len = strlen(prefix);
        if (strncmp(line, prefix, len) == 0) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(out, n, "%s", line + len);
            return true;
        }
    }
    return false;
}

/* Our cgroup's path below /sys/fs/cgroup: of the unified hierarchy, or of a v1 controller. */
static bool cgroup_of(const char *root, const char *controller, char *out, size_t n)
{
    char path[PATH_MAX], line[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *where = names != NULL ? strchr(names + 1, ':') : NULL;
        if (where == NULL)
            continue;
        *where++ = '\0';
        names++;
        bool match = controller[0] == '\0' ? names[0] == '\0' : false;
        char *rest;
        for (char *c = strtok_r(names, ",", &rest); c != NULL && controller[0] != '\0';
             c = strtok_r(NULL, ",", &rest))
            match = match || strcmp(c, controller) == 0;
        if (match) {
            (void)snprintf(out, n, "%s", where);
            return true;
        }
    }
    return false;
}

/* Calls visit with the directory of our cgroup and of each one above it: every level limits. In a
 * container the path of the host may not exist below its own mount: the top level is always tried.
 */
static void each_level(const char *root, const char *controller,
                       void (*visit)(void *ctx, const char *dir), void *ctx)
{
    char below[PATH_MAX / 2], dir[PATH_MAX];
    if (!cgroup_of(root, controller, below, sizeof(below)))
        return;
    for (;;) {
        (void)snprintf(dir, sizeof(dir), "%s/sys/fs/cgroup/%s%s", root, controller, below);
        visit(ctx, dir);
        char *slash = strrchr(below, '/');
        if (slash == NULL || below[1] == '\0')
            return;
        slash[slash == below] = '\0';
    }
}

static void least_quota_v2(void *ctx, const char *dir)
{
    double *least = ctx, quota, period;
    char path[PATH_MAX + 16], text[64];
    (void)snprintf(path, sizeof(path), "%s/cpu.max", dir);
    if (line_after(path, "", text, sizeof(text)) && sscanf(text, "%lf %lf", &quota, &period) == 2 &&
        period > 0 && quota > 0 && quota / period < *least)
        *least = quota / period;
}

static void least_quota_v1(void *ctx, const char *dir)
{
    double *least = ctx;
    char path[PATH_MAX + 32], text[64];
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
    if (!line_after(path, "", text, sizeof(text)))
        return;
    double quota = strtod(text, NULL);
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
    if (quota > 0 && line_after(path, "", text, sizeof(text)) && strtod(text, NULL) > 0 &&
        quota / strtod(text, NULL) < *least)
        *least = quota / strtod(text, NULL);
}

double limits_cpus(const char *root)
{
    cpu_set_t set;
    double cpus = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cpus = CPU_COUNT(&set);
    each_level(root, "", least_quota_v2, &cpus);
    each_level(root, "cpu", least_quota_v1, &cpus);
    return cpus;
}

static bool read_u64(const char *dir, const char *file, uint64_t *out)
{
    char path[PATH_MAX + 32], text[64], *end;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (!line_after(path, "", text, sizeof(text)))
        return false;
    *out = strtoull(text, &end, 10);
    return end != text; /* "max" is no number: no limit */
}

static void least_left(void *ctx, const char *dir)
{
    uint64_t *least = ctx, limit, used, cache = 0;
    char path[PATH_MAX + 32], text[64];
    bool known = (read_u64(dir, "memory.max", &limit) && read_u64(dir, "memory.current", &used)) ||
                 (read_u64(dir, "memory.limit_in_bytes", &limit) &&
                  read_u64(dir, "memory.usage_in_bytes", &used));
    if (!known)
        return;
    /* the page cache counts as used, but gives way */
    (void)snprintf(path, sizeof(path), "%s/memory.stat", dir);
    if (line_after(path, "inactive_file ", text, sizeof(text)))
        cache = strtoull(text, NULL, 10);
    used = used > cache ? used - cache : 0;
    uint64_t left = limit > used ? limit - used : 0;
    if (left < *least)
        *least = left;
}

uint64_t limits_memory_free(const char *root)
{
    uint64_t left = UINT64_MAX;
    char path[PATH_MAX], text[64];
    (void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    if (line_after(path, "MemAvailable:", text, sizeof(text)))
        left = strtoull(text, NULL, 10) * 1024;
    each_level(root, "", least_left, &left);
    each_level(root, "memory", least_left, &left);
    return left;
}

struct oom_kills {
    bool known;
    uint64_t n;
};

static void read_oom_kills(void *ctx, const char *dir)
{
    char path[PATH_MAX + 32], text[64];
    struct oom_kills *k = ctx;
    if (k->known)
        return; /* the innermost level is ours; those above count other people's too */
    (void)snprintf(path, sizeof(path), "%s/memory.events", dir);
    if (!line_after(path, "oom_kill ", text, sizeof(text))) {
        (void)snprintf(path, sizeof(path), "%s/memory.oom_control", dir);
        if (!line_after(path, "oom_kill ", text, sizeof(text)))
            return;
    }
    *k = (struct oom_kills){true, strtoull(text, NULL, 10)};
}

uint64_t limits_oom_kills(const char *root)
{
    struct oom_kills kills = {0};
    each_level(root, "", read_oom_kills, &kills);
    each_level(root, "memory", read_oom_kills, &kills);
    return kills.n;
}
