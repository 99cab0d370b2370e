/* A library to be preloaded: starts gRPC in the process and counts what pthread_atfork hears. At
 * the end of the process the count goes to $ATFORK_LOG; workers keep quiet. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <grpc/grpc.h>

static atomic_int forks;

static void before_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

__attribute__((constructor)) static void begin(void)
{
    grpc_init();
    (void)pthread_atfork(before_fork, NULL, NULL);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("ATFORK_LOG");
    if (path == NULL || getenv("FORKLESS_WORKER") != NULL)
        return;
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return;
    (void)fprintf(f, "grpc %s, forks %d\n", grpc_is_initialized() ? "up" : "down",
                  atomic_load(&forks));
    (void)fclose(f);
}
