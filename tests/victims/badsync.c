/* A library to be preloaded: a disk whose syncs fail or take their time. Files in the working
 * directory say how, for the write-ahead log:
 *
 *   sync-fails   each sync fails
 *   sync-fails-once   the next one does; the file is removed
 *   sync-waits   a sync waits until the file is gone
 *
 * and for saved models:
 *
 *   model-sync-fails   each sync fails
 *
 * What the disk did is told on stderr, a line for each file synced. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *what, const char *file)
{
    char line[PATH_MAX + 32];
    int n = snprintf(line, sizeof(line), "disk: %s %s\n", what, file);
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

/* The last part of the descriptor's path. */
static const char *file_of(int fd, char path[static PATH_MAX])
{
    char link[32];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int fail(const char *file)
{
    tell("failed", file);
    errno = EIO;
    return -1;
}

int fdatasync(int fd);
int fdatasync(int fd)
{
    char path[PATH_MAX];
    const char *file = file_of(fd, path);
    if (strstr(file, "-wal") != NULL) {
        while (access("sync-waits", F_OK) == 0)
            (void)usleep(10000);
        if (access("sync-fails", F_OK) == 0 || unlink("sync-fails-once") == 0)
            return fail(file);
    }
    tell("synced", file);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd);
int fsync(int fd)
{
    char path[PATH_MAX];
    const char *file = file_of(fd, path);
    if (strncmp(file, "model.", 6) == 0 && access("model-sync-fails", F_OK) == 0)
        return fail(file);
    tell("synced", file);
    return (int)syscall(SYS_fsync, fd);
}
