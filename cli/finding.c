#include "cli/finding.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/proc.h"

static bool runs_trial(const struct finding *f, pid_t pid)
{
    char number[32], dir[PATH_MAX];
    return proc_environ(pid, "FORKLESS_TRIAL", number, sizeof(number)) &&
           strcmp(number, f->number) == 0 &&
           proc_environ(pid, "FORKLESS_TRIAL_DIR", dir, sizeof(dir)) &&
           (f->dir == NULL || strcmp(dir, f->dir) == 0);
}

/* A worker leads the session that forkless gave it; a session that it began itself has a parent of
 * the same trial. */
static void look_at(struct finding *f, pid_t pid)
{
    struct proc_stat st;
    if (getsid(pid) != pid || !runs_trial(f, pid) || !proc_read_stat(pid, &st) ||
        runs_trial(f, st.ppid))
        return;
    f->several = f->pid != 0;
    f->pid = pid;
}

void finding_worker(struct finding *f)
{
    DIR *d = opendir("/proc");
    f->pid = 0;
    f->several = false;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL && !f->several;) {
        if (isdigit((unsigned char)e->d_name[0]))
            look_at(f, (pid_t)atoi(e->d_name));
    }
    if (d != NULL)
        (void)closedir(d);
}
