/* The data as workers share it: one file, mapped read-only by each of them.
 *
 *     header | features float32 [rows][cols], row by row | labels float32 [rows] | gains float32
 *     [rows], or nothing | meta (JSON)
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
#define MATRIX_VERSION 2u

struct matrix_header {
    char magic[8]; /* MATRIX_MAGIC with its NUL */
    uint32_t version;
    uint32_t byte_order; /* 0x01020304 */
    uint64_t rows, cols;
    uint64_t x_at, label_at, gain_at; /* offsets in the file, on 64 bytes; gain_at 0: no gains */
    uint64_t meta_at, meta_bytes;
    struct matrix_origin origin;
    uint64_t checksum; /* of the header up to here and the meta */
};

struct matrix {
    const float *x;     /* [rows][cols]; NaN: missing */
    const float *label; /* [rows] */
    const float *gain;  /* [rows] what a row that is bought brings, before costs; NULL: not known */
    size_t rows, cols;
    struct matrix_origin origin;
    json_t
        *meta; /* owned: {"features": [name …], "label": name, "categories": {column: [text …]}} */
    void *map; /* NULL: the bytes are somebody else's */
    size_t map_bytes;
};

/* The first bytes of a file are for the header; the features follow on a page of their own. */
#define MATRIX_X_AT 4096u
/* Ends a file whose features [rows][cols] have been written from MATRIX_X_AT on, up to fd's place:
 * labels [rows], gains [rows] (NULL: none), meta, header. Errors: ERR_IO, ERR_NOMEM. */
int matrix_write_end(int fd, size_t rows, size_t cols, const float *label, const float *gain,
                     const json_t *meta, const struct matrix_origin *origin, struct err *err);
/* Writes all n bytes. Errors: ERR_IO. */
int matrix_write(int fd, const void *bytes, size_t n, struct err *err);

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
