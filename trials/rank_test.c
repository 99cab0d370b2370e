#include "trials/rank_test.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A difference's size, with its sign beside it. */
struct size {
    double abs;
    bool positive;
    uint64_t twice_rank; /* a mean of ranks is a whole or a half */
};

static int by_size(const void *a, const void *b)
{
    const struct size *x = a, *y = b;
    return x->abs < y->abs ? -1 : x->abs > y->abs;
}

static size_t take(const double *diff, size_t n, struct size *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (diff[i] != 0)
            out[kept++] = (struct size){.abs = fabs(diff[i]), .positive = diff[i] > 0};
    }
    qsort(out, kept, sizeof(*out), by_size);
    return kept;
}

/* Returns the sum of t^3 - t over the groups of t equal sizes. */
static double rank(struct size *s, size_t n)
{
    double ties = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].abs == s[i].abs; end++)
            ;
        double t = (double)(end - i);
        ties += t * t * t - t;
        for (size_t k = i; k < end; k++)
            s[k].twice_rank = i + 1 + end;
    }
    return ties;
}

/* The share of all settings of signs whose (doubled) positive rank sum is at most `most`. */
static int share_below(const struct size *s, size_t n, uint64_t most, double *out, struct err *err)
{
    size_t total = n * (n + 1);
    AUTO_FREE double *share = calloc(total + 1, sizeof(*share)); /* by rank sum */
    if (share == NULL)
        return err_set(err, ERR_NOMEM, "rank test of %zu pairs", n);
    share[0] = 1;
    for (size_t i = 0; i < n; i++) {
        for (size_t sum = total + 1; sum-- > 0;) {
            double with = sum >= s[i].twice_rank ? share[sum - s[i].twice_rank] : 0;
            share[sum] = (share[sum] + with) / 2;
        }
    }
    *out = 0;
    for (size_t sum = 0; sum <= most && sum <= total; sum++)
        *out += share[sum];
    return 0;
}

static double normal_p(size_t n, double less, double ties)
{
    double k = (double)n, mean = k * (k + 1) / 4;
    double var = k * (k + 1) * (2 * k + 1) / 24 - ties / 48;
    return var > 0 ? erfc(fabs(less - mean) / sqrt(2 * var)) : 1;
}

int rank_test(const double *diff, size_t n, struct rank_test *out, struct err *err)
{
    struct rank_test t = {.p = 1};
    AUTO_FREE struct size *s = calloc(n + 1, sizeof(*s));
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "rank test of %zu pairs", n);
    t.n = take(diff, n, s);
    double ties = rank(s, t.n);
    uint64_t twice_plus = 0, twice_minus = 0;
    for (size_t i = 0; i < t.n; i++)
        *(s[i].positive ? &twice_plus : &twice_minus) += s[i].twice_rank;
    t.plus = (double)twice_plus / 2;
    t.minus = (double)twice_minus / 2;
    t.exact = t.n <= RANK_TEST_EXACT;
    uint64_t less = twice_plus < twice_minus ? twice_plus : twice_minus;
    if (t.n > 0 && t.exact) { /* the distribution is symmetric: one tail gives both */
        double tail = 0;
        int rc = share_below(s, t.n, less, &tail, err);
        if (rc < 0)
            return rc;
        t.p = fmin(1, 2 * tail);
    } else if (t.n > 0) {
        t.p = normal_p(t.n, (double)less / 2, ties);
    }
    *out = t;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double rank_quantile(double *v, size_t n, double q)
{
    qsort(v, n, sizeof(*v), by_value);
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    return low + 1 < n ? v[low] + (at - (double)low) * (v[low + 1] - v[low]) : v[n - 1];
}
