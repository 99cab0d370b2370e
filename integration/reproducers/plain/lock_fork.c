/* lock-fork: another thread holds a lock at the fork, and in the child nobody is left to let it go.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "integration/reproducers/victim.h"

enum { LOGGER, LOADER, MALLOC };

static sem_t held; /* the other thread is where it should be */

/* ---- logger: a mutex around a write, as most have it ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static int log_line(const char *text)
{
    (void)pthread_mutex_lock(&log_lock);
    ssize_t n = write(log_fd, text, strlen(text));
    (void)pthread_mutex_unlock(&log_lock);
    return n < 0;
}

/* Whoever reads the log is slow today: a write waits, with the lock. */
static void *log_for_ever(void *unused)
{
    int ends[2];
    (void)unused;
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[1], F_SETPIPE_SZ, 4096) < 0)
        abort();
    log_fd = ends[1];
    char page[4096] = "";
    (void)!write(log_fd, page, sizeof(page));
    (void)sem_post(&held);
    return log_line("a line\n") ? unused : NULL;
}

/* ---- loader: glibc's own, taken by dlopen and by every C++ exception ---- */

static int stay(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info;
    (void)size;
    (void)unused;
    (void)sem_post(&held);
    return pause();
}

static void *walk_libraries(void *unused)
{
    (void)dl_iterate_phdr(stay, NULL);
    return unused;
}

static int load(void)
{
    void *library = dlopen("libm.so.6", RTLD_NOW);
    if (library != NULL)
        (void)dlclose(library);
    return library == NULL;
}

/* ---- malloc: glibc's fork waits for its locks and lets them go in the child ---- */

static int allocate(size_t times)
{
    for (size_t i = 1; i <= times; i++) {
        char *p = malloc(1 + i % 4096);
        if (p == NULL)
            return 1;
        *(volatile char *)p = 1;
        free(p);
    }
    return 0;
}

static void *allocate_for_ever(void *unused)
{
    (void)sem_post(&held);
    while (allocate(1000) == 0)
        ;
    return unused;
}

/* ---- the victim ---- */

static int parent(const struct victim_run *run)
{
    static void *(*const others[])(void *) = {log_for_ever, walk_libraries, allocate_for_ever};
    pthread_t thread;
    (void)sem_init(&held, 0, 0);
    if (pthread_create(&thread, NULL, others[run->c->kind], NULL) != 0)
        return 1;
    while (sem_wait(&held) != 0)
        ;
    (void)usleep(100000); /* from there it is one step to where it stays */
    return victim_child(run, "");
}

static int child(const struct victim_run *run, const char *given)
{
    (void)given;
    switch (run->c->kind) {
    case LOGGER:
        if (log_fd < 0) /* a fresh process */
            log_fd = STDERR_FILENO;
        return log_line("the child's line\n");
    case LOADER:
        return load();
    default:
        return allocate(1000);
    }
}

static const struct victim_case cases[] = {
    {"logger",
     "a thread of the parent holds the logger's lock while it writes; the child logs a line",
     VICTIM_HANGS, VICTIM_LEFT_OUT, LOGGER},
    {"loader", "a thread of the parent walks its libraries; the child loads one", VICTIM_HANGS,
     VICTIM_LEFT_OUT, LOADER},
    {"malloc",
     "a thread of the parent allocates without a pause; the child allocates: glibc's fork takes "
     "care "
     "of this lock",
     VICTIM_PASSES, VICTIM_LEFT_OUT, MALLOC},
};

const struct victim lock_fork = {
    .summary = "a lock that another thread holds at the fork",
    .cases = cases,
    .n_cases = ARRAY_LEN(cases),
    .parent = parent,
    .child = child,
};
