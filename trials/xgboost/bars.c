#include "trials/xgboost/bars.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "trials/xgboost/csv.h"

#define COLUMNS_MAX 64
#define COST_DEFAULT 0.001

/* ---- settings ---- */

static const char *const keys[] = {"windows", "horizon", "threshold", "cost", "newest_first"};

static int read_windows(struct prices_conf *c, const json_t *v, struct err *err)
{
    size_t i;
    json_t *w;
    if (v == NULL)
        return 0;
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > PRICES_WINDOWS_MAX)
        return err_set(err, ERR_INVALID, "prices.windows: expected a list of 1 to %d lengths",
                       PRICES_WINDOWS_MAX);
    c->n_windows = 0;
    json_array_foreach((json_t *)(uintptr_t)v, i, w)
    {
        json_int_t n = json_is_integer(w) ? json_integer_value(w) : 0;
        if (n < 2 || n > PRICES_WINDOW_MAX)
            return err_set(err, ERR_INVALID, "prices.windows: expected lengths from 2 to %d",
                           PRICES_WINDOW_MAX);
        for (size_t k = 0; k < c->n_windows; k++) {
            if (c->windows[k] == (size_t)n)
                return err_set(err, ERR_INVALID, "prices.windows: %d stands there twice", (int)n);
        }
        c->windows[c->n_windows++] = (size_t)n;
    }
    return 0;
}

static int read_number(const json_t *map, const char *key, double least, double most, bool whole,
                       double *out, struct err *err)
{
    const json_t *v = json_object_get(map, key);
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (v == NULL)
        return 0;
    if (!(d >= least && d <= most) || (whole && d != floor(d)))
        return err_set(err, ERR_INVALID, "prices.%s: expected a %snumber from %g to %g", key,
                       whole ? "whole " : "", least, most);
    *out = d;
    return 0;
}

static int check_keys(const json_t *v, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(keys) && strcmp(keys[i], key) != 0)
            i++;
        if (i < ARRAY_LEN(keys))
            continue;
        const char *near = text_nearest(key, keys, ARRAY_LEN(keys));
        if (near != NULL)
            return err_set(err, ERR_INVALID, "prices: unknown key '%s': did you mean '%s'?", key,
                           near);
        return err_set(err, ERR_INVALID,
                       "prices: unknown key '%s': expected windows, horizon, threshold, cost or "
                       "newest_first",
                       key);
    }
    return 0;
}

int bars_read_conf(struct bars_conf *out, const json_t *v, struct err *err)
{
    struct bars_conf c = {.prices = {.windows = {3, 12, 48}, .n_windows = 3}, .cost = COST_DEFAULT};
    double horizon = 12, threshold = 0.01;
    const json_t *newest = json_object_get(v, "newest_first");
    if (!json_is_object(v))
        return err_set(err, ERR_INVALID,
                       "prices: expected a mapping such as {horizon: 12, threshold: 0.01}");
    int rc = check_keys(v, err);
    if (rc == 0)
        rc = read_windows(&c.prices, json_object_get(v, "windows"), err);
    if (rc == 0)
        rc = read_number(v, "horizon", 1, 100000, true, &horizon, err);
    if (rc == 0)
        rc = read_number(v, "threshold", -1, 100, false, &threshold, err);
    if (rc == 0)
        rc = read_number(v, "cost", 0, 1, false, &c.cost, err);
    if (rc == 0 && newest != NULL && !json_is_boolean(newest))
        rc = err_set(err, ERR_INVALID, "prices.newest_first: expected true or false");
    if (rc < 0)
        return rc;
    c.prices.horizon = (size_t)horizon;
    c.prices.threshold = threshold;
    c.newest_first = json_is_true(newest);
    *out = c;
    return 0;
}

/* ---- the file ---- */

enum { OPEN, HIGH, LOW, CLOSE, VOLUME, SERIES };
static const char *const series_names[SERIES] = {"open", "high", "low", "close", "volume"};
static const char *const time_names[] = {"date", "datetime", "time", "timestamp", "unix"};

struct reader {
    const struct bars_conf *conf;
    const char *path;
    struct csv csv;
    struct csv_cell cells[COLUMNS_MAX];
    size_t n_columns;
    int at[SERIES]; /* column of each; -1: none */
    int time;       /* column; -1: none */
    double *v[SERIES];
    size_t n, cap;
    char last[40];      /* time of the row before; "": there is none */
    double last_number; /* the same as a number; NaN: it is text */
    struct buf scratch;
};

static void reader_finish(struct reader *r)
{
    for (int i = 0; i < SERIES; i++)
        free(r->v[i]);
    buf_free(&r->scratch);
}

static bool is_named(struct reader *r, size_t column, const char *name)
{
    size_t len;
    const char *text = csv_cell_text(&r->cells[column], &r->scratch, &len);
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

/* "Volume BTC", "Volume (USD)": the first of such. */
static bool begins(struct reader *r, size_t column, const char *name)
{
    size_t len, n = strlen(name);
    const char *text = csv_cell_text(&r->cells[column], &r->scratch, &len);
    return len > n && strncasecmp(text, name, n) == 0 && strchr(" _(", text[n]) != NULL;
}

static int find_columns(struct reader *r, struct err *err)
{
    r->time = -1;
    for (int i = 0; i < SERIES; i++)
        r->at[i] = -1;
    for (size_t k = r->n_columns; k-- > 0;) {
        for (int i = 0; i < SERIES; i++) {
            if (is_named(r, k, series_names[i]))
                r->at[i] = (int)k;
        }
        for (size_t i = 0; i < ARRAY_LEN(time_names); i++) {
            if (is_named(r, k, time_names[i]))
                r->time = (int)k;
        }
    }
    for (size_t k = r->n_columns; r->at[VOLUME] < 0 && k-- > 0;) {
        if (begins(r, k, "volume"))
            r->at[VOLUME] = (int)k;
    }
    for (int i = 0; i < VOLUME; i++) {
        if (r->at[i] < 0)
            return err_set(err, ERR_INVALID,
                           "%s has no column '%s': prices need open, high, low and close", r->path,
                           series_names[i]);
    }
    return 0;
}

static int read_header(struct reader *r, struct err *err)
{
    size_t line;
    int rc = csv_next(&r->csv, r->cells, COLUMNS_MAX, &r->n_columns, &line, err);
    if (rc == 0 && r->n_columns == 0)
        rc = err_set(err, ERR_INVALID, "%s is empty: expected a header line", r->path);
    if (rc == 0 && r->n_columns > COLUMNS_MAX)
        rc = err_set(err, ERR_INVALID, "%s has %zu columns: prices have %d at most", r->path,
                     r->n_columns, COLUMNS_MAX);
    return rc == 0 ? find_columns(r, err) : rc;
}

static bool grow(struct reader *r)
{
    size_t cap = r->cap == 0 ? 4096 : 2 * r->cap;
    for (int i = 0; r->n == r->cap && i < SERIES; i++) {
        if (!array_resize(&r->v[i], cap, sizeof(double)))
            return false;
    }
    r->cap = r->n == r->cap ? cap : r->cap;
    return true;
}

/* Whether it begins with a year, as times do that sort as text. */
static bool has_year(const char *text, size_t len)
{
    for (size_t i = 0; i < 4; i++) {
        if (i >= len || text[i] < '0' || text[i] > '9')
            return false;
    }
    return len >= 8 && strchr("-/. ", text[4]) != NULL;
}

/* Less than 0: the row before has the earlier time. The first row, which has none before it: 0. */
static int order_of(const struct reader *r, const char *text, size_t len, double number)
{
    size_t before = strlen(r->last), common = before < len ? before : len;
    if (before == 0)
        return 0;
    if (!isnan(number))
        return (r->last_number > number) - (r->last_number < number);
    int order = strncmp(r->last, text, common);
    return order != 0 ? order : (before > len) - (before < len);
}

/* Times that sort (ISO 8601, or numbers) must go one way, without a step that is none. Of others,
 * 01/31/2020 say, nobody could tell that they go back, and a label would be the past. */
static int check_time(struct reader *r, size_t line, struct err *err)
{
    size_t len;
    double number = NAN;
    const char *text = csv_cell_text(&r->cells[r->time], &r->scratch, &len);
    bool numeric = csv_number(text, len, &number) && isfinite(number);
    bool like_before = r->last[0] == '\0' || numeric != isnan(r->last_number);
    if (len >= sizeof(r->last) || !like_before || !(numeric || has_year(text, len)))
        return err_set(
            err, ERR_INVALID,
            "%s:%zu:%d: '%.*s' is no time that sorts: write 2020-01-31 12:00 or seconds, "
            "or call the column otherwise where the rows are in order",
            r->path, line, r->time + 1, len > 40 ? 40 : (int)len, text);
    int order = order_of(r, text, len, numeric ? number : NAN);
    if (order == 0 && r->last[0] != '\0')
        return err_set(err, ERR_INVALID, "%s:%zu: %.*s stands there twice: expected one bar a time",
                       r->path, line, (int)len, text);
    if (r->conf->newest_first ? order < 0 : order > 0)
        return err_set(err, ERR_INVALID, "%s:%zu: %.*s comes after %s: %s", r->path, line, (int)len,
                       text, r->last,
                       r->conf->newest_first ? "the file does not go back in time"
                                             : "is it prices.newest_first: true?");
    (void)snprintf(r->last, sizeof(r->last), "%.*s", (int)len, text);
    r->last_number = numeric ? number : NAN;
    return 0;
}

static struct bars bars_of(const struct reader *r)
{
    return (struct bars){
        r->v[OPEN], r->v[HIGH], r->v[LOW], r->v[CLOSE], r->at[VOLUME] >= 0 ? r->v[VOLUME] : NULL,
        r->n};
}

static int add_bar(struct reader *r, size_t line, struct err *err)
{
    if (!grow(r))
        return err_set(err, ERR_NOMEM, "out of memory for %zu bars", r->n);
    for (int i = 0; i < SERIES; i++) {
        size_t len = 0;
        if (r->at[i] < 0)
            continue;
        const char *text = csv_cell_text(&r->cells[r->at[i]], &r->scratch, &len);
        if (!csv_number(text, len, &r->v[i][r->n]))
            return err_set(err, ERR_INVALID, "%s:%zu:%d: %s is '%.*s', not a number", r->path, line,
                           r->at[i] + 1, series_names[i], len > 40 ? 40 : (int)len, text);
    }
    struct bars b = bars_of(r);
    int rc = bars_check(&b, r->n, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s:%zu", r->path, line);
    r->n++;
    return r->time >= 0 ? check_time(r, line, err) : 0;
}

static void reverse(double *v, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        double x = v[i];
        v[i] = v[n - 1 - i];
        v[n - 1 - i] = x;
    }
}

static int read_bars(struct reader *r, struct err *err)
{
    for (;;) {
        size_t n, line;
        int rc = csv_next(&r->csv, r->cells, COLUMNS_MAX, &n, &line, err);
        if (rc == 0 && n == 0)
            break;
        if (rc == 0 && n != r->n_columns)
            rc = err_set(err, ERR_INVALID, "%s:%zu: %zu cells, but the header has %zu columns",
                         r->path, line, n, r->n_columns);
        if (rc == 0)
            rc = add_bar(r, line, err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; r->conf->newest_first && i < SERIES; i++)
        reverse(r->v[i], r->at[i] < 0 ? 0 : r->n);
    return 0;
}

/* ---- the matrix ---- */

static json_t *describe(const struct bars_conf *conf, const struct bars *b)
{
    json_t *features = json_array();
    for (size_t i = 0; i < prices_columns(&conf->prices, b); i++) {
        char name[64];
        prices_column_name(&conf->prices, b, i, name, sizeof(name));
        (void)json_array_append_new(features, json_string(name));
    }
    return json_pack("{s:o, s:s, s:{}}", "features", features, "label", "buy", "categories");
}

static int write_matrix(const struct bars_conf *conf, const struct bars *b,
                        const struct matrix_origin *origin, int fd, struct err *err)
{
    size_t rows = prices_end(&conf->prices, b) - prices_first(&conf->prices);
    size_t cols = prices_columns(&conf->prices, b);
    AUTO_FREE float *x = malloc(rows * cols * sizeof(*x));
    AUTO_FREE float *label = malloc(rows * sizeof(*label));
    AUTO_FREE float *gain = malloc(rows * sizeof(*gain));
    AUTO_JSON json_t *meta = describe(conf, b);
    if (x == NULL || label == NULL || gain == NULL || meta == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu bars", b->n);
    int rc = prices_features(&conf->prices, b, x, err);
    if (rc < 0)
        return rc;
    prices_labels(&conf->prices, b, label, gain);
    if (lseek(fd, MATRIX_X_AT, SEEK_SET) < 0)
        return err_set(err, ERR_IO, "write the matrix");
    rc = matrix_write(fd, x, rows * cols * sizeof(*x), err);
    return rc == 0 ? matrix_write_end(fd, rows, cols, label, gain, meta, origin, err) : rc;
}

static int convert(struct reader *r, const struct matrix_origin *origin, int fd, struct err *err)
{
    const struct prices_conf *c = &r->conf->prices;
    int rc = read_header(r, err);
    if (rc == 0)
        rc = read_bars(r, err);
    if (rc < 0)
        return rc;
    struct bars b = bars_of(r);
    if (prices_end(c, &b) <= prices_first(c))
        return err_set(err, ERR_INVALID,
                       "%s has %zu bars: the longest window and the horizon need more than %zu",
                       r->path, r->n, prices_first(c) + c->horizon);
    return write_matrix(r->conf, &b, origin, fd, err);
}

int bars_convert_text(const struct bars_conf *conf, const char *path, const char *text, size_t n,
                      const struct matrix_origin *origin, int fd, struct err *err)
{
    struct reader r = {.conf = conf, .path = path};
    int rc = csv_init(&r.csv, path, text, n, err);
    if (rc == 0)
        rc = convert(&r, origin, fd, err);
    reader_finish(&r);
    return rc;
}

int bars_check_header(const char *path, const char *text, size_t n, struct err *err)
{
    static const struct bars_conf any;
    struct reader r = {.conf = &any, .path = path};
    int rc = csv_init(&r.csv, path, text, n, err);
    if (rc == 0)
        rc = read_header(&r, err);
    reader_finish(&r);
    return rc;
}
