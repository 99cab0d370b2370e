/* Tables of things with names, on command lines. */
#pragma once

#include <stddef.h>

/* The entry with this name, of a table whose entries, of `size` bytes, begin with a const char *
 * name, and which a NULL name ends. NULL when there is none; then it was told: "WHAT 'name': did
 * you mean 'near'?", or "WHAT 'name': OTHERWISE". */
const void *named_find(const void *table, size_t size, const char *name, const char *what,
                       const char *otherwise);
