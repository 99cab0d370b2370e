#include "trials/xgboost/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/xgboost/bars.h"

static void default_dir(struct buf *out)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *tmp = getenv("TMPDIR");
    if (xdg != NULL && xdg[0] == '/')
        buf_printf(out, "%s/forkless", xdg);
    else if (home != NULL && home[0] == '/')
        buf_printf(out, "%s/.cache/forkless", home);
    else
        buf_printf(out, "%s/forkless-%u", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp", getuid());
}

/* mkdir -p, private. */
static int make_dir(const char *dir, struct err *err)
{
    AUTO_FREE char *path = strdup(dir);
    if (path == NULL)
        return err_set(err, ERR_NOMEM, "cache directory %s", dir);
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cache directory %s", path);
        if (end == '\0')
            return 0;
        *p = end;
    }
}

static void put_names(struct buf *b, const struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        buf_printf(b, "%zu:%s,", strlen(names->v[i]), names->v[i]);
    buf_putc(b, ';');
}

static void put_prices(struct buf *b, const struct prices_conf *p, bool newest_first)
{
    char number[TEXT_DOUBLE_MAX];
    buf_printf(b, "prices:%zu,%s,%d", p->horizon, text_from_double(p->threshold, number),
               newest_first);
    for (size_t i = 0; i < p->n_windows; i++)
        buf_printf(b, ",%zu", p->windows[i]);
    buf_putc(b, ';');
}

/* FNV-1a over everything that shapes the matrix. */
static int hash_of(const struct table_conf *conf, const char *real, uint64_t *out, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%u;%s;%s;", MATRIX_VERSION, real, conf->label);
    put_names(&b, &conf->features);
    put_names(&b, &conf->drop);
    put_names(&b, &conf->categorical);
    put_names(&b, &conf->missing);
    if (conf->bars != NULL)
        put_prices(&b, &conf->bars->prices, conf->bars->newest_first);
    bool failed = b.failed;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < b.len; i++)
        h = (h ^ (unsigned char)b.data[i]) * 1099511628211u;
    buf_free(&b);
    *out = h;
    return failed ? err_set(err, ERR_NOMEM, "%s", conf->path) : 0;
}

static int origin_of(const struct table_conf *conf, struct matrix_origin *out, struct err *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (realpath(conf->path, real) == NULL || stat(real, &st) < 0)
        return err_sys(err, errno, "%s", conf->path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", conf->path);
    out->source_bytes = (uint64_t)st.st_size;
    /* the inode's time, which copying tools cannot set back as they do the content's */
    out->source_ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    return hash_of(conf, real, &out->config_hash, err);
}

/* Opens the file if it is there, sound, and made from `origin`. */
static bool open_fresh(struct matrix *out, const char *path, const struct matrix_origin *origin)
{
    struct matrix m;
    if (matrix_open(&m, path, NULL) < 0)
        return false;
    if (memcmp(&m.origin, origin, sizeof(*origin)) != 0) {
        matrix_close(&m);
        return false;
    }
    *out = m;
    return true;
}

/* Writes beside the final name, makes it durable, renames: readers see all of it or nothing. */
static int make(const struct table_conf *conf, const struct matrix_origin *origin, const char *path,
                struct err *err)
{
    struct buf temp = BUF_INIT;
    buf_printf(&temp, "%s.tmp", path);
    AUTO_CLOSE int fd = open(buf_str(&temp), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? err_sys(err, errno, "%s", buf_str(&temp)) : 0;
    if (rc == 0)
        rc = table_convert(conf, origin, fd, err);
    if (rc == 0 && (fsync(fd) < 0 || rename(buf_str(&temp), path) < 0))
        rc = err_sys(err, errno, "%s", path);
    if (rc < 0)
        (void)unlink(buf_str(&temp));
    buf_free(&temp);
    return rc;
}

/* Locks path.lock, which is taken away by whoever holds it last: a lock on a file that is no more
 * the one of that name excludes nobody. */
static int lock_file(const char *path, int *out, struct err *err)
{
    for (;;) {
        struct stat held, named;
        AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(err, errno, "%s", path);
        while (flock(fd, LOCK_EX) < 0) {
            if (errno != EINTR)
                return err_sys(err, errno, "lock %s", path);
        }
        if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
            held.st_dev == named.st_dev) {
            *out = TAKE_FD(fd);
            return 0;
        }
    }
}

static int make_locked(struct matrix *out, const struct table_conf *conf,
                       const struct matrix_origin *origin, const char *path, bool *made,
                       struct err *err)
{
    struct buf name = BUF_INIT;
    AUTO_CLOSE int lock = -1;
    buf_printf(&name, "%s.lock", path);
    int rc = name.failed ? err_set(err, ERR_NOMEM, "%s", path) : lock_file(name.data, &lock, err);
    if (rc == 0 && !open_fresh(out, path, origin)) { /* nobody made it while this one waited */
        rc = make(conf, origin, path, err);
        if (rc == 0)
            rc = matrix_open(out, path, err);
        *made = rc == 0;
    }
    if (lock >= 0)
        (void)unlink(name.data);
    buf_free(&name);
    return rc;
}

int cache_matrix(struct matrix *out, const struct table_conf *conf, const char *dir,
                 struct buf *path, bool *made, struct err *err)
{
    struct matrix_origin origin;
    int rc = origin_of(conf, &origin, err);
    if (rc < 0)
        return rc;
    struct buf name = BUF_INIT;
    if (dir != NULL)
        buf_puts(&name, dir);
    else
        default_dir(&name);
    *made = false;
    size_t dir_len = name.len;
    buf_printf(&name, "/%016" PRIx64 ".matrix", origin.config_hash);
    if (name.failed)
        rc = err_set(err, ERR_NOMEM, "%s", conf->path);
    else if (!open_fresh(out, name.data, &origin)) {
        name.data[dir_len] = '\0';
        rc = make_dir(name.data, err);
        name.data[dir_len] = '/';
        if (rc == 0)
            rc = make_locked(out, conf, &origin, name.data, made, err);
    }
    if (rc == 0 && path != NULL)
        buf_puts(path, name.data);
    buf_free(&name);
    return rc;
}
