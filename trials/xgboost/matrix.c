#include "trials/xgboost/matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BYTE_ORDER_MARK 0x01020304u
#define ALIGNMENT 64u

/* FNV-1a (Fowler, Noll, Vo), 64 bits, continued from h. */
static uint64_t fnv1a(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

uint64_t matrix_checksum(const struct matrix_header *header, const void *meta)
{
    uint64_t h = fnv1a(14695981039346656037u, header, offsetof(struct matrix_header, checksum));
    return fnv1a(h, meta, header->meta_bytes);
}

/* Whether `count` things of `size` bytes at offset `at` end at `end` or before it. */
static bool fits(uint64_t at, uint64_t count, uint64_t size, uint64_t end)
{
    uint64_t bytes, last;
    return !__builtin_mul_overflow(count, size, &bytes) &&
           !__builtin_add_overflow(at, bytes, &last) && last <= end;
}

static bool layout_is_sound(const struct matrix_header *h, size_t n)
{
    uint64_t cells, gain_at = h->gain_at != 0 ? h->gain_at : h->meta_at;
    return h->rows > 0 && h->cols > 0 && !__builtin_mul_overflow(h->rows, h->cols, &cells) &&
           h->x_at >= sizeof(*h) && h->x_at % ALIGNMENT == 0 && h->label_at % ALIGNMENT == 0 &&
           fits(h->x_at, cells, sizeof(float), h->label_at) &&
           fits(h->label_at, h->rows, sizeof(float), gain_at) &&
           (h->gain_at == 0 ||
            (gain_at % ALIGNMENT == 0 && fits(gain_at, h->rows, sizeof(float), h->meta_at))) &&
           fits(h->meta_at, h->meta_bytes, 1, n) && h->meta_at + h->meta_bytes == n;
}

static bool meta_is_sound(const json_t *meta, size_t cols)
{
    const json_t *features = json_object_get(meta, "features");
    if (!json_is_array(features) || json_array_size(features) != cols ||
        !json_is_string(json_object_get(meta, "label")) ||
        !json_is_object(json_object_get(meta, "categories")))
        return false;
    for (size_t i = 0; i < cols; i++) {
        if (!json_is_string(json_array_get(features, i)))
            return false;
    }
    return true;
}

int matrix_view(struct matrix *out, const void *bytes, size_t n, struct err *err)
{
    const struct matrix_header *h = bytes;
    if (n < sizeof(*h) || memcmp(h->magic, MATRIX_MAGIC, sizeof(h->magic)) != 0)
        return err_set(err, ERR_CORRUPT, "not a matrix file");
    if (h->version != MATRIX_VERSION || h->byte_order != BYTE_ORDER_MARK)
        return err_set(err, ERR_UNSUPPORTED, "a matrix file of another version or machine");
    if (!layout_is_sound(h, n))
        return err_set(err, ERR_CORRUPT, "the header's sizes do not fit the file's %zu bytes", n);
    const char *meta_text = (const char *)bytes + h->meta_at;
    if (h->checksum != matrix_checksum(h, meta_text))
        return err_set(err, ERR_CORRUPT, "the header's checksum is wrong");
    AUTO_JSON json_t *meta = json_read(meta_text, h->meta_bytes, err);
    if (meta == NULL || !meta_is_sound(meta, h->cols))
        return err_set(err, ERR_CORRUPT, "the description of the columns is damaged");
    *out = (struct matrix){
        .x = (const float *)(const void *)((const char *)bytes + h->x_at),
        .label = (const float *)(const void *)((const char *)bytes + h->label_at),
        .gain = h->gain_at != 0 ? (const float *)(const void *)((const char *)bytes + h->gain_at)
                                : NULL,
        .rows = h->rows,
        .cols = h->cols,
        .origin = h->origin,
        .meta = TAKE(meta),
    };
    return 0;
}

int matrix_write(int fd, const void *bytes, size_t n, struct err *err)
{
    for (const char *p = bytes; n > 0;) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_sys(err, errno, "write the matrix");
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static uint64_t aligned(uint64_t at)
{
    return (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Rows of floats from `at` on, behind the zeros that lead there from `end`. */
static int write_floats(int fd, uint64_t end, uint64_t at, const float *v, size_t rows,
                        struct err *err)
{
    static const char zeros[ALIGNMENT];
    int rc = matrix_write(fd, zeros, at - end, err);
    return rc == 0 ? matrix_write(fd, v, rows * sizeof(*v), err) : rc;
}

int matrix_write_end(int fd, size_t rows, size_t cols, const float *label, const float *gain,
                     const json_t *meta, const struct matrix_origin *origin, struct err *err)
{
    AUTO_FREE char *text = json_dumps(meta, JSON_COMPACT);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the description of the columns");
    uint64_t x_end = MATRIX_X_AT + (uint64_t)rows * cols * sizeof(float);
    struct matrix_header h = {
        .magic = MATRIX_MAGIC,
        .version = MATRIX_VERSION,
        .byte_order = BYTE_ORDER_MARK,
        .rows = rows,
        .cols = cols,
        .x_at = MATRIX_X_AT,
        .label_at = aligned(x_end),
        .meta_bytes = strlen(text),
        .origin = *origin,
    };
    uint64_t end = h.label_at + rows * sizeof(float);
    int rc = write_floats(fd, x_end, h.label_at, label, rows, err);
    if (gain != NULL) {
        h.gain_at = aligned(end);
        if (rc == 0)
            rc = write_floats(fd, end, h.gain_at, gain, rows, err);
        end = h.gain_at + rows * sizeof(float);
    }
    h.meta_at = end;
    h.checksum = matrix_checksum(&h, text);
    if (rc == 0)
        rc = matrix_write(fd, text, h.meta_bytes, err);
    if (rc == 0 && pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
        rc = err_sys(err, errno, "write the matrix");
    return rc;
}

int matrix_open(struct matrix *out, const char *path, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, "%s: no such file", path);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "%s", path);
    if (st.st_size == 0)
        return err_set(err, ERR_CORRUPT, "%s: not a matrix file", path);
    size_t n = (size_t)st.st_size;
    void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return err_sys(err, errno, "map %s", path);
    int rc = matrix_view(out, map, n, err);
    if (rc < 0) {
        (void)munmap(map, n);
        return err_wrap(err, rc, "%s", path);
    }
    out->map = map;
    out->map_bytes = n;
    return 0;
}

void matrix_close(struct matrix *m)
{
    if (m == NULL)
        return;
    json_decref(m->meta);
    if (m->map != NULL)
        (void)munmap(m->map, m->map_bytes);
    *m = (struct matrix){0};
}

const char *matrix_feature(const struct matrix *m, size_t i)
{
    return json_string_value(json_array_get(json_object_get(m->meta, "features"), i));
}
