/* A storage module of another forkless: to be refused. */
#undef STORE_MODULE_BUILD
#define STORE_MODULE_BUILD "another"
#include <stdlib.h>

#include "storage/module.h"

static int never(struct store **out, const char *url, const struct store_opts *opts,
                 struct err *err)
{
    (void)out;
    (void)url;
    (void)opts;
    (void)err;
    abort();
}

STORE_MODULE(never);
