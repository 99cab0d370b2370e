/* Where what belongs to the running program lies: its helper programs and modules. */
#pragma once

#include "base/err.h"

/* Finds a file that was installed with this program: beside the executable (as in a build tree), or
 * in ../libexec/forkless. mode is what access() shall allow, R_OK or X_OK. *path is the caller's to
 * free. Errors: ERR_NOTFOUND naming where it was looked for. */
int own_find(char **path, const char *name, int mode, struct err *err);
