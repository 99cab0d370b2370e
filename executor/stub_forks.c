/* Has the forks of this process and of all its descendants stop for the executor to look: a seccomp
 * filter whose listener goes to the executor through the channel.
 *
 *   fork, clone without CLONE_VM   wait for the executor's word
 *   clone3                         ENOSYS: its flags lie in memory, where no filter can read them;
 *                                  C libraries then use clone, as they do in containers
 *   all else                       passes: threads, vfork, posix_spawn, every other call
 *
 * Needs no privilege but no_new_privs: set-user-ID programs (sudo, ping) lose theirs below here. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>

#include "executor/bare.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif

#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ARCHITECTURE BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch))
/* The lower half of the first argument, on machines that write it first. */
#define FLAGS BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]))
#define IF(v, then, other) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (then), (other))
#define IF_BITS(v, then, other) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (v), (then), (other))
#define ANSWER(v) BPF_STMT(BPF_RET | BPF_K, (v))

/* Numbers on the machine's other architecture, whose programs run here too. */
enum { I386_FORK = 2, I386_CLONE = 120 };

static struct sock_filter program[] = {
    ARCHITECTURE,
#if defined(__x86_64__)
    IF(AUDIT_ARCH_X86_64, 5, 0),
    IF(AUDIT_ARCH_I386, 0, 13),
    NUMBER,
    IF(I386_FORK, 9, 0),
    IF(SYS_clone3, 9, 0), /* the same number everywhere */
    IF(I386_CLONE, 5, 9),
    NUMBER,
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xbfffffffu), /* x32 has one bit more */
    IF(SYS_fork, 4, 0),
    IF(SYS_clone3, 4, 0),
    IF(SYS_clone, 0, 4),
    FLAGS,
    IF_BITS(CLONE_VM, 2, 0),
    ANSWER(SECCOMP_RET_USER_NOTIF),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    ANSWER(SECCOMP_RET_ALLOW),
#elif defined(__aarch64__)
    IF(AUDIT_ARCH_AARCH64, 0, 7),
    NUMBER,
    IF(SYS_clone3, 4, 0),
    IF(SYS_clone, 0, 4),
    FLAGS,
    IF_BITS(CLONE_VM, 2, 0),
    ANSWER(SECCOMP_RET_USER_NOTIF),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    ANSWER(SECCOMP_RET_ALLOW),
#endif
};

static long install(void)
{
    static const struct sock_fprog prog = {sizeof(program) / sizeof(program[0]), program};
    /* without the second flag old processors run the whole process slower; with the third a signal
     * does not take a caller out of its wait once the executor looks at it (Linux 5.19) */
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    if (call6(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) < 0)
        return -EPERM;
    long fd = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   (long)(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), (long)&prog, 0);
    return fd == -EINVAL ? call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (long)flags, (long)&prog, 0)
                         : fd;
}

void watch_forks(int channel)
{
    long fd = install();
    unsigned char why = fd < 0 ? (unsigned char)-fd : 0;
    int listener = (int)fd;
    struct iovec text = {&why, 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    if (fd >= 0) {
        *(int *)(void *)CMSG_DATA(&control.head) = listener;
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    /* if it cannot be told, nobody would ever answer a fork */
    if (call(SYS_sendmsg, channel, (long)&message, MSG_NOSIGNAL, 0) != 1)
        quit(126);
    if (fd >= 0)
        (void)call(SYS_close, fd, 0, 0, 0);
}
