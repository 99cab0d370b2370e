/* forkless-guardian MARK: outlives the executor by a moment, to end what it leaves behind.
 *
 * Its stdin is a pipe that only the executor has the other end of. When that closes, the executor
 * is gone, however it went, and each process whose environment has MARK ("FORKLESS_WORKER=…") is
 * killed: workers' descendants, those in sessions of their own and those without parents too.
 * PR_SET_PDEATHSIG ends only the workers themselves. What has emptied its environment escapes.
 *
 * It waits in read(2), without a C library: one process with some ten pages of memory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/types.h>
#include <signal.h>
#include <time.h>

#include "executor/bare.h"

/* A process in the middle of fork or exec can be missed: so many looks must find nothing. */
#define CALM_LOOKS 3
#define MAX_LOOKS 1000
#define BETWEEN_NS 10000000

struct entry { /* of getdents64 */
    uint64_t inode, offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static char environment[1 << 20]; /* pages that are not used cost nothing */

static int starts_with(const char *s, const char *prefix)
{
    while (*prefix != '\0' && *s == *prefix) {
        s++;
        prefix++;
    }
    return *prefix == '\0';
}

static long read_environment(const char *pid)
{
    char path[64] = "/proc/";
    size_t n = 6, len = 0;
    for (; *pid != '\0'; pid++)
        path[n++] = *pid;
    for (const char *p = "/environ"; *p != '\0'; p++)
        path[n++] = *p;
    path[n] = '\0';
    long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    for (long k; len < sizeof(environment) - 1; len += (size_t)k) {
        k = call(SYS_read, fd, (long)(environment + len), (long)(sizeof(environment) - 1 - len), 0);
        if (k <= 0)
            break;
    }
    (void)call(SYS_close, fd, 0, 0, 0);
    environment[len] = '\0';
    return (long)len;
}

static int has_mark(const char *pid, const char *mark)
{
    long n = read_environment(pid); /* a zombie's is empty */
    for (long i = 0; i < n; i += (long)length(environment + i) + 1) {
        if (starts_with(environment + i, mark))
            return 1;
    }
    return 0;
}

/* Kills all that have the mark; returns how many. */
static int look(const char *mark)
{
    static _Alignas(8) char entries[8192];
    int found = 0;
    long dir = call(SYS_openat, AT_FDCWD, (long)"/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    for (long n;
         dir >= 0 && (n = call(SYS_getdents64, dir, (long)entries, sizeof(entries), 0)) > 0;) {
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(entries + at);
            at += e->size;
            if (e->name[0] < '1' || e->name[0] > '9' || !has_mark(e->name, mark))
                continue;
            (void)call(SYS_kill, (long)number(e->name, 10), SIGKILL, 0, 0);
            found++;
        }
    }
    if (dir >= 0)
        (void)call(SYS_close, dir, 0, 0, 0);
    return found;
}

void guard(const char *mark)
{
    const struct timespec between = {.tv_nsec = BETWEEN_NS};
    char c;
    long n;
    (void)call(SYS_close_range, 1, UINT_MAX, 0, 0); /* nobody shall wait for our end of a pipe */
    do
        n = call(SYS_read, 0, (long)&c, 1, 0);
    while (n > 0 || n == -EINTR);
    for (int calm = 0, i = 0; calm < CALM_LOOKS && i < MAX_LOOKS; i++) {
        calm = look(mark) > 0 ? 0 : calm + 1;
        (void)call(SYS_nanosleep, (long)&between, 0, 0, 0);
    }
    quit(0);
}
