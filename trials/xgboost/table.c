#include "trials/xgboost/table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "trials/xgboost/bars.h"
#include "trials/xgboost/codes.h"
#include "trials/xgboost/csv.h"

#define COLUMNS_MAX 100000u
#define WRITE_BYTES ((size_t)1 << 20)

enum role { ROLE_SKIP, ROLE_FEATURE, ROLE_LABEL };

struct column {
    char *name; /* owned */
    enum role role;
    bool categorical;
    size_t at; /* ROLE_FEATURE: its place in the matrix */
    struct codes codes;
};

struct table {
    const struct table_conf *conf;
    struct csv csv;
    struct column *columns; /* [n_columns] as the header has them */
    size_t n_columns;
    size_t n_features;
    bool missing_numbers;   /* a token of conf->missing reads as a number */
    struct csv_cell *cells; /* [n_columns] */
    float *pending;         /* rows on their way into the file */
    size_t pending_rows, pending_max;
    float *labels;
    size_t rows, labels_cap;
    struct buf scratch;
    int fd;
};

static void table_finish(struct table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
        codes_free(&t->columns[i].codes);
    }
    free(t->columns);
    free(t->cells);
    free(t->pending);
    free(t->labels);
    buf_free(&t->scratch);
}

/* ---- the header ---- */

static struct column *column_named(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    }
    return NULL;
}

static int no_such_column(const struct table *t, const char *key, const char *name, struct err *err)
{
    assert(t->n_columns > 0);
    AUTO_FREE const char **names = calloc(t->n_columns, sizeof(*names));
    const char *near = NULL;
    for (size_t i = 0; names != NULL && i < t->n_columns; i++)
        names[i] = t->columns[i].name;
    if (names != NULL)
        near = text_nearest(name, names, t->n_columns);
    if (near != NULL)
        return err_set(err, ERR_INVALID, "%s has no column '%s' (%s): did you mean '%s'?",
                       t->conf->path, name, key, near);
    return err_set(err, ERR_INVALID, "%s has no column '%s' (%s): its %zu columns begin with '%s'",
                   t->conf->path, name, key, t->n_columns, t->columns[0].name);
}

static int read_header(struct table *t, struct err *err)
{
    size_t max = 64, n, line;
    AUTO_FREE struct csv_cell *cells = NULL;
    struct csv start = t->csv;
    for (;; max = n) {
        t->csv = start;
        free(cells);
        cells = calloc(max, sizeof(*cells));
        if (cells == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu columns", max);
        int rc = csv_next(&t->csv, cells, max, &n, &line, err);
        if (rc < 0)
            return rc;
        if (n == 0)
            return err_set(err, ERR_INVALID, "%s is empty: expected a header line", t->conf->path);
        if (n > COLUMNS_MAX)
            return err_set(err, ERR_INVALID, "%s has %zu columns: at most %u are read",
                           t->conf->path, n, COLUMNS_MAX);
        if (n <= max)
            break;
    }
    t->columns = calloc(n, sizeof(*t->columns));
    if (t->columns == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu columns", n);
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *text = csv_cell_text(&cells[i], &t->scratch, &len);
        if (memchr(text, '\0', len) != NULL)
            return err_set(err, ERR_INVALID,
                           "%s:%zu:%zu: a NUL byte in a column's name: is the file text?",
                           t->conf->path, line, i + 1);
        char *name = strndup(text, len);
        if (name == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu columns", n);
        bool twice = column_named(t, name) != NULL;
        t->columns[t->n_columns++].name = name;
        if (twice)
            return err_set(err, ERR_INVALID, "%s:%zu:%zu: the column '%s' is named twice",
                           t->conf->path, line, i + 1, name);
    }
    if (n == 1 && strpbrk(t->columns[0].name, ";\t|") != NULL)
        return err_set(err, ERR_INVALID,
                       "%s:%zu: one column '%s': are the cells separated by commas?", t->conf->path,
                       line, t->columns[0].name);
    return 0;
}

static int mark_features(struct table *t, struct err *err)
{
    const struct table_conf *conf = t->conf;
    if (conf->features.n == 0) {
        for (size_t i = 0; i < t->n_columns; i++)
            t->columns[i].role = ROLE_FEATURE;
    }
    for (size_t i = 0; i < conf->features.n; i++) {
        struct column *c = column_named(t, conf->features.v[i]);
        if (c == NULL)
            return no_such_column(t, "features", conf->features.v[i], err);
        if (c->role == ROLE_FEATURE)
            return err_set(err, ERR_INVALID, "features names '%s' twice", c->name);
        c->role = ROLE_FEATURE;
        c->at = i;
    }
    for (size_t i = 0; i < conf->drop.n; i++) {
        struct column *c = column_named(t, conf->drop.v[i]);
        if (c == NULL)
            return no_such_column(t, "drop", conf->drop.v[i], err);
        c->role = ROLE_SKIP;
    }
    return 0;
}

static int assign_roles(struct table *t, struct err *err)
{
    const struct table_conf *conf = t->conf;
    int rc = mark_features(t, err);
    if (rc < 0)
        return rc;
    struct column *label = column_named(t, conf->label);
    if (label == NULL)
        return no_such_column(t, "label", conf->label, err);
    if (conf->features.n > 0 && label->role == ROLE_FEATURE)
        return err_set(err, ERR_INVALID, "the label '%s' stands among the features", label->name);
    label->role = ROLE_LABEL;
    for (size_t i = 0; i < conf->categorical.n; i++) {
        struct column *c = column_named(t, conf->categorical.v[i]);
        if (c == NULL)
            return no_such_column(t, "categorical", conf->categorical.v[i], err);
        c->categorical = true;
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        struct column *c = &t->columns[i];
        if (c->role != ROLE_FEATURE)
            continue;
        if (c->name[0] == '\0')
            return err_set(
                err, ERR_INVALID,
                "%s:1:%zu: a column without a name (pandas writes its index so): list \"\" "
                "under drop, or name it",
                conf->path, i + 1);
        if (conf->features.n == 0)
            c->at = t->n_features;
        t->n_features++;
    }
    if (t->n_features == 0)
        return err_set(err, ERR_INVALID, "%s: no feature is left beside the label '%s'", conf->path,
                       label->name);
    return 0;
}

/* ---- the rows ---- */

static bool is_missing(const struct table *t, const char *text, size_t len)
{
    const struct names *m = &t->conf->missing;
    for (size_t i = 0; i < m->n; i++) {
        if (strlen(m->v[i]) == len && memcmp(m->v[i], text, len) == 0)
            return true;
    }
    return len == 0;
}

/* A cell of a column of numbers; true and false are 1 and 0. */
static bool number_of(const struct table *t, const char *text, size_t len, double *out)
{
    if (t->missing_numbers && is_missing(t, text, len)) {
        *out = NAN;
        return true;
    }
    if (csv_number(text, len, out))
        return true;
    if (is_missing(t, text, len))
        *out = NAN;
    else if (len == 4 && strncasecmp(text, "true", 4) == 0)
        *out = 1;
    else if (len == 5 && strncasecmp(text, "false", 5) == 0)
        *out = 0;
    else
        return false;
    return true;
}

static int bad_cell(const struct table *t, size_t line, size_t i, const char *text, size_t len,
                    const char *what, struct err *err)
{
    const struct column *c = &t->columns[i];
    int shown = len > 40 ? 40 : (int)len;
    return err_set(err, ERR_INVALID, "%s:%zu:%zu: column '%s': '%.*s%s' %s", t->conf->path, line,
                   i + 1, c->name, shown, text, len > 40 ? "…" : "", what);
}

static int cell_value(struct table *t, size_t line, size_t i, float *out, struct err *err)
{
    struct column *c = &t->columns[i];
    size_t len;
    const char *text = csv_cell_text(&t->cells[i], &t->scratch, &len);
    if (c->categorical) {
        uint32_t code = 0;
        if (memchr(text, '\0', len) != NULL)
            return bad_cell(t, line, i, text, len, "holds a NUL byte: is the file text?", err);
        bool missing = is_missing(t, text, len);
        int rc = missing ? 0 : codes_add(&c->codes, text, len, &code, err);
        if (rc < 0)
            return err_wrap(err, rc, "%s:%zu:%zu: column '%s'", t->conf->path, line, i + 1,
                            c->name);
        *out = missing ? NAN : (float)code;
        return 0;
    }
    double v = 0;
    if (!number_of(t, text, len, &v))
        return bad_cell(t, line, i, text, len,
                        "is not a number: list the column under categorical or drop, or the text "
                        "under missing",
                        err);
    *out = (float)v;
    if (isinf(*out))
        return bad_cell(t, line, i, text, len, "is beyond what a 32-bit float holds", err);
    return 0;
}

static int flush(struct table *t, struct err *err)
{
    size_t n = t->pending_rows * t->n_features * sizeof(float);
    t->pending_rows = 0;
    return matrix_write(t->fd, t->pending, n, err);
}

static int add_label(struct table *t, float label, size_t line, size_t i, struct err *err)
{
    if (isnan(label))
        return err_set(err, ERR_INVALID,
                       "%s:%zu:%zu: the label '%s' is missing: leave such rows out", t->conf->path,
                       line, i + 1, t->columns[i].name);
    if (t->rows == t->labels_cap) {
        size_t cap = t->labels_cap == 0 ? 4096 : t->labels_cap * 2;
        float *labels = realloc(t->labels, cap * sizeof(*labels));
        if (labels == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu labels", cap);
        t->labels = labels;
        t->labels_cap = cap;
    }
    t->labels[t->rows++] = label;
    return 0;
}

static int add_row(struct table *t, size_t line, struct err *err)
{
    float *row = t->pending + t->pending_rows * t->n_features;
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->columns[i];
        if (c->role == ROLE_SKIP)
            continue;
        float v = 0;
        int rc = cell_value(t, line, i, &v, err);
        if (rc == 0 && c->role == ROLE_LABEL)
            rc = add_label(t, v, line, i, err);
        if (rc < 0)
            return rc;
        if (c->role == ROLE_FEATURE)
            row[c->at] = v;
    }
    return ++t->pending_rows == t->pending_max ? flush(t, err) : 0;
}

static int read_rows(struct table *t, struct err *err)
{
    size_t row_bytes = t->n_features * sizeof(float);
    t->pending_max = row_bytes < WRITE_BYTES ? WRITE_BYTES / row_bytes : 1;
    t->pending = malloc(t->pending_max * row_bytes);
    t->cells = calloc(t->n_columns, sizeof(*t->cells));
    if (t->pending == NULL || t->cells == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu columns", t->n_columns);
    for (;;) {
        size_t n, line;
        int rc = csv_next(&t->csv, t->cells, t->n_columns, &n, &line, err);
        if (rc < 0)
            return rc;
        if (n == 0)
            break;
        if (n != t->n_columns)
            return err_set(err, ERR_INVALID, "%s:%zu: %zu cells, but the header has %zu columns",
                           t->conf->path, line, n, t->n_columns);
        rc = add_row(t, line, err);
        if (rc < 0)
            return rc;
    }
    if (t->rows == 0)
        return err_set(err, ERR_INVALID, "%s has a header but no rows", t->conf->path);
    return flush(t, err);
}

/* ---- what only the end knows: sorted codes, labels, meta, header ---- */

/* Replaces first-sight codes by sorted ones, in `count` values that stand `stride` floats apart. */
static void recode(float *v, size_t count, size_t stride, const uint32_t *rank)
{
    for (size_t i = 0; i < count; i++, v += stride) {
        if (!isnan(*v))
            *v = (float)rank[(uint32_t)*v];
    }
}

static int sort_codes(struct table *t, float *x, json_t *categories, struct err *err)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        struct column *c = &t->columns[i];
        if (!c->categorical || c->role == ROLE_SKIP)
            continue;
        AUTO_FREE uint32_t *rank = calloc((size_t)c->codes.n + 1, sizeof(*rank));
        AUTO_FREE uint32_t *order = calloc((size_t)c->codes.n + 1, sizeof(*order));
        json_t *texts = json_array();
        if (rank == NULL || order == NULL ||
            json_object_set_new_nocheck(categories, c->name, texts) < 0)
            return err_set(err, ERR_NOMEM, "out of memory for %u categories", c->codes.n);
        codes_sort(&c->codes, rank, order);
        for (uint32_t k = 0; k < c->codes.n; k++) {
            uint32_t id = order[k];
            if (json_array_append_new(texts, json_stringn(c->codes.text[id], c->codes.len[id])) < 0)
                return err_set(err, ERR_INVALID, "%s: column '%s': a category is not UTF-8",
                               t->conf->path, c->name);
        }
        if (c->role == ROLE_FEATURE)
            recode(x + c->at, t->rows, t->n_features, rank);
        else
            recode(t->labels, t->rows, 1, rank);
    }
    return 0;
}

static int recode_file(struct table *t, json_t *categories, struct err *err)
{
    size_t n = MATRIX_X_AT + t->rows * t->n_features * sizeof(float);
    void *map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
    if (map == MAP_FAILED)
        return err_sys(err, errno, "map the matrix");
    int rc = sort_codes(t, (float *)(void *)((char *)map + MATRIX_X_AT), categories, err);
    (void)munmap(map, n);
    return rc;
}

static json_t *describe(const struct table *t, json_t *categories, struct err *err)
{
    AUTO_FREE const char **names = calloc(t->n_features, sizeof(*names));
    AUTO_JSON json_t *features = json_array();
    for (size_t i = 0; names != NULL && i < t->n_columns; i++) {
        if (t->columns[i].role == ROLE_FEATURE)
            names[t->columns[i].at] = t->columns[i].name;
    }
    for (size_t i = 0; names != NULL && i < t->n_features; i++) {
        if (json_array_append_new(features, json_string(names[i])) < 0) {
            (void)err_set(err, ERR_INVALID, "%s:1: a column's name is not UTF-8", t->conf->path);
            return NULL;
        }
    }
    json_t *meta = json_pack("{s:O, s:s, s:O}", "features", features, "label", t->conf->label,
                             "categories", categories);
    if (meta == NULL)
        (void)err_set(err, ERR_NOMEM, "out of memory for the description of the columns");
    return meta;
}

static int write_end(struct table *t, const struct matrix_origin *origin, struct err *err)
{
    AUTO_JSON json_t *categories = json_object();
    int rc = recode_file(t, categories, err);
    if (rc < 0)
        return rc;
    AUTO_JSON json_t *meta = describe(t, categories, err);
    if (meta == NULL)
        return -(int)(err != NULL ? err->code : ERR_INVALID);
    return matrix_write_end(t->fd, t->rows, t->n_features, t->labels, NULL, meta, origin, err);
}

static int convert(struct table *t, const struct matrix_origin *origin, struct err *err)
{
    for (size_t i = 0; i < t->conf->missing.n; i++) {
        double v;
        const char *token = t->conf->missing.v[i];
        t->missing_numbers |= csv_number(token, strlen(token), &v);
    }
    if (lseek(t->fd, MATRIX_X_AT, SEEK_SET) < 0)
        return err_sys(err, errno, "write the matrix");
    int rc = read_header(t, err);
    if (rc == 0)
        rc = assign_roles(t, err);
    if (rc == 0)
        rc = read_rows(t, err);
    return rc < 0 ? rc : write_end(t, origin, err);
}

int table_convert_text(const struct table_conf *conf, const char *text, size_t n,
                       const struct matrix_origin *origin, int fd, struct err *err)
{
    if (conf->bars != NULL)
        return bars_convert_text(conf->bars, conf->path, text, n, origin, fd, err);
    struct table t = {.conf = conf, .fd = fd};
    int rc = csv_init(&t.csv, conf->path, text, n, err);
    if (rc == 0)
        rc = convert(&t, origin, err);
    table_finish(&t);
    return rc;
}

/* Maps the file; n > 0. */
static int map_file(const char *name, const char *path, char **text, size_t *n, struct err *err)
{
    AUTO_CLOSE int in = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (in < 0 || fstat(in, &st) < 0)
        return err_sys(err, errno, "%s", name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", name);
    if (st.st_size == 0)
        return err_set(err, ERR_INVALID, "%s is empty: expected a header line", name);
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    if (map == MAP_FAILED)
        return err_sys(err, errno, "map %s", name);
    *text = map;
    *n = (size_t)st.st_size;
    return 0;
}

int table_convert(const struct table_conf *conf, const struct matrix_origin *origin, int fd,
                  struct err *err)
{
    char *text;
    size_t n;
    int rc = map_file(conf->path, conf->path, &text, &n, err);
    if (rc < 0)
        return rc;
    (void)madvise(text, n, MADV_SEQUENTIAL);
    rc = table_convert_text(conf, text, n, origin, fd, err);
    (void)munmap(text, n);
    return rc;
}

static int check_columns(const struct table_conf *conf, const char *text, size_t n, struct err *err)
{
    struct table t = {.conf = conf, .fd = -1};
    int rc = csv_init(&t.csv, conf->path, text, n, err);
    if (rc == 0)
        rc = read_header(&t, err);
    if (rc == 0)
        rc = assign_roles(&t, err);
    table_finish(&t);
    return rc;
}

int table_check(const struct table_conf *conf, const char *path, struct err *err)
{
    char *text;
    size_t n;
    int rc = map_file(conf->path, path, &text, &n, err);
    if (rc < 0)
        return rc;
    rc = conf->bars != NULL ? bars_check_header(conf->path, text, n, err)
                            : check_columns(conf, text, n, err);
    (void)munmap(text, n);
    return rc;
}
