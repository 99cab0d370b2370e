#include "executor/evidence/snapshot.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "executor/evidence/waiting.h"
#include "executor/proc.h"

#define MAX_THREADS 512u
#define MAX_ROUNDS 5             /* of looking for threads that came meanwhile */
#define STACK_LIMIT (512u << 10) /* copied of one stack, from its top */
#define BRIEF_MS 100             /* given to threads in an uninterruptible wait too */
#define MAPS_LIMIT (8u << 20)
#define EVENT_OF(code) ((unsigned)(code) >> 8)

struct thread {
    pid_t tid;
    bool seized, stopped;
    struct snap_regs regs;
};

struct range {
    uint64_t from, to;
};

struct shot {
    int fd;
    pid_t pid;
    unsigned patience_ms;
    void (*look)(void *ctx, pid_t pid);
    void *ctx;
    struct buf maps;
    struct range *ranges; /* what maps says, as it does: sorted */
    size_t n_ranges, cap_ranges;
    struct thread *threads; /* [MAX_THREADS] */
    size_t n;
    struct snap_result result;
    bool failed; /* to write */
};

/* --- stopping ------------------------------------------------------------------------------------
 */

static void seize(void *ctx, pid_t pid, pid_t tid)
{
    struct shot *s = ctx;
    (void)pid;
    for (size_t i = 0; i < s->n; i++) {
        if (s->threads[i].tid == tid)
            return;
    }
    if (s->n == MAX_THREADS)
        return;
    struct thread *t = &s->threads[s->n++];
    *t = (struct thread){.tid = tid};
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
        t->seized = ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0;
    else if (errno != ESRCH && s->result.sys == 0)
        s->result.sys = errno;
}

#if defined(__x86_64__)
static void take_regs(struct snap_regs *out, const struct user_regs_struct *r)
{
    const uint64_t v[SNAP_REGS] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi,
                                   r->rbp, r->rsp, r->r8,  r->r9,  r->r10, r->r11,
                                   r->r12, r->r13, r->r14, r->r15, r->rip};
    memcpy(out->v, v, sizeof(v));
    out->known = (1ull << SNAP_REGS) - 1;
}
#elif defined(__aarch64__)
static void take_regs(struct snap_regs *out, const struct user_regs_struct *r)
{
    memcpy(out->v, r->regs, sizeof(r->regs));
    out->v[SNAP_SP] = r->sp;
    out->v[SNAP_PC] = r->pc;
    out->known = (1ull << SNAP_REGS) - 1;
}
#endif

/* Its registers can be had only once it stands still. This asks instead of waiting for a report,
 * because a waitpid of the loop's thread may have taken that. */
static bool has_stopped(struct thread *t)
{
    struct user_regs_struct regs;
    struct iovec iov = {&regs, sizeof(regs)};
    if (ptrace(PTRACE_GETREGSET, t->tid, (void *)NT_PRSTATUS, &iov) < 0 ||
        iov.iov_len != sizeof(regs))
        return false; /* runs still, is gone, or is no 64-bit thread */
    take_regs(&t->regs, &regs);
    return true;
}

/* A thread in an uninterruptible wait will not stop; any other needs only its turn on a CPU, which
 * a busy machine may be slow to give. */
static bool may_stop(const struct shot *s, const struct thread *t)
{
    struct proc_stat st;
    return proc_read_thread_stat(s->pid, t->tid, &st) && st.state != 'D';
}

/* How many are worth waiting for. */
static size_t still_running(struct shot *s, bool patient)
{
    size_t running = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct thread *t = &s->threads[i];
        if (t->seized && !t->stopped) {
            t->stopped = has_stopped(t);
            running += !t->stopped && (patient || may_stop(s, t));
        }
    }
    return running;
}

static void stop_all(struct shot *s)
{
    uint64_t began = clock_mono_ms(), end = began + s->patience_ms;
    struct timespec nap = {.tv_nsec = 100000};
    for (int round = 0; round < MAX_ROUNDS; round++) {
        size_t before = s->n;
        proc_each_thread(s->pid, seize, s);
        while (still_running(s, clock_mono_ms() < began + BRIEF_MS) > 0 && clock_mono_ms() < end) {
            (void)nanosleep(&nap, NULL);
            if (nap.tv_nsec < 2000000)
                nap.tv_nsec *= 2;
        }
        if (s->n == before)
            break;
    }
}

/* A signal that was on its way when it stopped must still arrive. */
static void let_go(const struct thread *t)
{
    siginfo_t info;
    long sig = 0;
    if (ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &info) == 0 &&
        EVENT_OF(info.si_code) != PTRACE_EVENT_STOP)
        sig = info.si_signo;
    (void)ptrace(PTRACE_DETACH, t->tid, NULL, sig); /* what is gone needs none */
}

/* --- copying -------------------------------------------------------------------------------------
 */

static void put(struct shot *s, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0 && !s->failed) {
        ssize_t k = write(s->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        s->failed = k <= 0;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

static void put_record(struct shot *s, uint32_t kind, int32_t id, uint64_t addr, const void *data,
                       size_t n)
{
    const struct snap_record r = {kind, id, addr, n};
    put(s, &r, sizeof(r));
    put(s, data, n);
}

/* Where the mapping ends that holds addr; 0: none. */
static uint64_t mapping_end(const struct shot *s, uint64_t addr)
{
    size_t at = LOWER_BOUND(i, s->n_ranges, s->ranges[i].to <= addr);
    return at < s->n_ranges && s->ranges[at].from <= addr ? s->ranges[at].to : 0;
}

static void put_memory(struct shot *s, uint64_t from, uint64_t to)
{
    char block[4096];
    for (uint64_t at = from; at < to;) {
        uint64_t end = (at | (sizeof(block) - 1)) + 1; /* pages may be missing one by one */
        size_t n = (size_t)((end < to ? end : to) - at);
        if (memory_read(s->pid, at, block, n))
            put_record(s, SNAP_MEMORY, 0, at, block, n);
        at += n;
    }
}

static void put_stack(struct shot *s, uint64_t sp)
{
    uint64_t end = mapping_end(s, sp);
#if defined(__x86_64__)
    sp -= sp >= 128 ? 128 : 0; /* the red zone */
#endif
    if (end > sp && end - sp > STACK_LIMIT)
        end = sp + STACK_LIMIT;
    put_memory(s, sp, end);
}

static void put_thread(struct shot *s, struct thread *t)
{
    if (!t->stopped) {
        struct waiting w;
        waiting_read(s->pid, t->tid, &w);
        if (w.sp == 0 || w.pc == 0)
            return;
        t->regs.v[SNAP_SP] = w.sp;
        t->regs.v[SNAP_PC] = w.pc;
        t->regs.known = 1ull << SNAP_SP | 1ull << SNAP_PC;
        s->result.asleep++;
    }
    s->result.stopped += t->stopped;
    put_record(s, SNAP_THREAD, t->tid, 0, &t->regs, sizeof(t->regs));
    put_stack(s, t->regs.v[SNAP_SP]);
}

/* The kernel's own code in the process: signal frames and clocks; it is in no file. */
static void put_vdso(struct shot *s)
{
    const char *name = strstr(buf_str(&s->maps), "[vdso]");
    if (name == NULL)
        return;
    while (name > s->maps.data && name[-1] != '\n')
        name--;
    uint64_t from = strtoull(name, NULL, 16);
    put_memory(s, from, mapping_end(s, from));
}

/* A process with many threads has many mappings: they are not read for each. */
static bool take_ranges(struct shot *s)
{
    for (const char *line = buf_str(&s->maps); *line != '\0'; line += *line == '\n') {
        char *rest;
        uint64_t from = strtoull(line, &rest, 16);
        if (*rest == '-' &&
            !array_reserve(&s->ranges, &s->cap_ranges, s->n_ranges + 1, sizeof(*s->ranges)))
            return false;
        if (*rest == '-')
            s->ranges[s->n_ranges++] = (struct range){from, strtoull(rest + 1, NULL, 16)};
        line += strcspn(line, "\n");
    }
    return true;
}

static bool read_maps(struct shot *s)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)s->pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && s->maps.len < MAPS_LIMIT && buf_reserve(&s->maps, 16384)) {
        ssize_t n = read(fd, s->maps.data + s->maps.len, 16384);
        if (n <= 0)
            break;
        s->maps.len += (size_t)n;
        s->maps.data[s->maps.len] = '\0';
    }
    return s->maps.len > 0 && take_ranges(s);
}

/* Runs in a thread of its own: when that ends, the kernel lets go whatever could not be let go by a
 * call, because it never stopped. */
static void *shoot(void *arg)
{
    struct shot *s = arg;
    uint64_t began_ns = clock_mono_ns();
    stop_all(s);
    if (read_maps(s)) {
        if (s->look != NULL)
            s->look(s->ctx, s->pid);
        put_record(s, SNAP_PROCESS, s->pid, 0, s->maps.data, s->maps.len);
        put_vdso(s);
        for (size_t i = 0; i < s->n; i++)
            put_thread(s, &s->threads[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->threads[i].stopped)
            let_go(&s->threads[i]);
    }
    s->result.stopped_us = (clock_mono_ns() - began_ns) / 1000;
    s->result.threads = (unsigned)s->n;
    return NULL;
}

int snapshot_take(int fd, pid_t pid, unsigned patience_ms, void (*look)(void *ctx, pid_t pid),
                  void *ctx, struct snap_result *out)
{
    AUTO_FREE struct thread *threads = calloc(MAX_THREADS, sizeof(*threads));
    struct shot s = {.fd = fd,
                     .pid = pid,
                     .patience_ms = patience_ms,
                     .look = look,
                     .ctx = ctx,
                     .threads = threads};
    pthread_t thread;
    *out = (struct snap_result){0};
    if (threads == NULL || pthread_create(&thread, NULL, shoot, &s) != 0)
        return -ERR_NOMEM;
    (void)pthread_join(thread, NULL);
    bool nothing = s.failed || s.maps.len == 0;
    buf_free(&s.maps);
    free(s.ranges);
    *out = s.result;
    return nothing ? -ERR_IO : 0;
}

/* A word at an address that nobody has: what is refused then is to look at all. */
static int refusal(pid_t pid)
{
    char byte;
    struct iovec ours = {&byte, 1}, theirs = {NULL, 1};
    return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) < 0 && errno != EFAULT ? errno : 0;
}

int snapshot_take_held(int fd, pid_t pid, pid_t tid, struct snap_result *out)
{
    struct thread t = {.tid = tid};
    struct shot s = {.fd = fd, .pid = pid, .result = {.threads = 1}};
    if (read_maps(&s)) {
        put_record(&s, SNAP_PROCESS, pid, 0, s.maps.data, s.maps.len);
        put_thread(&s, &t);
    }
    bool nothing = s.failed || s.result.asleep == 0;
    s.result.sys = nothing ? refusal(pid) : 0;
    buf_free(&s.maps);
    free(s.ranges);
    *out = s.result;
    return nothing ? -ERR_IO : 0;
}

const char *snapshot_hint(void)
{
    char scope[8];
    if (proc_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) <= 0 ||
        scope[0] == '0')
        return "";
    return "; kernel.yama.ptrace_scope is set: only ancestors and privileged users may";
}
