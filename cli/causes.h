/* Why trials end badly, and what to do about it: one table, a line a cause. */
#pragma once

#include <stddef.h>

#include "trials/trial.h"

struct cause {
    enum fail_class fail;
    const char *sign;   /* text that gives this cause away; NULL: any, the class's last line */
    const char *name;   /* a word for programs: "grpc" */
    const char *reason; /* one sentence, without its full stop */
    const char *fix;    /* what to change */
};

/* The line for this class whose sign one of the texts has: those of the first text that has any,
 * before those of the next. Each class but FAIL_NONE has a line. */
const struct cause *cause_find(enum fail_class fail, const char *const *texts, size_t n);

/* A Python package that forks by itself, known by a file of its frames. */
struct forker {
    const char *file; /* glob */
    const char *name;
    const char *fix;
};

/* NULL: none that is known. Special ones come before what they are built on: of two that are found
 * the smaller pointer says more. */
const struct forker *forker_find(const char *file);
