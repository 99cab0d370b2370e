#include "trials/xgboost/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/xgboost/cache.h"

/* XGBoost refuses names with brackets and < (they mean something in its text dump). */
#define REFUSED "[]<"

static bool is_taken(const struct session *s, size_t at, const char *name)
{
    for (size_t i = 0; i < s->data.cols; i++) {
        const char *column = matrix_feature(&s->data, i);
        if ((s->names[i] != NULL && strcmp(s->names[i], name) == 0) ||
            (i != at && column != NULL && strcmp(column, name) == 0))
            return true;
    }
    return false;
}

/* The column's own name, or one as like it as XGBoost allows that no other column has. */
static char *name_for(const struct session *s, size_t at)
{
    struct buf name = BUF_INIT;
    buf_puts(&name, matrix_feature(&s->data, at));
    bool own = strpbrk(buf_str(&name), REFUSED) == NULL;
    for (char *p = name.data; !own && p != NULL && (p = strpbrk(p, REFUSED)) != NULL;)
        *p = '_';
    while (!own && !name.failed && is_taken(s, at, buf_str(&name)))
        buf_putc(&name, '_');
    char *out = name.failed ? NULL : buf_steal(&name);
    buf_free(&name);
    return out;
}

static int copy_names(struct session *s, struct err *err)
{
    s->names = calloc(s->data.cols, sizeof(*s->names));
    for (size_t i = 0; s->names != NULL && i < s->data.cols; i++) {
        s->names[i] = name_for(s, i);
        if (s->names[i] == NULL)
            return err_set(err, ERR_NOMEM, "names of %zu features", s->data.cols);
    }
    return s->names != NULL ? 0 : err_set(err, ERR_NOMEM, "names of %zu features", s->data.cols);
}

int session_open(struct session *s, struct config *config, int threads, struct err *err)
{
    *s = (struct session){.config = config, .threads = threads};
    int rc = cache_matrix(&s->data, &config->table, config->cache, &s->matrix_path, &s->made, err);
    if (rc == 0)
        rc = fold_plan_create(&s->plan, &config->folds, s->data.rows, err);
    if (rc == 0)
        rc = copy_names(s, err);
    if (rc < 0)
        return rc;
    s->train = calloc(s->plan.n, sizeof(*s->train));
    s->test = calloc(s->plan.n, sizeof(*s->test));
    return s->train != NULL && s->test != NULL ? 0
                                               : err_set(err, ERR_NOMEM, "%zu folds", s->plan.n);
}

void session_part_finish(struct part *p)
{
    if (p->matrix != NULL)
        (void)XGDMatrixFree(p->matrix);
    free(p->gathered);
    *p = (struct part){0};
}

void session_close(struct session *s)
{
    for (size_t i = 0; i < s->plan.n && s->train != NULL && s->test != NULL; i++) {
        session_part_finish(&s->train[i]);
        session_part_finish(&s->test[i]);
    }
    session_part_finish(&s->all);
    free(s->train);
    free(s->test);
    for (size_t i = 0; s->names != NULL && i < s->data.cols; i++)
        free((char *)(uintptr_t)s->names[i]);
    free(s->names);
    fold_plan_finish(&s->plan);
    matrix_close(&s->data);
    buf_free(&s->matrix_path);
}

/* ---- labels ---- */

static float label_at(const struct session *s, size_t position)
{
    return s->data.label[s->plan.order != NULL ? s->plan.order[position] : position];
}

size_t session_test_positives(const struct session *s, size_t fold)
{
    size_t n = 0;
    for (size_t i = s->plan.folds[fold].test.from; i < s->plan.folds[fold].test.to; i++)
        n += label_at(s, i) > 0.5f;
    return n;
}

static int check_folds(const struct session *s, const char *metric, struct err *err)
{
    for (size_t i = 0; i < s->plan.n; i++) {
        size_t rows = range_rows(s->plan.folds[i].test), positives = session_test_positives(s, i);
        if (positives == 0 || positives == rows)
            return err_set(
                err, ERR_INVALID,
                "%s of fold %zu is undefined: all its %zu validation rows have the label %d",
                metric, i + 1, rows, positives > 0);
    }
    return 0;
}

int session_check(struct session *s, const struct objective *o, const struct metric_ref *main,
                  struct err *err)
{
    if (s->checked == NULL || s->checked->labels != o->labels) {
        int rc = objective_check_labels(o, s->data.label, s->data.rows, &s->classes, err);
        if (rc < 0)
            return err_wrap(err, rc, "%s, label '%s'", s->config->table.path,
                            s->config->table.label);
        s->checked = o;
    }
    if (main->own != NULL && main->own->both_classes)
        return check_folds(s, main->name, err);
    return 0;
}

/* ---- matrices ---- */

/* Copies the rows of the ranges to x and label, in their order. */
static void gather(const struct session *s, const struct range *ranges, int n, float *x,
                   float *label)
{
    size_t cols = s->data.cols;
    for (int k = 0; k < n; k++) {
        for (size_t i = ranges[k].from; i < ranges[k].to; i++, x += cols) {
            size_t row = s->plan.order != NULL ? s->plan.order[i] : i;
            memcpy(x, s->data.x + row * cols, cols * sizeof(*x));
            *label++ = s->data.label[row];
        }
    }
}

/* Rows that stand together go to XGBoost from the mapped file; others are gathered for the moment.
 */
static int build(const struct session *s, const struct range *ranges, int n, struct part *out,
                 struct err *err)
{
    size_t rows = 0, cols = s->data.cols;
    for (int k = 0; k < n; k++)
        rows += range_rows(ranges[k]);
    assert(rows > 0); /* fold_plan_create sees to it */
    const float *x = s->data.x + ranges[0].from * cols;
    AUTO_FREE float *copy = NULL;
    out->rows = rows;
    out->label = s->data.label + ranges[0].from;
    if (n == 1 && s->plan.order == NULL && s->data.gain != NULL)
        out->gain = s->data.gain + ranges[0].from;
    if (n > 1 || s->plan.order != NULL) {
        copy = malloc(rows * cols * sizeof(*copy));
        out->gathered = malloc(rows * sizeof(*out->gathered));
        if (copy == NULL || out->gathered == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for %zu rows", rows);
        gather(s, ranges, n, copy, out->gathered);
        x = copy;
        out->label = out->gathered;
    }
    return xgb_matrix(&out->matrix, x, out->label, rows, cols, s->threads, err);
}

int session_matrices(struct session *s, bool train, struct err *err)
{
    for (size_t i = 0; i < s->plan.n; i++) {
        const struct fold *f = &s->plan.folds[i];
        int rc = 0;
        if (train && s->train[i].matrix == NULL)
            rc = build(s, f->train, f->n_train, &s->train[i], err);
        if (rc == 0 && s->test[i].matrix == NULL)
            rc = build(s, &f->test, 1, &s->test[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int session_part(const struct session *s, const uint32_t *row, size_t n, const float *label,
                 const float *weight, struct part *out, struct err *err)
{
    size_t cols = s->data.cols;
    AUTO_FREE float *x = malloc((n * cols + 1) * sizeof(*x));
    *out = (struct part){.rows = n, .gathered = malloc((2 * n + 1) * sizeof(*out->gathered))};
    if (x == NULL || out->gathered == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * cols, s->data.x + row[i] * cols, cols * sizeof(*x));
    out->label = memcpy(out->gathered, label, n * sizeof(*label));
    if (weight != NULL)
        out->weight = memcpy(out->gathered + n, weight, n * sizeof(*weight));
    int rc = xgb_matrix(&out->matrix, x, out->label, n, cols, s->threads, err);
    return rc == 0 && weight != NULL ? xgb_weigh(out->matrix, weight, n, err) : rc;
}

int session_all_rows(struct session *s, struct err *err)
{
    if (s->all.matrix != NULL)
        return 0;
    s->all = (struct part){.label = s->data.label, .rows = s->data.rows};
    return xgb_matrix(&s->all.matrix, s->data.x, s->data.label, s->data.rows, s->data.cols,
                      s->threads, err);
}
