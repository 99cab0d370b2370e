#include "executor/owner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/proc.h"

static bool first_word_of(const char *path, char *out, size_t n)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL || fgets(out, (int)n, f) == NULL)
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}

/* Start of a process in clock ticks since boot: with its pid it names a process once. A dead one
 * that nobody has collected yet has none. */
static bool start_time(pid_t pid, unsigned long long *ticks)
{
    struct proc_stat st;
    if (!proc_read_stat(pid, &st))
        return false;
    *ticks = st.start_ticks;
    return st.state != 'Z' && st.state != 'X';
}

static void here(char *out, size_t n)
{
    char boot[64] = "?", pidns[64] = "?";
    (void)first_word_of("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    ssize_t len = readlink("/proc/self/ns/pid", pidns, sizeof(pidns) - 1);
    pidns[len > 0 ? len : 0] = '\0';
    (void)snprintf(out, n, "%s/%s", boot, pidns);
}

void owner_self(char *out, size_t n)
{
    char place[160];
    unsigned long long ticks = 0;
    here(place, sizeof(place));
    (void)start_time(getpid(), &ticks);
    (void)snprintf(out, n, "%s/%d/%llu", place, (int)getpid(), ticks);
}

int owner_pid(const char *owner)
{
    int pid;
    return sscanf(owner, "%*[^/]/%*[^/]/%d/", &pid) == 1 ? pid : 0;
}

enum owner_state owner_state(const char *owner)
{
    char place[160];
    here(place, sizeof(place));
    size_t n = strlen(place);
    int pid;
    unsigned long long ticks, now;
    if (strncmp(owner, place, n) != 0 || sscanf(owner + n, "/%d/%llu", &pid, &ticks) != 2)
        return OWNER_ELSEWHERE;
    return start_time(pid, &now) && now == ticks ? OWNER_ALIVE : OWNER_DEAD;
}
