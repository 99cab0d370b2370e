/* forkless-exec: what must happen inside a worker's process before its program starts, and nothing
 * else.
 *
 *   forkless-exec PPID OOM_ADJ FORKS CHANNEL ORDERS
 *
 * Under the name forkless-guardian it is another program: see stub_guardian.c.
 *
 *   PPID        the executor's pid: if it is gone already, so are we
 *   OOM_ADJ     oom_score_adj to write; - = leave, and all else of a program in the foreground
 *   FORKS       1: its forks are watched, see stub_forks.c; 0: not
 *   CHANNEL, ORDERS   the descriptors: 3 and 4, but with a program in the foreground, which may
 * have been given those
 *
 * Then it waits for its orders (orders.h): the program, its arguments and environment, its limits.
 * Descriptors above those, which forkless may have been given by whoever started it, are closed; a
 * program in the foreground keeps them, and the channel is not for it.
 *
 * The executor must not do this between fork and exec (it never forks), so a chain of two execs
 * does. Freestanding, because starting even a static C library costs four times what this program
 * does (0.35 ms against 0.08 ms a worker). Exits 126 or 127 as a shell would when the program
 * cannot be started. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "executor/bare.h"
#include "executor/orders.h"
#include "executor/spawn.h"

#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call stub_main\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "  mov x29, #0\n"
        "  mov x0, sp\n"
        "  and x1, x0, #-16\n"
        "  mov sp, x1\n"
        "  bl stub_main\n");
#endif

void stub_main(long *stack);

static void set_oom_score(const char *text)
{
    long fd = call(SYS_openat, AT_FDCWD, (long)"/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return; /* a hint to the kernel: better than no worker without it */
    (void)call(SYS_write, fd, (long)text, (long)length(text), 0);
    (void)call(SYS_close, fd, 0, 0, 0);
}

/* Waits for the orders; the executor's end of the channel closes when it has none. */
static const struct spawn_orders *await_orders(int channel, int orders)
{
    uint64_t size;
    long n;
    do
        n = call(SYS_read, channel, (long)&size, sizeof(size), 0);
    while (n == -EINTR);
    if (n != (long)sizeof(size))
        quit(0);
    long at = call6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, orders, 0);
    if (at < 0 && at > -4096) {
        say("forkless: no memory to start a worker\n");
        quit(126);
    }
    (void)call(SYS_close, orders, 0, 0, 0);
    return (const struct spawn_orders *)at;
}

static void set_limits(const struct spawn_orders *o)
{
    struct rlimit data = {o->memory_bytes, o->memory_bytes}, open_files;
    if (o->memory_bytes > 0)
        (void)call(SYS_prlimit64, 0, RLIMIT_DATA, (long)&data, 0);
    if (o->files > 0 && call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&open_files) == 0) {
        open_files.rlim_cur = o->files;
        (void)call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&open_files, 0);
    }
    if (o->cpus != 0)
        (void)call(SYS_sched_setaffinity, 0, sizeof(o->cpus), (long)&o->cpus, 0);
}

/* Points at n strings from text on, and a NULL after them; returns what follows the last. */
static const char *point(const char **to, uint32_t n, const char *text)
{
    for (uint32_t i = 0; i < n; i++, text += length(text) + 1)
        to[i] = text;
    to[n] = NULL;
    return text;
}

static _Noreturn void run(const struct spawn_orders *o)
{
    const char *cwd = o->text, *path = cwd + length(cwd) + 1;
    size_t pointers = ((size_t)o->argc + o->envc + 2) * sizeof(char *);
    long at = call6(SYS_mmap, 0, (long)pointers, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096) {
        say("forkless: no memory to start a worker\n");
        quit(126);
    }
    const char **argv = (const char **)at, **envp = argv + o->argc + 1;
    (void)point(envp, o->envc, point(argv, o->argc, path + length(path) + 1));
    if (cwd[0] != '\0' && call(SYS_chdir, (long)cwd, 0, 0, 0) < 0) {
        say("forkless: cannot enter the directory ");
        say(cwd);
        say("\n");
        quit(126);
    }
    set_limits(o);
    long rc = call(SYS_execve, (long)path, (long)argv, (long)envp, 0);
    say("forkless: cannot start ");
    say(path);
    say(rc == -ENOENT ? ": no such file, or its interpreter is missing\n"
                      : ": not executable, or out of resources\n");
    quit(rc == -ENOENT ? 127 : 126);
}

enum { A_PPID = 1, A_OOM, A_FORKS, A_CHANNEL, A_ORDERS, A_COUNT };

__attribute__((used)) void stub_main(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    if (argc == 2 && same(argv[0], "forkless-guardian"))
        guard(argv[1]);
    if (argc != A_COUNT) {
        say("forkless-exec: started by forkless, not by hand\n");
        quit(2);
    }
    (void)call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
    /* died before that took effect: nobody would ever end us */
    if (call(SYS_getppid, 0, 0, 0, 0) != (long)number(argv[A_PPID], 10))
        quit(127);
    int channel = (int)number(argv[A_CHANNEL], 10), orders = (int)number(argv[A_ORDERS], 10);
    if (argv[A_OOM][0] != '-') {
        set_oom_score(argv[A_OOM]);
        (void)call(SYS_close_range, orders + 1, UINT_MAX, 0, 0);
    } else {
        (void)call(SYS_fcntl, channel, F_SETFD, FD_CLOEXEC, 0);
    }
    if (argv[A_FORKS][0] == '1')
        watch_forks(channel);
    run(await_orders(channel, orders));
}
