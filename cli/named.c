#include "cli/named.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

#define MAX_NAMES 64u /* of which one may have been meant */

const void *named_find(const void *table, size_t size, const char *name, const char *what,
                       const char *otherwise)
{
    const char *names[MAX_NAMES], *entry;
    size_t n = 0;
    for (const char *at = table; memcpy(&entry, at, sizeof(entry)), entry != NULL; at += size) {
        if (strcmp(entry, name) == 0)
            return at;
        if (n < ARRAY_LEN(names))
            names[n++] = entry;
    }
    const char *near = text_nearest(name, names, n);
    if (near != NULL)
        cli_error("%s '%s': did you mean '%s'?", what, name, near);
    else
        cli_error("%s '%s': %s", what, name, otherwise);
    return NULL;
}
