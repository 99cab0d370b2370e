/* forkless-guardian MARK: outlives the executor by a moment, to end what it leaves behind.
 *
 * Its stdin is a pipe that only the executor has the other end of. When that closes, the executor
 * is gone, however it went, and each process whose environment has MARK ("FORKLESS_WORKER=…") is
 * killed: workers' descendants, those in sessions of their own and those without parents too. So is
 * each in the session of a worker that lived then, whatever its environment: its stdout is the
 * table of those, which the executor writes. PR_SET_PDEATHSIG ends only the workers themselves.
 * What has both emptied its environment and begun a session of its own escapes.
 *
 * It waits in read(2), without a C library: one process with some ten pages of memory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/types.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "executor/bare.h"
#include "executor/guardian.h"

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

static char text[1 << 20]; /* pages that are not used cost nothing */

static int starts_with(const char *s, const char *prefix)
{
    while (*prefix != '\0' && *s == *prefix) {
        s++;
        prefix++;
    }
    return *prefix == '\0';
}

/* /proc/PID/file, with a NUL behind it; returns its length, 0 when there is none. */
static long read_of(const char *pid, const char *file)
{
    const char *const parts[] = {"/proc/", pid, file};
    char path[64];
    size_t n = 0, len = 0;
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p != '\0'; p++)
            path[n++] = *p;
    }
    path[n] = '\0';
    long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    for (long k; len < sizeof(text) - 1; len += (size_t)k) {
        k = call(SYS_read, fd, (long)(text + len), (long)(sizeof(text) - 1 - len), 0);
        if (k <= 0)
            break;
    }
    (void)call(SYS_close, fd, 0, 0, 0);
    text[len] = '\0';
    return (long)len;
}

static int has_mark(const char *pid, const char *mark)
{
    long n = read_of(pid, "/environ"); /* a zombie's is empty */
    for (long i = 0; i < n; i += (long)length(text + i) + 1) {
        if (starts_with(text + i, mark))
            return 1;
    }
    return 0;
}

/* The state stands behind the command's name, which is in parentheses and may hold some itself. */
static int is_zombie(const char *pid)
{
    long n = read_of(pid, "/stat");
    while (n > 0 && text[n - 1] != ')')
        n--;
    return n == 0 || text[n + 1] == 'Z' || text[n + 1] == 'X';
}

/* sessions may be NULL. */
static int in_session(const char *pid, const int32_t *sessions)
{
    long session = call(SYS_getsid, (long)number(pid, 10), 0, 0, 0);
    for (int i = 0; sessions != NULL && session > 0 && i < GUARDIAN_SESSIONS; i++) {
        if (sessions[i] == session)
            return 1;
    }
    return 0;
}

/* Kills all that have the mark or are of a worker's session; returns how many. */
static int look(const char *mark, const int32_t *sessions)
{
    static _Alignas(8) char entries[8192];
    int found = 0;
    long dir = call(SYS_openat, AT_FDCWD, (long)"/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    for (long n;
         dir >= 0 && (n = call(SYS_getdents64, dir, (long)entries, sizeof(entries), 0)) > 0;) {
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(entries + at);
            at += e->size;
            if (e->name[0] < '1' || e->name[0] > '9')
                continue;
            if (!has_mark(e->name, mark) && !(in_session(e->name, sessions) && !is_zombie(e->name)))
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
    long table =
        call6(SYS_mmap, 0, GUARDIAN_SESSIONS * sizeof(int32_t), PROT_READ, MAP_SHARED, 1, 0);
    const int32_t *sessions = table < 0 && table > -4096 ? NULL : (const int32_t *)table;
    (void)call(SYS_close_range, 1, UINT_MAX, 0, 0); /* nobody shall wait for our end of a pipe */
    do
        n = call(SYS_read, 0, (long)&c, 1, 0);
    while (n > 0 || n == -EINTR);
    for (int calm = 0, i = 0; calm < CALM_LOOKS && i < MAX_LOOKS; i++) {
        calm = look(mark, sessions) > 0 ? 0 : calm + 1;
        (void)call(SYS_nanosleep, (long)&between, 0, 0, 0);
    }
    quit(0);
}
