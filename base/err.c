#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void format_into(struct err *err, const char *fmt, va_list ap)
{
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

int(err_set)(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        format_into(err, fmt, ap);
        va_end(ap);
        err->code = code;
        err->sys = 0;
    }
    return -(int)code;
}

int(err_sys)(struct err *err, int sys, const char *fmt, ...)
{
    enum err_code code = sys == ENOMEM ? ERR_NOMEM : ERR_IO;
    if (err != NULL) {
        char reason[128];
        va_list ap;
        va_start(ap, fmt);
        format_into(err, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->msg);
        /* the GNU strerror_r: thread-safe, returns the text */
        (void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s",
                       strerror_r(sys, reason, sizeof(reason)));
        err->code = code;
        err->sys = sys;
    }
    return -(int)code;
}

int(err_wrap)(struct err *err, int rc, const char *fmt, ...)
{
    if (err != NULL) {
        char tail[sizeof(err->msg)];
        (void)snprintf(tail, sizeof(tail), "%s", err->msg);
        va_list ap;
        va_start(ap, fmt);
        format_into(err, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->msg);
        (void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", tail);
    }
    return rc;
}
