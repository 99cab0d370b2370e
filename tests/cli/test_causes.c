/* Every class has a cause, and what the evidence says leads to the right one. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#include "base/cleanup.h"
#include "cli/causes.h"

static const char *name_of(enum fail_class fail, const char *text)
{
    return cause_find(fail, &text, 1)->name;
}

Test(causes, every_class_has_one_with_a_way_out)
{
    for (int c = FAIL_NONE + 1; c < FAIL_CLASSES; c++) {
        const struct cause *cause = cause_find((enum fail_class)c, NULL, 0);
        cr_assert(cause != NULL, "%s", fail_class_name((enum fail_class)c));
        cr_expect(cause->sign == NULL);
        cr_expect(cause->reason != NULL && cause->fix != NULL);
    }
}

Test(causes, words_of_the_evidence_name_the_package)
{
    static const char *const pairs[][2] = {
        {"stands in gRPC, whose threads a fork does not copy", "grpc"},
        {"stands in the fork handlers of gRPC's Python layer", "grpc"},
        {"stands in libgomp (OpenMP), whose threads a fork does not copy", "openmp"},
        {"stands in Intel's OpenMP, whose threads a fork does not copy", "openmp"},
        {"stands in OpenBLAS, whose threads a fork does not copy", "openblas"},
        {"stands in TBB, whose threads a fork does not copy", "tbb"},
        {"stands in CUDA, which does not work after a fork", "cuda"},
        {"stands in glibc's memory allocator", "malloc"},
        {"stands in jemalloc", "malloc"},
        {"stands in a handler of pthread_atfork", "fork_handlers"},
        {"stands in a handler of Python's os.register_at_fork", "python_handlers"},
        {"stands waiting for Python's interpreter lock", "gil"},
        {"waits for a mutex that belongs to thread 7", "mutex"},
        {"waits for a lock that is taken", "lock"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        cr_expect(eq(str, (char *)name_of(FAIL_FORK_DEADLOCK, pairs[i][0]), (char *)pairs[i][1]));
}

/* Any command may fail so: a Gaussian process, a Newton step, … */
Test(causes, a_hessian_is_not_blamed_on_xgboost)
{
    const struct cause *cause = cause_find(FAIL_HESSIAN, NULL, 0);
    cr_expect(strstr(cause->reason, "XGBoost") == NULL, "%s", cause->reason);
    cr_expect(strstr(cause->fix, "with the focal loss of XGBoost") != NULL, "%s", cause->fix);
}

Test(causes, the_first_text_that_has_a_sign_wins)
{
    const char *const texts[] = {"stands in libgomp (OpenMP)", "gRPC"};
    cr_expect(eq(str, (char *)cause_find(FAIL_FORK_DEADLOCK, texts, 2)->name, (char *)"openmp"));
    cr_expect(eq(str, (char *)cause_find(FAIL_FORK_DEADLOCK, texts + 1, 1)->name, (char *)"grpc"));
}

Test(causes, of_packages_that_fork_the_special_one_comes_first)
{
    const struct forker *cleanlab = forker_find("/usr/lib/python3/cleanlab/filter.py");
    const struct forker *pool = forker_find("/usr/lib/python3.11/multiprocessing/pool.py");
    cr_assert(cleanlab != NULL && pool != NULL);
    cr_expect(cleanlab < pool);
    cr_expect(forker_find("/home/me/train.py") == NULL);
}
