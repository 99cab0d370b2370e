#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/spool/spool.h"

/* For some hundred entries, when the disk is full: that is the store's trouble often enough. */
#define RESERVED (256 << 10)

struct spool {
    pthread_mutex_t lock;
    char *dir, *path;
    int fd;
    off_t head, size; /* bytes: of the first line, and in all */
    unsigned generation;
    int64_t left;
};

/* More room than is used; where that is not to be had the spool works as well as the disk does. */
static void reserve(const struct spool *sp)
{
    (void)fallocate(sp->fd, FALLOC_FL_KEEP_SIZE, 0, RESERVED);
}

/* A crash may lose a name that is new unless its directory is synced. */
static int sync_dir(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? 0 : -1;
}

static int write_all(int fd, const char *bytes, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t did = pwrite(fd, bytes, n, at);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return did < 0 ? errno : ENOSPC;
        bytes += did;
        n -= (size_t)did;
        at += did;
    }
    return 0;
}

static int name_file(struct spool *sp, const struct spool_conf *conf)
{
    char now[CLOCK_TEXT_MAX];
    if (asprintf(&sp->dir, "%s/" SPOOL_DIR, conf->run_dir) < 0) {
        sp->dir = NULL;
        return -1;
    }
    (void)clock_rfc3339(clock_utc_us(), now);
    for (char *p = now; (p = strchr(p, ':')) != NULL;)
        *p = '-';
    if (asprintf(&sp->path, "%s/%s-%d" SPOOL_SUFFIX, sp->dir, now, (int)getpid()) < 0)
        sp->path = NULL;
    return sp->path != NULL ? 0 : -1;
}

static int begin_file(struct spool *sp, const struct spool_conf *conf, struct err *err)
{
    AUTO(buf_free) struct buf head = BUF_INIT;
    spool_put_head(&head, conf);
    if (head.failed)
        return err_set(err, ERR_NOMEM, "spool");
    if (mkdir(sp->dir, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "make %s", sp->dir);
    sp->fd = open(sp->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (sp->fd < 0 || flock(sp->fd, LOCK_EX) < 0) /* who looks at it this instant lets it go */
        return err_sys(err, errno, "make %s", sp->path);
    reserve(sp);
    int sys = write_all(sp->fd, head.data, head.len, 0);
    if (sys != 0)
        return err_sys(err, sys, "write %s", sp->path);
    sp->head = sp->size = (off_t)head.len;
    return 0;
}

int spool_create(struct spool **out, const struct spool_conf *conf, struct err *err)
{
    struct spool *sp = calloc(1, sizeof(*sp));
    if (sp == NULL)
        return err_set(err, ERR_NOMEM, "spool");
    sp->fd = -1;
    (void)pthread_mutex_init(&sp->lock, NULL);
    int rc =
        name_file(sp, conf) == 0 ? begin_file(sp, conf, err) : err_set(err, ERR_NOMEM, "spool");
    if (rc < 0) {
        spool_destroy(sp);
        return rc;
    }
    *out = sp;
    return 0;
}

void spool_destroy(struct spool *sp)
{
    if (sp == NULL)
        return;
    bool made = sp->fd >= 0 && sp->path != NULL && sp->dir != NULL;
    if (made && sp->left == 0) {
        (void)unlink(sp->path);
        (void)rmdir(sp->dir); /* not empty: others are in it */
    }
    cleanup_close(&sp->fd);
    (void)pthread_mutex_destroy(&sp->lock);
    free(sp->dir);
    free(sp->path);
    free(sp);
}

int64_t spool_left(struct spool *sp)
{
    (void)pthread_mutex_lock(&sp->lock);
    int64_t left = sp->left;
    (void)pthread_mutex_unlock(&sp->lock);
    return left;
}

const char *spool_path(const struct spool *sp)
{
    return sp->path;
}

unsigned spool_begin(struct spool *sp)
{
    (void)pthread_mutex_lock(&sp->lock);
    return sp->generation;
}

/* The first entries make the file worth keeping: so its name must last too. */
static int write_lines(struct spool *sp, const struct buf *lines)
{
    int sys = write_all(sp->fd, lines->data, lines->len, sp->size);
    if (sys == 0 && fdatasync(sp->fd) < 0)
        sys = errno;
    if (sys == 0 && sp->size == sp->head && sync_dir(sp->dir) < 0)
        sys = errno;
    return sys;
}

static int append(struct spool *sp, const struct buf *lines, int64_t n, struct err *err)
{
    if (n == 0)
        return 0;
    if (lines->failed)
        return err_set(err, ERR_NOMEM, "spool");
    int sys = write_lines(sp, lines);
    if (sys != 0) {
        sp->generation++; /* who numbered its entries begins anew */
        (void)!ftruncate(sp->fd,
                         sp->size); /* what stays is a torn line, which its checksum tells */
        (void)err_sys(err, sys, "%s", sp->path);
        if (err != NULL)
            err->code = ERR_UNAVAILABLE;
        return -ERR_UNAVAILABLE;
    }
    sp->size += (off_t)lines->len;
    sp->left += n;
    return 0;
}

int spool_append(struct spool *sp, const struct buf *lines, int64_t n, struct err *err)
{
    int rc = append(sp, lines, n, err);
    (void)pthread_mutex_unlock(&sp->lock);
    return rc;
}

void spool_settle(struct spool *sp, int64_t n)
{
    if (n == 0)
        return;
    (void)pthread_mutex_lock(&sp->lock);
    sp->left -= n;
    if (sp->left == 0 && ftruncate(sp->fd, sp->head) == 0) { /* else it is replayed once more */
        sp->size = sp->head;
        sp->generation++;
        reserve(sp);
    }
    (void)pthread_mutex_unlock(&sp->lock);
}

unsigned spool_chain_next(struct spool_chain *c, unsigned generation)
{
    if (c->generation != generation)
        *c = (struct spool_chain){.generation = generation};
    return c->n++;
}
