#include "executor/evidence/patterns.h"

#include <fnmatch.h>
#include <string.h>

#include "base/cleanup.h"

/* Each line has its test in tests/executor/test_patterns.c. The strongest come first. */
/* clang-format off */
static const struct pattern patterns[] = {
    /* name                kind                function                   file                 inside      alone   says */
    {"pthread_atfork",      PATTERN_AFTER_FORK, "fork",                    "libc.so*",          "libc.so*", false,  "in a handler of pthread_atfork"},
    {"pthread_atfork",      PATTERN_AFTER_FORK, "__libc_fork",             "libc.so*",          "libc.so*", false,  "in a handler of pthread_atfork"},
    {"glibc_after_fork",    PATTERN_AFTER_FORK, "__run_*fork_handlers",    NULL,                NULL,       false,  "in glibc's fork handlers"},
    {"grpc_after_fork",     PATTERN_AFTER_FORK, "*grpc_prefork*",          "libgrpc*.so*",      NULL,       false,  "in gRPC's fork handlers"},
    {"grpc_after_fork",     PATTERN_AFTER_FORK, "*grpc_prefork*",          "cygrpc.*",          NULL,       false,  "in gRPC's fork handlers"},
    {"grpc_after_fork",     PATTERN_AFTER_FORK, "*grpc_postfork*",         "libgrpc*.so*",      NULL,       false,  "in gRPC's fork handlers"},
    {"grpc_after_fork",     PATTERN_AFTER_FORK, "*grpc_postfork*",         "cygrpc.*",          NULL,       false,  "in gRPC's fork handlers"},
    {"grpc_python_fork",    PATTERN_AFTER_FORK, "*cygrpc*fork*",           "cygrpc.*",          NULL,       false,  "in the fork handlers of gRPC's Python layer"},
    {"python_after_fork",   PATTERN_AFTER_FORK, "PyOS_AfterFork*",         NULL,                NULL,       false,  "in Python's os.register_at_fork handlers"},
    {"python_before_fork",  PATTERN_AFTER_FORK, "PyOS_BeforeFork",         NULL,                NULL,       false,  "in Python's os.register_at_fork handlers"},
    {"python_run_at_fork",  PATTERN_AFTER_FORK, "run_at_forkers*",         NULL,                NULL,       false,  "in Python's os.register_at_fork handlers"},
    {"grpc_postfork",       PATTERN_AFTER_FORK, "*postfork*",              "*.py",              NULL,       false,  "in the fork handlers of gRPC's Python layer"},
    {"grpc_prefork",        PATTERN_AFTER_FORK, "*prefork*",               "*.py",              NULL,       false,  "in the fork handlers of gRPC's Python layer"},
    {"grpc_close_on_fork",  PATTERN_AFTER_FORK, "*_close_on_fork",         "*.py",              NULL,       false,  "in the fork handlers of gRPC's Python layer"},
    {"python_hook",         PATTERN_AFTER_FORK, "*after*fork*",            "*.py",              NULL,       false,  "in a handler of Python's os.register_at_fork"},
    {"glibc_malloc",        PATTERN_ALLOCATOR,  "*alloc",                  "libc.so*",          NULL,       false,  "in glibc's memory allocator"},
    {"glibc_memalign",      PATTERN_ALLOCATOR,  "*memalign",               "libc.so*",          NULL,       false,  "in glibc's memory allocator"},
    {"glibc_free",          PATTERN_ALLOCATOR,  "*free",                   "libc.so*",          NULL,       false,  "in glibc's memory allocator"},
    {"jemalloc",            PATTERN_ALLOCATOR,  NULL,                      "libjemalloc.so*",   NULL,       false,  "in jemalloc"},
    {"tcmalloc",            PATTERN_ALLOCATOR,  NULL,                      "libtcmalloc*.so*",  NULL,       false,  "in tcmalloc"},
    {"mimalloc",            PATTERN_ALLOCATOR,  NULL,                      "libmimalloc*.so*",  NULL,       false,  "in mimalloc"},
    {"grpc",                PATTERN_LIBRARY,    NULL,                      "libgrpc.so*",       NULL,       true,   "in gRPC, whose threads a fork does not copy"},
    {"grpc_python",         PATTERN_LIBRARY,    NULL,                      "cygrpc.*",          NULL,       true,   "in gRPC, whose threads a fork does not copy"},
    {"grpc_core",           PATTERN_LIBRARY,    "*9grpc_core*",            NULL,                NULL,       true,   "in gRPC, whose threads a fork does not copy"},
    {"gpr",                 PATTERN_LIBRARY,    "gpr_*",                   "libgpr*.so*",       NULL,       true,   "in gRPC, whose threads a fork does not copy"},
    {"libgomp",             PATTERN_LIBRARY,    NULL,                      "libgomp*.so*",      NULL,       false,  "in libgomp (OpenMP), whose threads a fork does not copy"},
    {"libiomp",             PATTERN_LIBRARY,    NULL,                      "libiomp*.so*",      NULL,       false,  "in Intel's OpenMP, whose threads a fork does not copy"},
    {"libomp",              PATTERN_LIBRARY,    NULL,                      "libomp*.so*",       NULL,       false,  "in LLVM's OpenMP, whose threads a fork does not copy"},
    {"tbb",                 PATTERN_LIBRARY,    NULL,                      "libtbb*.so*",       NULL,       false,  "in TBB, whose threads a fork does not copy"},
    {"openblas",            PATTERN_LIBRARY,    NULL,                      "lib*openblas*.so*", NULL,       false,  "in OpenBLAS, whose threads a fork does not copy"},
    {"cuda",                PATTERN_LIBRARY,    NULL,                      "libcuda.so*",       NULL,       false,  "in CUDA, which does not work after a fork"},
    {"gil",                 PATTERN_GIL,        "take_gil",                NULL,                NULL,       true,   "waiting for Python's interpreter lock"},
    {"gil_drop",            PATTERN_GIL,        "drop_gil*",               NULL,                NULL,       true,   "at Python's interpreter lock"},
    {"gil_restore",         PATTERN_GIL,        "PyEval_RestoreThread",    NULL,                NULL,       true,   "waiting for Python's interpreter lock"},
    {"gil_acquire",         PATTERN_GIL,        "PyEval_AcquireThread",    NULL,                NULL,       true,   "waiting for Python's interpreter lock"},
    {"gil_ensure",          PATTERN_GIL,        "PyGILState_Ensure",       NULL,                NULL,       true,   "waiting for Python's interpreter lock"},
};
/* clang-format on */

static bool fits(const char *glob, const char *text)
{
    return glob == NULL || fnmatch(glob, text, 0) == 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* One of the frames further in lies in another file: fork() called somebody. */
static bool leaves(const struct frame *frames, size_t n, const char *file)
{
    for (size_t i = 0; i < n; i++) {
        if (frames[i].file[0] != '\0' && !fits(file, last_part(frames[i].file)))
            return true;
    }
    return false;
}

static bool shows(const struct pattern *p, const struct frame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fits(p->function, frames[i].function) && fits(p->file, last_part(frames[i].file)) &&
            (p->inside == NULL || leaves(frames, i, p->inside)))
            return true;
    }
    return false;
}

const struct pattern *pattern_find(const struct frame *frames, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (shows(&patterns[i], frames, n))
            return &patterns[i];
    }
    return NULL;
}

bool pattern_born_here(const struct frame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fits("PyOS_AfterFork_Child", frames[i].function) ||
            fits("*grpc_postfork_child*", frames[i].function))
            return true;
    }
    return false;
}

const char *pattern_kind_name(enum pattern_kind kind)
{
    static const char *const names[] = {"after_fork", "allocator", "library", "gil"};
    return names[kind];
}
