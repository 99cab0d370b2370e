/* Scope-bound cleanup and small structural macros (GNU C attributes). */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Frees, closes or destroys a variable when its scope ends. */
#define AUTO(fn) __attribute__((cleanup(fn)))
#define AUTO_FREE AUTO(cleanup_free)
#define AUTO_CLOSE AUTO(cleanup_close)
#define AUTO_FCLOSE AUTO(cleanup_fclose)

/* Hands the pointer on and disarms its cleanup. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
/* The same for a file descriptor. */
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f != NULL)
        (void)fclose(*f);
}
