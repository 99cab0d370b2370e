#include "storage/grpc/pem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

int pem_read(char **out, const char *path, const char *marker, struct err *err)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    AUTO(buf_free) struct buf b = BUF_INIT;
    char bytes[4096];
    if (f == NULL)
        return err_sys(err, errno, "%s", path);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), f)) > 0;)
        buf_add(&b, bytes, n);
    explicit_bzero(bytes, sizeof(bytes));
    if (ferror(f))
        return err_sys(err, errno, "%s", path);
    if (strstr(buf_str(&b), marker) == NULL)
        return err_set(err, ERR_INVALID, "%s: no PEM file with a '%s…'", path, marker);
    *out = buf_steal(&b);
    return *out == NULL ? err_set(err, ERR_NOMEM, "%s", path) : 0;
}

void pem_key_free(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
}
