/* The process that ends what workers started when forkless is killed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/lib/sandbox.h"

static pid_t hidden; /* without the sandbox's mark */

static void leave(void)
{
    if (hidden > 0)
        (void)kill(hidden, SIGKILL);
    sandbox_leave();
}

TestSuite(guardian, .init = sandbox_enter, .fini = leave, .timeout = 100);

static void nap(void)
{
    (void)usleep(10000);
}

/* Up to size-1 bytes of /proc/pid/file; the NULs in it become blanks. */
static void read_of(pid_t pid, const char *file, char *out, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    for (ssize_t i = 0; i + 1 < n; i++)
        out[i] = out[i] == '\0' ? ' ' : out[i];
}

/* The guardian of the executor, or 0. */
static pid_t guardian_of(pid_t executor)
{
    char file[64], children[1000], command[64];
    (void)snprintf(file, sizeof(file), "task/%d/children", (int)executor);
    read_of(executor, file, children, sizeof(children));
    char *rest;
    for (char *word = strtok_r(children, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        pid_t pid = (pid_t)atoi(word);
        read_of(pid, "cmdline", command, sizeof(command));
        if (strncmp(command, "forkless-guardian ", 18) == 0)
            return pid;
    }
    return 0;
}

/* Ends the guardian; returns its successor. */
static pid_t kill_guardian(pid_t executor, pid_t guardian)
{
    pid_t next = 0;
    cr_assert(guardian > 0);
    (void)kill(guardian, SIGKILL);
    for (int i = 0; i < 1000 && (next == 0 || next == guardian); i++, nap())
        next = guardian_of(executor);
    cr_assert(next > 0 && next != guardian, "nobody took its place");
    return next;
}

/* A process with this argument, whatever its environment; 0: none. */
static pid_t find(const char *argument)
{
    char command[200];
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc != NULL && found == 0 && (e = readdir(proc)) != NULL;) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? (pid_t)atoi(e->d_name) : 0;
        read_of(pid, "cmdline", command, sizeof(command));
        if (pid > 0 && strncmp(command, "sleep ", 6) == 0 && strstr(command, argument) != NULL)
            found = pid;
    }
    (void)closedir(proc);
    return found;
}

Test(guardian, one_that_is_killed_has_a_successor_that_does_its_work)
{
    pid_t pid = sandbox_run(
        (const char *const[]){"-n2", "-j2", "x=float:0..1", "--", VICTIM, "tree", "log", NULL});
    cr_assert(sandbox_await("log", "start 1", 60));
    cr_assert(sandbox_await("log", "start 0", 60));
    pid_t second = kill_guardian(pid, guardian_of(pid));
    cr_assert(sandbox_await("err", "guardian_died", 10));
    cr_expect_not(sandbox_has("err", "has died"), "%s", sandbox_text("err"));
    (void)kill_guardian(pid, second);
    cr_expect(sandbox_await("err", "has died 2 times", 10), "%s", sandbox_text("err"));
    cr_expect(ge(int, sandbox_processes("600000"), 6));
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 10);
    cr_expect(sandbox_await_none("", 10));
}

Test(guardian, an_empty_environment_does_not_hide_from_it)
{
    char time[32];
    (void)snprintf(time, sizeof(time), "%d.25", 300000 + (int)getpid());
    pid_t pid = sandbox_run((const char *const[]){"-n1", "x=float:0..1", "--", "/bin/sh", "-c",
                                                  "env -i sleep $0 & sleep 600", time, NULL});
    for (int i = 0; i < 3000 && (hidden = find(time)) == 0; i++)
        nap();
    cr_assert(hidden > 0);
    (void)kill_guardian(pid, guardian_of(pid)); /* its successor knows too */
    (void)kill(pid, SIGKILL);
    (void)sandbox_wait(pid, 10);
    for (int i = 0; i < 1000 && (hidden = find(time)) != 0; i++)
        nap();
    cr_expect_eq(hidden, 0, "it lives on");
}
