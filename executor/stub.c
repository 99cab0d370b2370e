/* forkless-exec: what must happen inside a worker's process before its program starts, and nothing
 * else.
 *
 *   forkless-exec PPID DATA_BYTES OOM_ADJ CPUS FILES PATH ARGV0 [ARG …]
 *
 * Under the name forkless-guardian it is another program: see stub_guardian.c.
 *
 *   PPID        the executor's pid: if it is gone already, so are we
 *   DATA_BYTES  RLIMIT_DATA, 0 = leave
 *   OOM_ADJ     oom_score_adj to write, -1 = leave
 *   CPUS        affinity as a hexadecimal mask of CPUs 0-63, 0 = leave
 *   FILES       soft RLIMIT_NOFILE, 0 = leave
 *
 * Descriptors above the channel, which forkless may have been given by whoever started it, are
 * closed.
 *
 * The executor must not do this between fork and exec (it never forks), so a chain of two execs
 * does. Freestanding, because starting even a static C library costs four times what this program
 * does (0.35 ms against 0.08 ms a worker). Exits 126 or 127 as a shell would when PATH cannot be
 * started. */
#include <fcntl.h>
#include <limits.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "executor/bare.h"
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

enum { A_PPID = 1, A_DATA, A_OOM, A_CPUS, A_FILES, A_PATH, A_ARGV0 };

__attribute__((used)) void stub_main(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    char **envp = argv + argc + 1;
    if (argc == 2 && same(argv[0], "forkless-guardian"))
        guard(argv[1]);
    if (argc <= A_ARGV0) {
        say("forkless-exec: started by forkless, not by hand\n");
        quit(2);
    }
    (void)call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
    /* died before that took effect: nobody would ever end us */
    if (call(SYS_getppid, 0, 0, 0, 0) != (long)number(argv[A_PPID], 10))
        quit(127);
    uint64_t data = number(argv[A_DATA], 10);
    if (data > 0) {
        struct rlimit limit = {data, data};
        (void)call(SYS_prlimit64, 0, RLIMIT_DATA, (long)&limit, 0);
    }
    if (argv[A_OOM][0] != '-')
        set_oom_score(argv[A_OOM]);
    uint64_t files = number(argv[A_FILES], 10);
    struct rlimit open_files;
    if (files > 0 && call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&open_files) == 0) {
        open_files.rlim_cur = files;
        (void)call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&open_files, 0);
    }
    uint64_t cpus = number(argv[A_CPUS], 16);
    if (cpus != 0)
        (void)call(SYS_sched_setaffinity, 0, sizeof(cpus), (long)&cpus, 0);
    (void)call(SYS_close_range, SPAWN_CHANNEL_FD + 1, UINT_MAX, 0, 0);
    long rc = call(SYS_execve, (long)argv[A_PATH], (long)(argv + A_ARGV0), (long)envp, 0);
    say("forkless: cannot start ");
    say(argv[A_PATH]);
    say(rc == -2 ? ": no such file, or its interpreter is missing\n"
                 : ": not executable, or out of resources\n");
    quit(rc == -2 ? 127 : 126);
}
