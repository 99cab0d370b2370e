#include "executor/evidence/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/evidence/tool.h"
#include "executor/spawn.h"

#define PATIENCE_MS 1500u /* until a process stands still: on a busy machine it waits for a CPU */
#define OUTPUT_LIMIT (32u << 20)
#define SNAPSHOT_LIMIT (256 << 20)

/* --- what forkless-dump says ---------------------------------------------------------------------
 */

static int add_stack(struct stacks *s, pid_t pid, pid_t tid)
{
    if (!array_reserve(&s->v, &s->cap, s->n + 1, sizeof(*s->v)))
        return -ERR_NOMEM;
    s->v[s->n++] = (struct stack){.pid = pid, .tid = tid, .first = s->n_frames};
    return 0;
}

static int add_frame(struct stacks *s, const struct frame *f)
{
    if (s->n == 0)
        return 0;
    if (!array_reserve(&s->frames, &s->cap_frames, s->n_frames + 1, sizeof(*s->frames)))
        return -ERR_NOMEM;
    s->frames[s->n_frames++] = *f;
    s->v[s->n - 1].n++;
    return 0;
}

int stacks_parse(struct stacks *s, char *text)
{
    pid_t pid = 0;
    int rc = 0;
    char *lines = text, *line;
    while (rc == 0 && (line = strsep(&lines, "\n")) != NULL) {
        char *field[5] = {NULL};
        for (size_t i = 0; i < ARRAY_LEN(field); i++)
            field[i] = strsep(&line, "\t");
        if (field[1] == NULL)
            continue;
        if (strcmp(field[0], "process") == 0)
            pid = (pid_t)atoi(field[1]);
        else if (strcmp(field[0], "thread") == 0)
            rc = add_stack(s, pid, (pid_t)atoi(field[1]));
        else if (strcmp(field[0], "frame") == 0 && field[4] != NULL)
            rc = add_frame(s, &(struct frame){.pc = strtoull(field[1], NULL, 16),
                                              .offset = strtoull(field[2], NULL, 16),
                                              .function = field[3],
                                              .file = field[4]});
    }
    return rc;
}

/* --- having it said ------------------------------------------------------------------------------
 */

/* Copies processes as long as half of the time and the memory allow: a tree of hundreds must not
 * leave nothing for the names. */
static void copy_all(const struct stacks_req *req, int fd)
{
    uint64_t now = clock_mono_ms();
    uint64_t end = now + (req->deadline_ms > now ? (req->deadline_ms - now) / 2 : 0);
    for (size_t i = 0; i < req->n && clock_mono_ms() < end; i++) {
        struct snap_result r;
        if (lseek(fd, 0, SEEK_CUR) > SNAPSHOT_LIMIT)
            return;
        int rc = snapshot_take(fd, req->pids[i], PATIENCE_MS, req->look, req->ctx, &r);
        if (req->seen != NULL)
            req->seen(req->ctx, req->pids[i], rc, &r);
    }
}

int stacks_name(int fd, uint64_t deadline_ms, struct stacks *out, struct err *err)
{
    AUTO_FREE char *helper = NULL;
    *out = (struct stacks){0};
    int rc = spawn_find_own(&helper, "forkless-dump", err);
    if (rc < 0)
        return rc;
    char *argv[] = {helper, NULL};
    rc = tool_run(argv, fd, deadline_ms, OUTPUT_LIMIT, &out->text, err);
    if (rc < 0)
        return rc;
    bool whole = out->text.len >= 4 && strcmp(out->text.data + out->text.len - 4, "end\n") == 0;
    if (out->text.data != NULL && stacks_parse(out, out->text.data) < 0)
        return err_set(err, ERR_NOMEM, "stacks");
    return whole ? 0 : err_set(err, ERR_IO, "forkless-dump did not come to its end");
}

int stacks_collect(const struct stacks_req *req, struct stacks *out, struct err *err)
{
    *out = (struct stacks){0};
    AUTO_CLOSE int fd = memfd_create("forkless-stacks", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "memory for stacks");
    copy_all(req, fd);
    if (lseek(fd, 0, SEEK_CUR) == 0)
        return 0; /* nothing could be copied, as `seen` was told: there is nothing to be named */
    return stacks_name(fd, req->deadline_ms, out, err);
}

void stacks_free(struct stacks *s)
{
    buf_free(&s->text);
    free(s->v);
    free(s->frames);
    *s = (struct stacks){0};
}

const struct stack *stacks_find(const struct stacks *s, pid_t pid, pid_t tid)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].pid == pid && s->v[i].tid == tid)
            return &s->v[i];
    }
    return NULL;
}

const struct frame *stacks_frames(const struct stacks *s, const struct stack *stack)
{
    static const struct frame none;
    return stack->n > 0 ? &s->frames[stack->first] : &none;
}
