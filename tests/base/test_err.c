#include <criterion/criterion.h>
#include <errno.h>

#include "base/err.h"

Test(err, context_is_put_in_front)
{
    struct err err = {0};
    int rc = err_sys(&err, ENOENT, "open %s", "x.yaml");
    cr_expect_eq(rc, -ERR_IO);
    cr_expect_eq(err_wrap(&err, rc, "spec"), -ERR_IO);
    cr_expect_str_eq(err.msg, "spec: open x.yaml: No such file or directory");
    cr_expect_eq(err.sys, ENOENT);
    cr_expect_eq(err_set(NULL, ERR_BUSY, "nobody listens"), -ERR_BUSY);
}
