#include "trials/classify.h"

#include <signal.h>
#include <string.h>

#include "base/cleanup.h"

struct pattern {
    const char *text;
    enum fail_class fail;
};

/* clang-format off */
static const struct pattern patterns[] = {
    {"Calibration contract violation",   FAIL_CALIBRATION},
    {"target y must be discrete",        FAIL_CALIBRATION},
    {"Hessian not positive definite",    FAIL_HESSIAN},
    {"XGBoost split failed",             FAIL_HESSIAN},
    {"ModuleNotFoundError",              FAIL_MISSING_DEPENDENCY},
    {"No module named",                  FAIL_MISSING_DEPENDENCY},
    {"error while loading shared libraries", FAIL_MISSING_DEPENDENCY},
    {"overflow encountered in",          FAIL_OVERFLOW},
    {"OverflowError",                    FAIL_OVERFLOW},
    {"MemoryError",                      FAIL_OOM},
    {"std::bad_alloc",                   FAIL_OOM},
    {"CUDA out of memory",               FAIL_OOM},
    {"Cannot allocate memory",           FAIL_OOM},
};
/* clang-format on */

/* Strongest first. */
static const enum fail_class priority[] = {
    FAIL_CALIBRATION, FAIL_HESSIAN, FAIL_MISSING_DEPENDENCY, FAIL_OVERFLOW, FAIL_NAN,
    FAIL_BAD_DATA,    FAIL_OOM,
};

static size_t rank(enum fail_class c)
{
    for (size_t i = 0; i < ARRAY_LEN(priority); i++) {
        if (priority[i] == c)
            return i;
    }
    return ARRAY_LEN(priority);
}

enum fail_class classify_line(const char *line, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (memmem(line, n, patterns[i].text, strlen(patterns[i].text)) != NULL)
            return patterns[i].fail;
    }
    return FAIL_NONE;
}

bool classify_match(const char *pattern, const char *line, size_t n)
{
    const char *at = line, *end = line + n;
    for (;;) {
        size_t len = strcspn(pattern, "*");
        const char *found = memmem(at, (size_t)(end - at), pattern, len);
        if (found == NULL)
            return false;
        if (pattern[len] == '\0')
            return true;
        at = found + len;
        pattern += len + 1;
    }
}

enum fail_class classify_stronger(enum fail_class a, enum fail_class b)
{
    return rank(b) < rank(a) ? b : a;
}

enum fail_class classify_exit(const struct classify_exit *e)
{
    if (e->oom_killed && e->signal == SIGKILL && !e->by_us)
        return FAIL_OOM;
    if (e->output != FAIL_NONE)
        return e->output;
    return e->signal != 0 ? FAIL_SIGNAL : FAIL_EXIT;
}
