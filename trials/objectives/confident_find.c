/* From the confident joint to the rows. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/objectives/confident_parts.h"
#include "trials/objectives/select.h"

struct search {
    const struct confident *c;
    struct confident_rows rows;
    double *threshold; /* [k] */
    int64_t *joint;    /* [k][k] by given label, then true label */
    uint64_t *key;     /* [n] scratch */
};

static size_t class_rows(const struct search *s, size_t j)
{
    assert(s->rows.start != NULL); /* confident_group has succeeded */
    return s->rows.start[j + 1] - s->rows.start[j];
}

/* Marks the m rows of class j with the smallest scratch values, the first ones of equals. */
static void mark_smallest(const struct search *s, size_t j, size_t m, bool *issue)
{
    const size_t *row = s->rows.row + s->rows.start[j];
    const double *v = s->rows.scratch;
    size_t n = class_rows(s, j);
    for (size_t i = 0; i < n; i++)
        s->key[i] = select_key(v[i] + 0.0); /* no negative zero: it equals zero */
    struct selection sel = select_smallest(s->key, n, m);
    for (size_t i = 0; i < n; i++) {
        uint64_t key = select_key(v[i] + 0.0);
        if (key < sel.below || (key == sel.below && sel.equal > 0)) {
            issue[row[i]] = true;
            sel.equal -= key == sel.below;
        }
    }
}

/* Rows labelled i that are to be kept: at least one. */
static int64_t kept(const struct search *s, size_t i)
{
    int64_t right = s->joint[i * s->c->k + i];
    return right > 1 ? right : 1;
}

/* Rows labelled i that truly are j, when one row of each class must be kept: what that adds to the
 * diagonal is taken from the others alike. */
static int64_t wrong(const struct search *s, size_t i, size_t j)
{
    size_t k = s->c->k, others = 0;
    for (size_t l = 0; l < k; l++)
        others += s->joint[i * k + l] != 0;
    double added = (double)(kept(s, i) - s->joint[i * k + i]);
    double share = added / fmax((double)others - 1, 1);
    return (int64_t)fmax((double)s->joint[i * k + j] - share, 0);
}

static void prune_by_class(const struct search *s, bool *issue)
{
    const struct confident *c = s->c;
    for (size_t i = 0; i < c->k; i++) {
        size_t n = class_rows(s, i);
        int64_t m = (int64_t)n - kept(s, i);
        if (n <= 1 || m < 1)
            continue;
        for (size_t r = 0; r < n; r++)
            s->rows.scratch[r] = c->prob[s->rows.row[s->rows.start[i] + r] * c->k + i];
        mark_smallest(s, i, (size_t)m, issue);
    }
}

static void prune_pair(const struct search *s, size_t i, size_t j, int64_t m, bool *issue)
{
    const struct confident *c = s->c;
    size_t n = class_rows(s, i);
    for (size_t r = 0; r < n; r++) {
        const double *p = c->prob + s->rows.row[s->rows.start[i] + r] * c->k;
        s->rows.scratch[r] = -(p[j] - p[i]);
    }
    mark_smallest(s, i, (size_t)m < n ? (size_t)m : n, issue);
}

static void prune_by_noise_rate(const struct search *s, bool *issue)
{
    for (size_t i = 0; i < s->c->k; i++) {
        for (size_t j = 0; class_rows(s, i) > 1 && j < s->c->k; j++) {
            int64_t m = i != j ? wrong(s, i, j) : 0;
            if (m > 0)
                prune_pair(s, i, j, m, issue);
        }
    }
}

static void off_diagonal(const struct search *s, bool *issue)
{
    for (size_t i = 0; i < s->c->n; i++) {
        size_t guess;
        issue[i] = confident_guess(s->c, s->threshold, i, &guess) && guess != s->c->label[i];
    }
}

/* A label that the model agrees with, or nearly, is none. */
static void drop_agreed(const struct confident *c, bool *issue)
{
    for (size_t i = 0; i < c->n; i++) {
        const double *p = c->prob + i * c->k;
        size_t best = 0;
        double most = -1;
        for (size_t j = 0; j < c->k; j++) {
            double v = j == c->label[i] ? p[j] + CONFIDENT_TOLERANCE : p[j];
            if (v > most) {
                most = v;
                best = j;
            }
        }
        issue[i] = issue[i] && best != c->label[i];
    }
}

static int both(const struct search *s, bool *issue, struct err *err)
{
    size_t n = s->c->n;
    AUTO_FREE bool *other = calloc(n + 1, sizeof(*other));
    if (other == NULL)
        return err_set(err, ERR_NOMEM, "confident learning of %zu rows", n);
    prune_by_class(s, other);
    prune_by_noise_rate(s, issue);
    for (size_t i = 0; i < n; i++)
        issue[i] = issue[i] && other[i];
    return 0;
}

static int find(const struct search *s, enum confident_filter filter, bool *issue, struct err *err)
{
    int rc = confident_estimate(s->c, &s->rows, s->threshold, s->joint, err);
    if (rc < 0)
        return rc;
    memset(issue, 0, s->c->n * sizeof(*issue));
    switch (filter) {
    case CONFIDENT_PRUNE_BY_NOISE_RATE:
        prune_by_noise_rate(s, issue);
        break;
    case CONFIDENT_PRUNE_BY_CLASS:
        prune_by_class(s, issue);
        break;
    case CONFIDENT_BOTH:
        rc = both(s, issue, err);
        break;
    case CONFIDENT_LEARNING:
        off_diagonal(s, issue);
        break;
    }
    drop_agreed(s->c, issue);
    return rc;
}

int confident_find(const struct confident *c, enum confident_filter filter, bool *issue,
                   struct err *err)
{
    struct search s = {.c = c};
    int rc = confident_check(c, err);
    if (rc == 0)
        rc = confident_group(c, &s.rows, err);
    if (rc < 0)
        return rc;
    AUTO_FREE double *threshold = s.threshold = calloc(c->k, sizeof(*s.threshold));
    AUTO_FREE int64_t *joint = s.joint = calloc(c->k * c->k, sizeof(*s.joint));
    AUTO_FREE uint64_t *key = s.key = malloc((c->n + 1) * sizeof(*s.key));
    if (threshold == NULL || joint == NULL || key == NULL)
        rc = err_set(err, ERR_NOMEM, "confident learning of %zu rows", c->n);
    else
        rc = find(&s, filter, issue, err);
    confident_rows_finish(&s.rows);
    return rc;
}

void confident_scores(const struct confident *c, enum confident_quality q, double *quality)
{
    for (size_t i = 0; i < c->n; i++) {
        const double *p = c->prob + i * c->k;
        double own = p[c->label[i]], other = -1;
        for (size_t j = 0; j < c->k; j++)
            other = j != c->label[i] && p[j] > other ? p[j] : other;
        quality[i] = q == CONFIDENT_SELF_CONFIDENCE ? own : (own - other + 1) / 2;
    }
}

int confident_cap(const struct confident *c, const double *quality, double cap_pct, bool *issue,
                  size_t *dropped, struct err *err)
{
    struct search s = {.c = c};
    int rc = confident_group(c, &s.rows, err);
    if (rc < 0)
        return rc;
    AUTO_FREE uint64_t *key = s.key = malloc((c->n + 1) * sizeof(*s.key));
    for (size_t j = 0; key != NULL && j < c->k; j++) {
        size_t n = class_rows(&s, j), named = 0;
        size_t most = (size_t)(cap_pct * (double)n / 100);
        const size_t *row = s.rows.row + s.rows.start[j];
        for (size_t i = 0; i < n; i++) {
            named += issue[row[i]];
            s.rows.scratch[i] = issue[row[i]] ? quality[row[i]] : INFINITY;
        }
        dropped[j] = named < most ? named : most;
        if (named <= most)
            continue;
        for (size_t i = 0; i < n; i++)
            issue[row[i]] = false;
        if (most > 0)
            mark_smallest(&s, j, most, issue);
    }
    confident_rows_finish(&s.rows);
    return key != NULL ? 0 : err_set(err, ERR_NOMEM, "confident learning of %zu rows", c->n);
}
