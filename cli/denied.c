#include "cli/denied.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/proc.h"

/* The first number behind a name of /proc/PID/status; 0 when it is not there. */
static unsigned long long field(pid_t pid, const char *name, int base)
{
    char path[48], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return 0;
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, base) : 0;
}

static int yama_scope(void)
{
    char scope[8];
    return proc_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) > 0 ? atoi(scope)
                                                                                     : 0;
}

void denied_put(struct buf *b, pid_t pid)
{
    unsigned owner = (unsigned)field(pid, "\nUid:", 10), self = geteuid();
    int tracer = (int)field(pid, "\nTracerPid:", 10), scope = yama_scope();
    bool capable = (field(getpid(), "\nCapEff:", 16) >> CAP_SYS_PTRACE & 1) != 0;
    if (tracer != 0)
        buf_printf(b, "process %d traces it, such as a debugger does: end that one first", tracer);
    else if (scope >= 3)
        buf_printf(b,
                   "kernel.yama.ptrace_scope is %d, which forbids it to everybody until the "
                   "machine is started again",
                   scope);
    else if (self == 0 && !capable)
        buf_puts(b, "you are root without CAP_SYS_PTRACE: give it to the container (docker run "
                    "--cap-add SYS_PTRACE; Kubernetes: securityContext.capabilities.add)");
    else if (owner != self)
        buf_printf(b,
                   "it belongs to user %u, and you are user %u: run forkless dump as its owner "
                   "or as root (sudo), in a container with CAP_SYS_PTRACE",
                   owner, self);
    else if (scope > 0)
        buf_printf(b,
                   "kernel.yama.ptrace_scope is %d: run forkless dump as root (sudo), in a "
                   "container with CAP_SYS_PTRACE%s",
                   scope, scope == 1 ? ", or set kernel.yama.ptrace_scope=0" : "");
    else
        buf_puts(b, "it has other rights than you: run forkless dump as root (sudo), in a "
                    "container with CAP_SYS_PTRACE");
}
