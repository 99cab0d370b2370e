#include "integration/reproducers/profile.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/evidence/stacks.h"
#include "executor/evidence/tree.h"
#include "executor/proc.h"
#include "integration/reproducers/run.h"

extern char **environ;

enum { SAMPLE_LIMIT_MS = 2000, SPY_END_MS = 20000, SPY_TEXT_MAX = 64 << 20 };

static bool is_python(const struct reproducer *r)
{
    const char *dot = strrchr(r->program, '.');
    return dot != NULL && strcmp(dot, ".py") == 0;
}

void profile_begin(struct profile *p, const struct reproducer *r)
{
    *p = (struct profile){.fd = -1};
    if (!is_python(r) || spawn_resolve(&p->py_spy, "py-spy", NULL, NULL) < 0)
        return;
    p->fd = memfd_create("forkless-profile", MFD_CLOEXEC);
    if (p->fd < 0) {
        free(p->py_spy);
        p->py_spy = NULL;
    }
}

void profile_free(struct profile *p)
{
    cleanup_close(&p->fd);
    free(p->py_spy);
    flame_free(&p->flame);
}

/* ---- py-spy: attached as soon as the victim has said something, so that it is Python by then ----
 */

static void spy_start(struct profile *p, const struct running *w)
{
    char pid[16], file[48];
    (void)snprintf(pid, sizeof(pid), "%d", (int)w->proc.pid);
    (void)snprintf(file, sizeof(file), "/proc/%d/fd/%d", (int)getpid(), p->fd);
    const char *argv[] = {
        "py-spy",   "record", "--pid",    pid,  "--subprocesses", "--idle", "--rate",        "50",
        "--format", "raw",    "--output", file, "--duration",     "3600",   "--nonblocking", NULL};
    const struct spawn_req req = {
        .path = p->py_spy, .argv = (char *const *)(uintptr_t)argv, .envp = environ};
    struct err err;
    p->spied = true;
    if (spawn_worker(&p->spy, w->session->stub, false, &req, &err) < 0)
        p->spy = (struct spawned){0};
}

/* It writes its file when it is interrupted. */
static void spy_stop(struct profile *p)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    int *fds[] = {&p->spy.pidfd, &p->spy.out_fd, &p->spy.err_fd, &p->spy.channel};
    struct pollfd over = {.fd = p->spy.pidfd, .events = POLLIN};
    (void)kill(p->spy.pid, SIGINT);
    if (poll(&over, 1, SPY_END_MS) <= 0)
        (void)kill(p->spy.pid, SIGKILL);
    while (waitpid(p->spy.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        cleanup_close(fds[i]);
    p->spy = (struct spawned){0};
    (void)lseek(p->fd, 0, SEEK_SET);
    for (ssize_t n = 1; n > 0 && text.len < SPY_TEXT_MAX && buf_reserve(&text, 65536);) {
        n = read(p->fd, text.data + text.len, 65536);
        text.len += n > 0 ? (size_t)n : 0;
        text.data[text.len] = '\0';
    }
    (void)flame_add_lines(&p->flame, p->name, buf_str(&text));
    (void)!ftruncate(p->fd, 0);
}

/* ---- our own ---- */

/* "victim (forked);worker;" and the frames, outermost first. */
static void put_stack(struct buf *b, const struct stacks *all, const struct stack *s)
{
    char path[64], process[64] = "", thread[64] = "";
    struct proc_stat st;
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)s->pid);
    (void)proc_read(path, process, sizeof(process));
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)s->pid, (int)s->tid);
    (void)proc_read(path, thread, sizeof(thread));
    bool forked = proc_read_stat(s->pid, &st) && (st.flags & PROC_FORKED_NO_EXEC) != 0;
    buf_printf(b, "%.*s%s;%.*s", (int)strcspn(process, "\n;"), process, forked ? " (forked)" : "",
               (int)strcspn(thread, "\n;"), thread);
    for (size_t i = s->n; i-- > 0;) {
        const struct frame *f = &all->frames[s->first + i];
        const char *file = strrchr(f->file, '/');
        file = file != NULL ? file + 1 : f->file;
        buf_printf(b, ";%s", f->function[0] != '\0' ? f->function : file);
    }
}

static void sample_tree(struct profile *p, pid_t root)
{
    static struct tree tree;
    struct stacks stacks = {0};
    struct err err;
    tree_list(root, &tree);
    const struct stacks_req req = {
        .pids = tree.pids, .n = tree.n, .deadline_ms = clock_mono_ms() + SAMPLE_LIMIT_MS};
    if (stacks_collect(&req, &stacks, &err) == 0) {
        for (size_t i = 0; i < stacks.n; i++) {
            AUTO(buf_free) struct buf line = BUF_INIT;
            buf_printf(&line, "%s;", p->name);
            put_stack(&line, &stacks, &stacks.v[i]);
            flame_add(&p->flame, buf_str(&line), line.len, 1);
        }
    }
    stacks_free(&stacks);
}

/* ---- both ---- */

void profile_try(struct profile *p, const char *name)
{
    p->name = name;
    p->spied = false;
}

void profile_sample(struct profile *p, const struct running *w)
{
    if (p->py_spy == NULL)
        sample_tree(p, w->proc.pid);
    else if (!p->spied && w->events.len > 0)
        spy_start(p, w);
}

void profile_stop(struct profile *p)
{
    if (p->spy.pid != 0)
        spy_stop(p);
}

int profile_write(const struct profile *p, const char *path, const char *title, struct err *err)
{
    AUTO(buf_free) struct buf svg = BUF_INIT;
    flame_put_svg(&svg, &p->flame, title);
    if (svg.failed || p->flame.failed)
        return err_set(err, ERR_NOMEM, "%s", path);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return err_sys(err, errno, "%s", path);
    bool good = fwrite(svg.data, 1, svg.len, f) == svg.len;
    good = fclose(f) == 0 && good;
    return good ? 0 : err_sys(err, errno, "%s", path);
}
