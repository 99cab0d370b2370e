#include "base/own.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool usable(const char *path, int mode)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, mode) == 0;
}

int own_find(char **path, const char *name, int mode, struct err *err)
{
    static const char *const places[] = {"", "../libexec/forkless/"};
    char exe[PATH_MAX], full[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n < 0)
        return err_sys(err, errno, "/proc/self/exe");
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        (void)snprintf(full, sizeof(full), "%s/%s%s", exe, places[i], name);
        if (usable(full, mode)) {
            *path = strdup(full);
            return *path != NULL ? 0 : err_set(err, ERR_NOMEM, "%s", name);
        }
    }
    return err_set(err, ERR_NOTFOUND, "%s: neither in %s nor in %s/../libexec/forkless", name, exe,
                   exe);
}
