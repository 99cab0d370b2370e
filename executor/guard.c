#include "executor/guard.h"

#include <errno.h>
#include <fnmatch.h>
#include <gnu/libc-version.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "executor/proc.h"

/* A fork waits while its threads are looked at one by one: these are enough to know whose they are.
 */
#define MAX_THREADS 128

/* What is known of a process that forks in a loop is read anew after so long. */
#define LOOK_HOLDS_MS 100u

/* A child that has not called exec after so long goes on in the parent's memory; unless it has not
 * had a CPU yet: then it is looked at again, for so long in all. */
#define EXEC_MS 50u
#define EXEC_LATEST_MS 1000u

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1ul
#endif

/* One line a library: what its file is called, and how its threads are known. */
static const struct {
    unsigned bit;
    const char *file;   /* glob, of the file's last part */
    const char *thread; /* glob, of the names of its threads; NULL: they wait in its own code */
} libraries[] = {
    {GUARD_GRPC, "cygrpc*.so*", "grpc_*"},
    {GUARD_GRPC, "libgrpc*.so*", "grpc_*"},
    {GUARD_GRPC, "cygrpc*.so*", "event_engine*"},
    {GUARD_GRPC, "libgrpc*.so*", "event_engine*"},
    {GUARD_GRPC, "libgrpc*.so*", "default-executo*"},
    {GUARD_GRPC, "libgrpc*.so*", "resolver-execut*"},
    {GUARD_OPENMP, "libgomp*.so*", NULL},
    {GUARD_OPENMP, "libomp*.so*", NULL},
    {GUARD_OPENMP, "libiomp*.so*", NULL},
};

bool guard_blocks_signals(const char *glibc)
{
    int major, minor;
    return sscanf(glibc, "%d.%d", &major, &minor) == 2 &&
           (major > 2 || (major == 2 && minor >= 41));
}

bool guard_is_harmless(void)
{
#ifdef __GLIBC__
    return guard_blocks_signals(gnu_get_libc_version());
#else
    return false; /* who knows */
#endif
}

int guard_hello(int channel, int *listener, int *why)
{
    unsigned char sys;
    struct iovec text = {&sys, 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -1;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    *why = sys;
    *listener = -1;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(listener, CMSG_DATA(c), sizeof(*listener));
    if (*listener < 0 && *why == 0)
        *why = EMFILE; /* it was sent, and we have no place for it */
    return 1;
}

const char *guard_why(int sys)
{
    switch (sys) {
    case EBUSY:
        return "another program watches system calls here already (a seccomp listener)";
    case ENOSYS:
    case EINVAL:
        return "the kernel has no seccomp notification (Linux before 5.0, or a sandbox such as "
               "gVisor)";
    case EACCES:
    case EPERM:
        return "the sandbox does not allow seccomp filters";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    default:
        return strerror(sys);
    }
}

/* --- who calls -------------------------------------------------------------------------------- */

struct name {
    char text[16];
    int n;
};

struct others {
    struct fork_call *call;
    struct name names[16];
    size_t n;
    int looked; /* threads so far */
    struct range {
        uint64_t from, to;
        unsigned bit;
    } code[8];
    size_t n_code;
};

static void read_name(pid_t pid, pid_t tid, char name[static 16])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
    if (proc_read(path, name, 16) < 0)
        name[0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

static void count_name(struct others *o, const char *text)
{
    size_t i = 0;
    while (i < o->n && strcmp(o->names[i].text, text) != 0)
        i++;
    if (i == ARRAY_LEN(o->names))
        return;
    if (i == o->n)
        (void)snprintf(o->names[o->n++].text, sizeof(o->names[0].text), "%s", text);
    o->names[i].n++;
}

/* A thread that sleeps in a library's own code is one of the library's. */
static void look_where(struct others *o, pid_t tid)
{
    char path[64], text[256];
    unsigned long long pc;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)o->call->pid, (int)tid);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return;
    const char *last = strrchr(text, ' '); /* "202 0x… … SP PC" */
    if (last == NULL || sscanf(last, " %llx", &pc) != 1)
        return;
    for (size_t i = 0; i < o->n_code; i++) {
        if (pc >= o->code[i].from && pc < o->code[i].to)
            o->call->live |= o->code[i].bit;
    }
}

static void look_at_thread(void *ctx, pid_t pid, pid_t tid)
{
    struct others *o = ctx;
    char name[16];
    if (tid == o->call->tid || o->looked++ >= MAX_THREADS)
        return;
    read_name(pid, tid, name);
    count_name(o, name);
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        if ((o->call->mapped & libraries[i].bit) != 0 && libraries[i].thread != NULL &&
            fnmatch(libraries[i].thread, name, 0) == 0)
            o->call->live |= libraries[i].bit;
    }
    if (o->n_code > 0)
        look_where(o, tid);
}

static void look_at_mapping(struct others *o, const char *line)
{
    unsigned long long from, to;
    char mode[5];
    const char *slash = strrchr(line, '/');
    if (slash == NULL || sscanf(line, "%llx-%llx %4s", &from, &to, mode) != 3)
        return;
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        if (fnmatch(libraries[i].file, slash + 1, 0) != 0)
            continue;
        o->call->mapped |= libraries[i].bit;
        if (libraries[i].thread == NULL && mode[2] == 'x' && o->n_code < ARRAY_LEN(o->code))
            o->code[o->n_code++] = (struct range){from, to, libraries[i].bit};
    }
}

static void look_at_memory(struct others *o)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)o->call->pid);
    FILE *f = fopen(path, "re");
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    while (f != NULL && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        look_at_mapping(o, line);
    }
    if (f != NULL)
        (void)fclose(f);
}

static void put_names(struct fork_call *f, const struct others *o)
{
    size_t len = 0;
    for (size_t i = 0; i < o->n && len < sizeof(f->names) - 24; i++)
        len += (size_t)snprintf(f->names + len, sizeof(f->names) - len, "%s%s %d",
                                i > 0 ? ", " : "", o->names[i].text, o->names[i].n);
}

static pid_t process_of(pid_t tid)
{
    char path[64], text[2048];
    int pid;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return 0;
    const char *group = strstr(text, "\nTgid:");
    return group != NULL && sscanf(group, " Tgid: %d", &pid) == 1 ? pid : 0;
}

/* What was read a moment ago holds: a library that matters has threads of its own, and there are no
 * new ones. */
static bool look_known(struct fork_call *f, const struct fork_call *last)
{
    if (last->pid != f->pid || last->threads != f->threads ||
        clock_mono_ms() - last->looked_ms >= LOOK_HOLDS_MS)
        return false;
    f->mapped = last->mapped;
    f->live = last->live;
    f->looked_ms = last->looked_ms;
    memcpy(f->command, last->command, sizeof(f->command));
    memcpy(f->names, last->names, sizeof(f->names));
    return true;
}

static void look(struct fork_call *f, const struct fork_call *last)
{
    struct others o = {.call = f};
    f->threads = proc_count_threads(f->tid);
    f->pid = f->threads == 1 ? f->tid : process_of(f->tid);
    if (f->threads < 2 || f->pid == 0)
        return; /* alone: most forks end here */
    f->start_ticks = proc_now_ticks();
    if (look_known(f, last))
        return;
    f->looked_ms = clock_mono_ms();
    read_name(f->pid, f->tid, f->command);
    look_at_memory(&o);
    proc_each_thread(f->pid, look_at_thread, &o);
    put_names(f, &o);
}

void guard_look(pid_t pid, struct fork_call *out)
{
    const struct fork_call none = {0};
    *out = (struct fork_call){.tid = pid};
    look(out, &none);
}

/* --- notifications ---------------------------------------------------------------------------- */

void guard_prepare(int listener)
{
    /* Linux 6.6; elsewhere it takes a little longer */
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

bool guard_receive(int listener, const struct fork_call *last, struct fork_call *out)
{
    struct seccomp_notif n = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return false; /* the caller was killed in between */
    *out = (struct fork_call){.id = n.id, .tid = (pid_t)n.pid};
    if (out->tid > 0)
        look(out, last);
    /* its number may have become somebody else's while we read */
    return guard_waits(listener, n.id);
}

/* A signal, or a debugger, may come in between. */
static bool ask_kernel(int listener, unsigned long what, void *arg)
{
    int rc;
    do
        rc = ioctl(listener, what, arg);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

bool guard_waits(int listener, uint64_t id)
{
    return ask_kernel(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

int guard_answer(int listener, uint64_t id, int sys)
{
    struct seccomp_notif_resp n = {
        .id = id, .error = -sys, .flags = sys == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0};
    bool sent = ask_kernel(listener, SECCOMP_IOCTL_NOTIF_SEND, &n) || errno == ENOENT;
    return sent ? 0 : errno; /* ENOENT: it was killed */
}

bool guard_threaded(const struct fork_call *f)
{
    return f->threads > 1;
}

bool guard_deadly(const struct fork_call *f)
{
    return f->threads > 1 && f->live != 0;
}

void guard_say(char *out, size_t n, const struct fork_call *f, const struct origin *from,
               const char *verb)
{
    static const char *const whose[] = {"", ", gRPC's among them", ", OpenMP's among them",
                                        ", gRPC's and OpenMP's among them"};
    const char *at = origin_at(from);
    (void)snprintf(out, n, "%s (pid %d) %s with %d threads alive%s (%s)%s%s", f->command,
                   (int)f->pid, verb, f->threads, whose[f->live & (GUARD_GRPC | GUARD_OPENMP)],
                   f->names, at[0] != '\0' ? ", at " : "", at);
}

static const char *how_present(const struct fork_call *f, unsigned library)
{
    return (f->live & library) != 0 ? "live" : (f->mapped & library) != 0 ? "loaded" : "no";
}

static void put_origin(struct buf *b, const struct origin *from)
{
    char *text = from != NULL ? json_dumps(origin_doc(from), JSON_COMPACT) : NULL;
    if (text != NULL)
        buf_printf(b, ",\"from\":%s", text);
    free(text);
}

void guard_put_json(struct buf *b, const struct fork_call *f, const struct origin *from,
                    const char *how)
{
    buf_printf(b, "{\"how\":\"%s\",\"pid\":%d,\"command\":", how, (int)f->pid);
    json_put_string(b, f->command);
    buf_printf(b, ",\"threads\":%d,\"others\":", f->threads);
    json_put_string(b, f->names);
    buf_printf(b, ",\"grpc\":\"%s\",\"openmp\":\"%s\"", how_present(f, GUARD_GRPC),
               how_present(f, GUARD_OPENMP));
    put_origin(b, from);
    buf_putc(b, '}');
}

/* Children of one fork and later ones of its caller. */
struct child_look {
    uint64_t since;
    bool execs; /* one that has called exec */
    bool found; /* one that has not */
    bool ran;   /* and has had a CPU */
    pid_t pid;  /* of one that did more than to prepare its exec; 0: none */
    uint64_t start;
};

static void look_at_child(void *ctx, pid_t pid)
{
    struct child_look *l = ctx;
    struct proc_stat st;
    if (!proc_read_stat(pid, &st) || st.start_ticks < l->since)
        return;
    /* one that has ended already keeps the flag until it is awaited */
    if ((st.flags & PROC_FORKED_NO_EXEC) == 0) {
        l->execs = true;
    } else {
        l->found = true;
        bool ran = st.ticks > 0 || (st.state != 'R' && st.state != 'D');
        l->ran = l->ran || ran;
        if (ran && l->pid == 0) {
            l->pid = pid;
            l->start = st.start_ticks;
        }
    }
}

/* Milliseconds after the fork: soon, because a child may end soon. */
static uint64_t next_look(uint64_t age)
{
    static const unsigned looks[] = {2, 5, 10, 20, 30, 40, EXEC_MS};
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        if (age < looks[i])
            return looks[i];
    }
    return age + EXEC_MS;
}

/* In the order of their times. */
static void note(struct guard_pending *p, const struct guard_pended *g, uint64_t due_ms)
{
    size_t i = p->n;
    for (; i > 0 && p->v[i - 1].due_ms > due_ms; i--)
        p->v[i] = p->v[i - 1];
    p->v[i] = *g;
    p->v[i].due_ms = due_ms;
    p->n++;
}

bool guard_has_room(const struct guard_pending *p, pid_t pid)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].call.pid == pid)
            return false;
    }
    return p->n < GUARD_PENDING;
}

void guard_pend(struct guard_pending *p, const struct fork_call *f, struct origin *origin,
                uint64_t now_ms)
{
    const struct guard_pended g = {.call = *f, .origin = origin, .at_ms = now_ms};
    if (guard_has_room(p, f->pid))
        note(p, &g, now_ms + next_look(0));
    else
        origin_free(origin);
}

int guard_patience(const struct guard_pending *p, uint64_t now_ms)
{
    if (p->n == 0)
        return -1;
    return p->v[0].due_ms > now_ms ? (int)(p->v[0].due_ms - now_ms) : 0;
}

bool guard_take_due(struct guard_pending *p, uint64_t now_ms, struct guard_pended *out)
{
    if (p->n == 0 || p->v[0].due_ms > now_ms)
        return false;
    *out = p->v[0];
    memmove(p->v, p->v + 1, --p->n * sizeof(*p->v));
    return true;
}

/* What has become of a child that ran without exec. */
enum suspected { SUSPECT_NONE, SUSPECT_EXECS, SUSPECT_GOES_ON, SUSPECT_ENDED };

static enum suspected look_at_suspect(const struct guard_pended *g)
{
    struct proc_stat st;
    if (g->suspect == 0)
        return SUSPECT_NONE;
    if (!proc_read_stat(g->suspect, &st) || st.start_ticks != g->suspect_start)
        return SUSPECT_ENDED;
    return (st.flags & PROC_FORKED_NO_EXEC) != 0 ? SUSPECT_GOES_ON : SUSPECT_EXECS;
}

static enum guard_judged without_finding(const struct guard_pended *g)
{
    origin_free(g->origin);
    return g->execs ? GUARD_EXECS : GUARD_MISSED;
}

enum guard_judged guard_judge(struct guard_pending *p, const struct guard_pended *due,
                              uint64_t now_ms)
{
    struct child_look l = {.since = due->call.start_ticks};
    struct guard_pended again = *due;
    enum suspected known = look_at_suspect(due);
    uint64_t age = now_ms - due->at_ms;
    if (known == SUSPECT_ENDED)
        return GUARD_GOES_ON;
    if (known == SUSPECT_GOES_ON && age >= EXEC_MS)
        return GUARD_GOES_ON; /* its parent may be gone */
    proc_each_child(due->call.pid, look_at_child, &l);
    bool early = age < EXEC_MS;
    bool busy = l.found && !l.ran && age < EXEC_LATEST_MS;
    again.execs = due->execs || l.execs || known == SUSPECT_EXECS;
    if (known != SUSPECT_GOES_ON) {
        again.suspect = l.pid;
        again.suspect_start = l.start;
    }
    if (early || busy) {
        note(p, &again, due->at_ms + next_look(age)); /* there is room: it was taken out */
        return GUARD_LATER;
    }
    return l.found ? GUARD_GOES_ON : without_finding(&again);
}

enum guard_judged guard_judge_last(const struct guard_pended *due)
{
    return due->suspect != 0 ? GUARD_GOES_ON : without_finding(due);
}
