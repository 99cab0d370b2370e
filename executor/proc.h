/* Process trees, read from /proc: their CPU time, and ending them whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What /proc/PID/stat says of one process. */
struct proc_stat {
    char state; /* R, S, D, Z, T … */
    pid_t ppid;
    unsigned flags; /* PF_… of the kernel */
    unsigned long long ticks,
        ended_ticks;             /* CPU time of its own, and of children that it awaited */
    unsigned long long page_ins; /* major faults, of both */
    int threads;
    unsigned long long start_ticks; /* of its start, since the machine's */
};

/* In flags: made by fork, and has not called exec since. */
#define PROC_FORKED_NO_EXEC 0x40u

/* False when the process is gone; readable for everybody, whoever owns it. */
bool proc_read_stat(pid_t pid, struct proc_stat *out);
/* The same of one of its threads: state and CPU time are the thread's. */
bool proc_read_thread_stat(pid_t pid, pid_t tid, struct proc_stat *out);
uint64_t proc_ticks_ms(unsigned long long ticks);
/* Now, by the clock of start_ticks. */
uint64_t proc_now_ticks(void);

/* Reads a file of /proc, at most n-1 bytes, and ends it with a NUL; -1 when it cannot be opened. */
ssize_t proc_read(const char *path, char *out, size_t n);

/* Threads of the process that has this one, without reading anything: a directory has a link for
 * each one in it, and two. 0: it is gone. */
int proc_count_threads(pid_t tid);

/* Number of the newest process or thread of this machine or container; 0: unknown. While it stays
 * the same nobody was born. */
int64_t proc_newest(void);

/* Returns their number; 0: it is gone. */
int proc_each_thread(pid_t pid, void (*visit)(void *ctx, pid_t pid, pid_t tid), void *ctx);

void proc_each_child(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx);

/* Calls visit for pid and all its descendants, children before their parents. */
void proc_walk(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx);

/* The same for those of them that have threads beside the first one. */
void proc_walk_threaded(pid_t pid, void (*visit)(void *ctx, pid_t pid), void *ctx);

/* CPU time in milliseconds used by pid and all its descendants, those that ended included; 0 when
 * it is gone. A few system calls a process. */
uint64_t proc_tree_cpu_ms(pid_t pid);

/* What pid and all its descendants have used so far, those included that ended and were awaited. */
struct proc_usage {
    uint64_t cpu_ms;
    uint64_t page_ins;      /* major faults: pages that came from a disk */
    uint64_t storage_bytes; /* read from disks and written to them */
    uint64_t call_bytes;    /* through read and write, of whatever kind: files, pipes, /proc … */
};

/* All 0 when it is gone; bytes of those who may not be looked at are missing. */
void proc_tree_usage(pid_t pid, struct proc_usage *out);

/* Sends sig to the process group of pid and to every descendant outside it. */
void proc_kill_tree(pid_t pid, int sig);

/* Ends and reaps what has become ours by being a subreaper (or PID 1): for each child of this
 * process that `is_worker` does not know, kills it if `is_stray` says so, and collects it if it is
 * over. Returns the number of such children that are left. */
int proc_reap_orphans(bool (*is_worker)(void *ctx, pid_t pid),
                      bool (*is_stray)(void *ctx, pid_t pid), void *ctx);

/* Value of a variable in the environment of another process: writes at most n-1 characters; false
 * when the process, the variable or the permission is missing. */
bool proc_environ(pid_t pid, const char *name, char *out, size_t n);
