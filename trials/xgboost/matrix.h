/* The data as workers share it: one file, mapped read-only by each of them.
 *
 *     header | features float32 [rows][cols], row by row | labels float32 [rows] | meta (JSON)
 *
 * Rows stand together, because XGBoost takes rows and a fold is a range of rows: folds train on the
 * mapped bytes in place. Native byte order; a file of another machine is refused and made again. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

/* What a file was made from; it is stale when any of it differs. */
struct matrix_origin {
    uint64_t config_hash; /* of the settings that shape it */
    uint64_t source_bytes;
    int64_t source_ctime_ns;
};

#define MATRIX_MAGIC "FKLXMTX"
#define MATRIX_VERSION 1u

struct matrix_header {
    char magic[8]; /* MATRIX_MAGIC with its NUL */
    uint32_t version;
    uint32_t byte_order; /* 0x01020304 */
    uint64_t rows, cols;
    uint64_t x_at, label_at, meta_at, meta_bytes; /* offsets in the file; x_at and label_at on 64 */
    struct matrix_origin origin;
    uint64_t checksum; /* of the header up to here and the meta */
};

struct matrix {
    const float *x;     /* [rows][cols]; NaN: missing */
    const float *label; /* [rows] */
    size_t rows, cols;
    struct matrix_origin origin;
    json_t
        *meta; /* owned: {"features": [name …], "label": name, "categories": {column: [text …]}} */
    void *map; /* NULL: the bytes are somebody else's */
    size_t map_bytes;
};

/* The checksum that belongs into the header; meta[header->meta_bytes]. */
uint64_t matrix_checksum(const struct matrix_header *header, const void *meta);

/* Looks at bytes[n], which must outlive the matrix and lie on 8 bytes.
 * Errors: ERR_CORRUPT with what is wrong, ERR_UNSUPPORTED (another version or byte order). */
int matrix_view(struct matrix *out, const void *bytes, size_t n, struct err *err);
/* Maps a file. Errors: those of matrix_view, ERR_NOTFOUND, ERR_IO. */
int matrix_open(struct matrix *out, const char *path, struct err *err);
/* NULL and a zeroed matrix are fine. */
void matrix_close(struct matrix *m);

/* The name of feature i, borrowed. */
const char *matrix_feature(const struct matrix *m, size_t i);
