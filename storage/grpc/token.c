#include "storage/grpc/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define VARIABLE "FORKLESS_PROXY_TOKEN"

enum { TOKEN_MAX = 1023 };

static int read_line(char *line, size_t size, const char *path, struct err *err)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL)
        return err_sys(err, errno, "%s", path);
    if (fgets(line, (int)size, f) == NULL)
        line[0] = '\0';
    return ferror(f) ? err_sys(err, errno, "%s", path) : 0;
}

/* A variable that was filled from a file often has its line end. */
static int check(char *token, const char *where, struct err *err)
{
    size_t n = strcspn(token, "\r\n");
    token[n] = '\0';
    if (n == 0 || n > TOKEN_MAX)
        return err_set(err, ERR_INVALID, "%s holds a token of %s%d characters", where,
                       n == 0 ? "" : "more than ", n == 0 ? 0 : TOKEN_MAX);
    for (size_t i = 0; i < n; i++) {
        if (token[i] <= ' ' || token[i] > '~')
            return err_set(err, ERR_INVALID,
                           "%s: character %zu of the token is none of visible ASCII", where, i + 1);
    }
    return 0;
}

int token_read(char **out, const char *path, struct err *err)
{
    char line[TOKEN_MAX + 2] = "";
    const char *set = getenv(VARIABLE);
    *out = NULL;
    if (path == NULL && set == NULL)
        return 0;
    int rc = path != NULL ? read_line(line, sizeof(line), path, err) : 0;
    if (path == NULL)
        (void)snprintf(line, sizeof(line), "%s", set);
    if (rc == 0)
        rc = check(line, path != NULL ? path : VARIABLE, err);
    if (rc == 0 && (*out = strdup(line)) == NULL)
        rc = err_set(err, ERR_NOMEM, "a token");
    explicit_bzero(line, sizeof(line));
    return rc;
}
