#include "cli/causes.h"

#include <fnmatch.h>
#include <string.h>

#include "base/cleanup.h"

#define NO_FORK "n_jobs=1 for the call that forks, or multiprocessing.get_context(\"spawn\")"

/* Of a class the more telling come first. Signs of fork deadlocks are words of the verdict and of
 * executor/evidence/patterns.c. */
/* clang-format off */
static const struct cause causes[] = {
    {FAIL_FORK_DEADLOCK, "gRPC", "grpc",
     "a forked child waits inside gRPC, whose threads the fork did not copy",
     NO_FORK "; GRPC_ENABLE_FORK_SUPPORT is no cure: with threads busy in gRPC it causes the hang"},
    {FAIL_FORK_DEADLOCK, "OpenMP", "openmp",
     "a forked child waits for threads of OpenMP (libgomp) that the fork did not copy",
     NO_FORK "; or one thread on both sides: nthread=1, OMP_NUM_THREADS=1"},
    {FAIL_FORK_DEADLOCK, "OpenBLAS", "openblas",
     "a forked child waits for threads of OpenBLAS that the fork did not copy",
     NO_FORK "; or OPENBLAS_NUM_THREADS=1"},
    {FAIL_FORK_DEADLOCK, "in TBB", "tbb",
     "a forked child waits for threads of TBB that the fork did not copy", NO_FORK},
    {FAIL_FORK_DEADLOCK, "CUDA", "cuda",
     "a forked child uses CUDA, which does not work after a fork",
     "multiprocessing.get_context(\"spawn\"), or no CUDA before the fork"},
    {FAIL_FORK_DEADLOCK, "cygrpc.", "grpc",
     "gRPC's own fork handlers wait for ever in a forked child",
     NO_FORK "; unset GRPC_ENABLE_FORK_SUPPORT: with threads busy in gRPC it causes the hang"},
    {FAIL_FORK_DEADLOCK, "os.register_at_fork", "python_handlers",
     "a handler that a Python package runs at each fork waits for ever",
     NO_FORK "; the handler's package stands in the stack"},
    {FAIL_FORK_DEADLOCK, "pthread_atfork", "fork_handlers",
     "a handler that a library runs at each fork (pthread_atfork) waits for ever",
     NO_FORK "; the handler's library stands in the stack"},
    {FAIL_FORK_DEADLOCK, "glibc's fork handlers", "fork_handlers",
     "a handler that a library runs at each fork waits for ever",
     NO_FORK "; the handler's library stands in the stack"},
    {FAIL_FORK_DEADLOCK, "interpreter lock", "gil",
     "a forked child waits for Python's interpreter lock, which a thread of its parent held",
     "let native code not fork beside Python threads: multiprocessing.get_context(\"spawn\")"},
    {FAIL_FORK_DEADLOCK, "allocator", "malloc",
     "a forked child waits for the memory allocator, whose lock a thread of its parent held",
     NO_FORK},
    {FAIL_FORK_DEADLOCK, "in jemalloc", "malloc",
     "a forked child waits for the memory allocator jemalloc, whose lock a thread of its parent held",
     NO_FORK "; or the C library's malloc (no LD_PRELOAD), which survives forks"},
    {FAIL_FORK_DEADLOCK, "in tcmalloc", "malloc",
     "a forked child waits for the memory allocator tcmalloc, whose lock a thread of its parent held",
     NO_FORK "; or the C library's malloc (no LD_PRELOAD), which survives forks"},
    {FAIL_FORK_DEADLOCK, "in mimalloc", "malloc",
     "a forked child waits for the memory allocator mimalloc, whose lock a thread of its parent held",
     NO_FORK "; or the C library's malloc (no LD_PRELOAD), which survives forks"},
    {FAIL_FORK_DEADLOCK, "mutex", "mutex",
     "a forked child waits for a mutex that a thread of its parent held at the fork",
     NO_FORK "; or fork before any thread is started"},
    {FAIL_FORK_DEADLOCK, NULL, "lock",
     "a forked child waits for what only a thread could give that the fork did not copy",
     NO_FORK "; or fork before any thread is started"},

    {FAIL_STALLED, "skipping fork() handlers", "grpc",
     "it made no progress, and gRPC said that it let a fork happen with its threads alive",
     NO_FORK "; GRPC_ENABLE_FORK_SUPPORT is no cure: it is what just failed"},
    {FAIL_STALLED, "forked with threads", "fork",
     "it made no progress after a process with threads had forked: most likely a deadlocked child",
     NO_FORK},
    {FAIL_STALLED, NULL, "stalled",
     "it made no progress: neither output nor CPU time moved",
     "see in the evidence where it stands; if it may be silent for so long, raise watch.stall or let it report"},
    {FAIL_TIMEOUT, NULL, "timeout",
     "it ran longer than a trial may",
     "raise watch.trial (--timeout), or give it less to do: fewer rounds, a pruner"},

    {FAIL_OOM, "CUDA out of memory", "gpu_memory",
     "the GPU had no memory left", "smaller batches, or fewer trials at a time on the GPU: slots.jobs"},
    {FAIL_OOM, NULL, "memory",
     "it ran out of memory",
     "more memory for the container or slots.memory, or fewer trials at a time: slots.jobs; "
     "`retry: {oom: {times: 1, memory: x1.5}}` tries again with more"},

    {FAIL_SIGNAL, "signal 9 ", "killed",
     "somebody killed it, and no cgroup of ours counted an OOM kill",
     "look for the host's OOM killer (dmesg, kubectl describe pod), or for who sends SIGKILL"},
    {FAIL_SIGNAL, "signal 15 ", "terminated",
     "somebody other than forkless sent it SIGTERM", "look for who did; forkless counts it as a failure of the trial"},
    {FAIL_SIGNAL, "signal 11 ", "crash",
     "its program crashed (bad memory access)", "run it with PYTHONFAULTHANDLER=1: the stack is then in its stderr"},
    {FAIL_SIGNAL, "signal 6 ", "abort",
     "its program aborted itself", "the reason stands in its stderr; PYTHONFAULTHANDLER=1 adds the stack"},
    {FAIL_SIGNAL, "signal 4 ", "cpu",
     "its program uses instructions that this CPU lacks", "install a build for this CPU"},
    {FAIL_SIGNAL, "signal 7 ", "shm",
     "it touched memory that has no storage: mostly a full /dev/shm", "a larger /dev/shm (an emptyDir with medium: Memory)"},
    {FAIL_SIGNAL, NULL, "signal", "a signal ended its program", "its stderr may say more; PYTHONFAULTHANDLER=1 adds the stack"},

    {FAIL_EXIT, "fork refused", "fork_denied",
     "the fork guard refused a fork, as watch.fork=deny asks: it could have hung its child", NO_FORK},
    {FAIL_EXIT, "but no result", "metric",
     "it ended well without naming its result",
     "print a last line METRIC=NUMBER on stdout, or name the metric that it prints: --metric, study.metric"},
    {FAIL_EXIT, "exit 127", "program", "its program, or one that it starts, was not found", "check run.command, PATH and the image"},
    {FAIL_EXIT, "exit 126", "program", "its program may not be executed", "chmod +x, and a first line such as #!/usr/bin/env python3"},
    {FAIL_EXIT, "exit 137", "killed", "a shell or launcher in it says that SIGKILL ended its program: often memory",
     "more memory, or fewer trials at a time: slots.jobs"},
    {FAIL_EXIT, "exit 139", "crash", "a shell or launcher in it says that its program crashed",
     "PYTHONFAULTHANDLER=1: the stack is then in its stderr"},
    {FAIL_EXIT, "SyntaxError", "code", "its Python code cannot be read", "mend the line that its stderr names"},
    {FAIL_EXIT, "FileNotFoundError", "file", "it misses a file", "give an absolute path, or set run.cwd"},
    {FAIL_EXIT, "unrecognized arguments", "arguments", "its program does not know an argument", "compare run.command with the program's --help"},
    {FAIL_EXIT, NULL, "exit", "its program said that it failed", "its stderr says why: the end of the traceback first"},

    {FAIL_NAN, "is no number: saw", "no_number", "what it printed as its result is no number at all",
     "print METRIC=NUMBER on a line of its own, such as loss=0.25"},
    {FAIL_NAN, NULL, "nan", "its result is NaN, which can be compared with nothing: the trial counts as failed",
     "find in its log where NaN begins (an empty fold, log(0), 0/0, steps that diverge) and guard that place; if these parameters are to "
     "blame, narrow the space, or try again with others: `fallback: [{on: [nan], set: {NAME: VALUE}}]`"},
    {FAIL_HESSIAN, NULL, "hessian", "a matrix or second derivative (hessian) of its training was not positive (definite)",
     "regularize: a floor below the second derivative or a ridge on the diagonal, a lower learning rate; with the focal loss of XGBoost a lower gamma (docs/focal-loss.md)"},
    {FAIL_OVERFLOW, NULL, "overflow", "a number overflowed", "clip the margin before exp, or narrow the space: lower learning rates"},
    {FAIL_CALIBRATION, NULL, "calibration", "the calibration got labels that it cannot use", "give the calibrator discrete labels, not smoothed ones"},
    {FAIL_MISSING_DEPENDENCY, NULL, "dependency", "a package or shared library is missing",
     "install what the message names into the workers' image or environment"},
    {FAIL_BAD_DATA, NULL, "data", "the data is not what the worker expects", "mend the file and column that the message names"},
    {FAIL_PREEMPTED, NULL, "preempted", "it was cut short: the sweep was stopped from outside", "nothing: run the same command again"},
    {FAIL_LOST, NULL, "lost", "whoever ran it is gone: killed, evicted, or out of touch",
     "nothing for one; if it comes again, look for OOM kills and evictions of the pod"},
    {FAIL_STORAGE, NULL, "storage", "its result could not be stored as it is", "the message names what the store refused"},
    {FAIL_PRUNED_BY_WORKER, NULL, "early_stop", "it stopped early, and no pruner had told it to", "let it go on until it is told {\"prune\":true}"},
};

static const struct forker forkers[] = {
    {"*/cleanlab/*",                  "cleanlab",           "find_label_issues(…, n_jobs=1)"},
    {"*/torch/utils/data/*",          "torch DataLoader",   "DataLoader(num_workers=0), or multiprocessing_context=\"spawn\""},
    {"*/datasets/*",                  "datasets",           "map(…, num_proc=None)"},
    {"*/billiard/*",                  "billiard (Celery)",  "the spawn context, or the solo or threads pool"},
    {"*/joblib/*",                    "joblib",             "Parallel(n_jobs=1), or the loky backend with LOKY_START_METHOD=spawn"},
    {"*/concurrent/futures/process*", "concurrent.futures", "ProcessPoolExecutor(mp_context=multiprocessing.get_context(\"spawn\"))"},
    {"*/multiprocessing/*",           "multiprocessing",    "multiprocessing.get_context(\"spawn\")"},
};
/* clang-format on */

static const struct cause *find_sign(enum fail_class fail, const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        const struct cause *c = &causes[i];
        if (c->fail == fail && c->sign != NULL && strstr(text, c->sign) != NULL)
            return c;
    }
    return NULL;
}

const struct cause *cause_find(enum fail_class fail, const char *const *texts, size_t n)
{
    const struct cause *c = NULL;
    for (size_t i = 0; i < n && c == NULL; i++)
        c = find_sign(fail, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(causes) && c == NULL; i++) {
        if (causes[i].fail == fail && causes[i].sign == NULL)
            c = &causes[i];
    }
    return c;
}

const struct forker *forker_find(const char *file)
{
    for (size_t i = 0; i < ARRAY_LEN(forkers); i++) {
        if (fnmatch(forkers[i].file, file, 0) == 0)
            return &forkers[i];
    }
    return NULL;
}
