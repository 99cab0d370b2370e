/* What stacks give away. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/evidence/patterns.h"

TestSuite(patterns);

#define LIB "/usr/lib/x86_64-linux-gnu/"

/* Stacks as they were seen, innermost first, and the pattern that each shows. */
static const struct {
    const char *name; /* of the pattern; NULL: none */
    struct frame frames[6];
    size_t n;
} cases[] = {
    {"pthread_atfork",
     {{.function = "sem_wait", .file = LIB "libc.so.6"},
      {.function = "after_fork", .file = "/opt/lib/libother.so"},
      {.function = "", .file = LIB "libc.so.6"},
      {.function = "fork", .file = LIB "libc.so.6"},
      {.function = "os_fork_impl", .file = "/usr/bin/python3.11"}},
     5},
    {"pthread_atfork",
     {{.function = "", .file = LIB "libc.so.6"},
      {.function = "after_fork", .file = "/opt/victim"},
      {.function = "__libc_fork", .file = LIB "libc.so.6"}},
     3},
    {NULL, /* it forks, and that takes its time */
     {{.function = "_Fork", .file = LIB "libc.so.6"},
      {.function = "fork", .file = LIB "libc.so.6"},
      {.function = "main", .file = "/opt/victim"}},
     3},
    {"glibc_after_fork",
     {{.function = "", .file = LIB "libc.so.6"},
      {.function = "__run_postfork_handlers", .file = LIB "libc.so.6"}},
     2},
    {"grpc_after_fork",
     {{.function = "", .file = ""},
      {.function = "grpc_postfork_child", .file = LIB "libgrpc.so.29"}},
     2},
    {"grpc_after_fork", {{.function = "grpc_prefork", .file = LIB "libgrpc.so.29"}}, 1},
    {"grpc_after_fork",
     {{.function = "_Z12grpc_preforkv", .file = LIB "libgrpc_unsecure.so.29"}},
     1},
    {"grpc_after_fork", {{.function = "grpc_prefork", .file = "cygrpc.cpython-311.so"}}, 1},
    {"grpc_after_fork",
     {{.function = "_Z19grpc_postfork_childv",
       .file = "/v/grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so"}},
     1},
    {NULL, {{.function = "grpc_prefork", .file = "/opt/program"}}, 1}, /* somebody's own */
    {NULL, {{.function = "grpc_postfork_child", .file = "/opt/lib/libother.so"}}, 1},
    {"pthread_atfork", /* one that has gRPC in it */
     {{.function = "grpc_postfork_child", .file = "/opt/static_program"},
      {.function = "fork", .file = LIB "libc.so.6"}},
     2},
    {NULL, {{.function = "my_grpc_pool_fork", .file = "/opt/program"}}, 1},
    {NULL, {{.function = "cygrpc_fork_test", .file = "/opt/program"}}, 1},
    {"grpc_python_fork",
     {{.function = "__pyx_f_4grpc_7_cython_6cygrpc___postfork_child",
       .file = "cygrpc.cpython-311.so"}},
     1},
    {"python_after_fork", {{.function = "PyOS_AfterFork_Child", .file = "/usr/bin/python3.11"}}, 1},
    {"python_before_fork", {{.function = "PyOS_BeforeFork", .file = "/usr/bin/python3.11"}}, 1},
    {"python_run_at_fork",
     {{.function = "run_at_forkers.part.0", .file = "/usr/bin/python3.11"}},
     1},
    {"grpc_postfork",
     {{.function = "Condition.__enter__", .file = "/usr/lib/python3.11/threading.py"},
      {.function = "Channel._postfork_child", .file = "/v/site-packages/grpc/_channel.py"},
      {.function = "Popen._launch", .file = "/usr/lib/python3.11/multiprocessing/popen_fork.py"}},
     3},
    {"grpc_prefork", {{.function = "_prefork", .file = "/v/grpc/_x.py"}}, 1},
    {"grpc_close_on_fork",
     {{.function = "Channel._close_on_fork", .file = "/v/grpc/_channel.py"}},
     1},
    {"python_hook",
     {{.function = "_after_at_fork_child_reinit_locks",
       .file = "/usr/lib/python3.11/logging/__init__.py"}},
     1},
    {NULL,
     {{.function = "SimpleQueue.get", .file = "/usr/lib/python3.11/multiprocessing/queues.py"}},
     1},
    {"glibc_malloc",
     {{.function = "", .file = LIB "libc.so.6"}, {.function = "malloc", .file = LIB "libc.so.6"}},
     2},
    {"glibc_malloc", {{.function = "__libc_calloc", .file = LIB "libc.so.6"}}, 1},
    {"glibc_memalign", {{.function = "posix_memalign", .file = LIB "libc.so.6"}}, 1},
    {"glibc_free", {{.function = "cfree", .file = LIB "libc.so.6"}}, 1},
    {NULL, {{.function = "PyObject_Malloc", .file = LIB "libpython3.11.so.1.0"}}, 1},
    {NULL, {{.function = "arena_malloc", .file = "/opt/program"}}, 1},
    {"jemalloc", {{.function = "", .file = LIB "libjemalloc.so.2"}}, 1},
    {"tcmalloc", {{.function = "", .file = LIB "libtcmalloc_minimal.so.4"}}, 1},
    {"mimalloc", {{.function = "", .file = LIB "libmimalloc.so.2.0"}}, 1},
    {"grpc", {{.function = "", .file = LIB "libgrpc.so.29"}}, 1},
    {"grpc_python",
     {{.function = "",
       .file = "/v/site-packages/grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so"}},
     1},
    {"grpc_core", {{.function = "_ZN9grpc_core7ExecCtx5FlushEv", .file = "/opt/program"}}, 1},
    {"gpr", {{.function = "gpr_cv_wait", .file = LIB "libgpr.so.29"}}, 1},
    {NULL, {{.function = "gpr_fit", .file = "/opt/program"}}, 1}, /* a Gaussian process */
    {"libgomp", {{.function = "", .file = LIB "libgomp.so.1"}}, 1},
    {"libgomp", {{.function = "", .file = "/v/scikit_learn.libs/libgomp-a34b3233.so.1.0.0"}}, 1},
    {"libiomp", {{.function = "", .file = "/v/lib/libiomp5.so"}}, 1},
    {"libomp", {{.function = "", .file = LIB "libomp.so.5"}}, 1},
    {"tbb", {{.function = "", .file = LIB "libtbb.so.12"}}, 1},
    {"openblas", {{.function = "", .file = "/v/numpy.libs/libscipy_openblas64_-6bb31eeb.so"}}, 1},
    {"openblas", {{.function = "", .file = LIB "libopenblas.so.0"}}, 1},
    {"cuda", {{.function = "", .file = LIB "libcuda.so.1"}}, 1},
    {"gil", {{.function = "take_gil", .file = LIB "libpython3.11.so.1.0"}}, 1},
    {"gil_drop", {{.function = "drop_gil.isra.0", .file = LIB "libpython3.11.so.1.0"}}, 1},
    {"gil_restore", {{.function = "PyEval_RestoreThread", .file = "/usr/bin/python3.11"}}, 1},
    {"gil_acquire", {{.function = "PyEval_AcquireThread", .file = "/usr/bin/python3.11"}}, 1},
    {"gil_ensure", {{.function = "PyGILState_Ensure", .file = "/usr/bin/python3.11"}}, 1},
    {NULL,
     {{.function = "read", .file = LIB "libc.so.6"}, {.function = "main", .file = "/opt/x"}},
     2},
    {"pthread_atfork", /* the strongest one counts */
     {{.function = "malloc", .file = LIB "libc.so.6"},
      {.function = "", .file = LIB "libgomp.so.1"},
      {.function = "fork", .file = LIB "libc.so.6"}},
     3},
};

Test(patterns, each_line_is_met_by_its_stack_and_no_other)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct pattern *p = pattern_find(cases[i].frames, cases[i].n);
        const char *found = p != NULL ? p->name : "none";
        const char *wanted = cases[i].name != NULL ? cases[i].name : "none";
        cr_expect(eq(str, (char *)(uintptr_t)found, (char *)(uintptr_t)wanted), "case %zu", i);
    }
}

Test(patterns, who_stands_in_the_fork_that_made_it_is_known_by_handlers_of_children)
{
    const struct frame child[] = {
        {.function = "pthread_cond_wait"}, {.function = ""}, {.function = "PyOS_AfterFork_Child"}};
    const struct frame parent[] = {{.function = "PyOS_AfterFork_Parent"},
                                   {.function = "grpc_prefork"},
                                   {.function = "my_after_fork"}};
    const struct frame grpc[] = {{.function = "__pyx_f_grpc_postfork_child_x"}};
    cr_expect(pattern_born_here(child, ARRAY_LEN(child)));
    cr_expect(pattern_born_here(grpc, ARRAY_LEN(grpc)));
    cr_expect(not(pattern_born_here(parent, ARRAY_LEN(parent))));
    cr_expect(not(pattern_born_here(parent, 0)));
}

Test(patterns, what_the_helper_says_is_taken_apart_whatever_it_is)
{
    char good[] = "process\t7\nthread\t8\nframe\t0x10\t0x2\tf\t/lib/x.so\nframe\t0x20\t0x0\t\t\n"
                  "thread\t9\nend\n";
    struct stacks s = {0};
    cr_expect(eq(int, stacks_parse(&s, good), 0));
    const struct stack *stack = stacks_find(&s, 7, 8);
    cr_assert(stack != NULL);
    cr_expect(eq(sz, stack->n, 2));
    cr_expect(eq(u64, s.frames[0].pc, 0x10));
    cr_expect(eq(str, (char *)(uintptr_t)s.frames[0].function, (char *)"f"));
    cr_expect(eq(str, (char *)(uintptr_t)s.frames[1].file, (char *)""));
    cr_expect(stacks_find(&s, 7, 9) != NULL);
    stacks_free(&s);

    char bad[] =
        "frame\t0x1\t0x2\tf\tx\n\n\t\t\nthread\nprocess\t-1\nthread\tx\nframe\t1\nframe\t\t\t\t";
    cr_expect(eq(int, stacks_parse(&s, bad), 0));
    stacks_free(&s);
}
