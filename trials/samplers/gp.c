#include "trials/samplers/gp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "Gaussian process");
}

/* The kernel of a squared scaled distance, and its derivative by that. */
static double matern(double r2, double *slope)
{
    double s = sqrt(5 * r2), e = exp(-s);
    if (slope != NULL)
        *slope = -5.0 / 6 * (1 + s) * e;
    return (1 + s + s * s / 3) * e;
}

/* a [n * n], lower triangle, becomes its Cholesky factor. False when it is not positive definite.
 */
static bool cholesky(double *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 0))
                return false;
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    }
    return true;
}

/* b [n] becomes the solution x of L L' x = b. */
static void solve(const double *chol, size_t n, double *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            b[i] -= chol[i * n + k] * b[k];
        b[i] /= chol[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        b[i] /= chol[i * n + i];
        for (size_t k = 0; k < i; k++)
            b[k] -= chol[i * n + k] * b[i];
    }
}

/* out [n * n], lower triangle: the inverse of L L'. scratch [n * n] holds L^-1, rows of its
 * transpose. */
static void invert(const double *chol, size_t n, double *scratch, double *out)
{
    for (size_t c = 0; c < n; c++) { /* column c of L^-1 into row c */
        double *v = scratch + c * n;
        for (size_t i = c; i < n; i++) {
            double sum = i == c ? 1 : 0;
            for (size_t k = c; k < i; k++)
                sum -= chol[i * n + k] * v[k];
            v[i] = sum / chol[i * n + i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = i; k < n; k++)
                sum += scratch[i * n + k] * scratch[j * n + k];
            out[i * n + j] = sum;
        }
    }
}

/* The mean of the process and alpha = K^-1 (y - mean), given the factor of K: the mean under which
 * the observations are most probable (generalised least squares, R & W section 2.7). Many trials in
 * one place count as one: the plain mean of trials that gather near the best would promise as much
 * of every place where there are none. scratch [n]. */
static double estimate_mean(const double *chol, const double *y, size_t n, double *alpha,
                            double *scratch)
{
    double sum = 0, weight = 0;
    for (size_t i = 0; i < n; i++) {
        alpha[i] = y[i];
        scratch[i] = 1;
    }
    solve(chol, n, alpha);
    solve(chol, n, scratch);
    for (size_t i = 0; i < n; i++) {
        sum += alpha[i];
        weight += scratch[i];
    }
    for (size_t i = 0; i < n; i++)
        alpha[i] -= sum / weight * scratch[i];
    return sum / weight;
}

static double axis_distance2(bool is_choice, double a, double b)
{
    return is_choice ? (a != b) : (a - b) * (a - b);
}

/* --- the scales --------------------------------------------------------------------------------
 */

/* theta: log weight of each axis, then log noise. */
struct fit {
    const double *x, *y;
    const bool *is_choice;
    size_t n, d;
    double prior_mean;
    double *k, *slope, *inverse, *scratch; /* [n * n] */
    double *alpha;                         /* [n] */
    double *theta, *gradient;              /* [d + 1] */
    double *weight;                        /* [d] */
    double *last, *step, *best;            /* [d + 1] */
};

#define PRIOR_DEVIATION 1.5 /* of log weights */
#define NOISE_MEAN -6.0     /* of log noise */
#define NOISE_DEVIATION 2.0
#define LEAST_NOISE -13.0
#define ROUNDS 30

static void kernel_matrix(struct fit *f)
{
    for (size_t a = 0; a < f->d; a++)
        f->weight[a] = exp(f->theta[a]);
    for (size_t i = 0; i < f->n; i++) {
        const double *x = f->x + i * f->d;
        for (size_t j = 0; j < i; j++) {
            const double *other = f->x + j * f->d;
            double r2 = 0;
            for (size_t a = 0; a < f->d; a++)
                r2 += f->weight[a] * axis_distance2(f->is_choice[a], x[a], other[a]);
            f->k[i * f->n + j] = matern(r2, &f->slope[i * f->n + j]);
        }
        f->k[i * f->n + i] = 1 + exp(f->theta[f->d]);
    }
}

static void add_prior(struct fit *f, double *loss)
{
    for (size_t a = 0; a <= f->d; a++) {
        double mean = a < f->d ? f->prior_mean : NOISE_MEAN;
        double deviation = a < f->d ? PRIOR_DEVIATION : NOISE_DEVIATION;
        double z = (f->theta[a] - mean) / deviation;
        *loss += z * z / 2;
        f->gradient[a] += z / deviation;
    }
}

/* Minus the log posterior with the best mean and signal variance, and its gradient; infinite where
 * K is singular. R & W eq. 5.9, with dK/dtheta of an axis: slope * distance^2 * weight. */
static double evaluate(struct fit *f)
{
    size_t n = f->n, d = f->d;
    kernel_matrix(f);
    if (!cholesky(f->k, n))
        return INFINITY;
    double mean = estimate_mean(f->k, f->y, n, f->alpha, f->scratch);
    invert(f->k, n, f->scratch, f->inverse);
    double fit = 1e-12, loss = 0;
    for (size_t i = 0; i < n; i++) {
        fit += (f->y[i] - mean) * f->alpha[i];
        loss += log(f->k[i * n + i]);
    }
    double signal = fit / (double)n;
    loss += (double)n / 2 * log(signal);
    memset(f->gradient, 0, (d + 1) * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            double g = f->inverse[i * n + j] - f->alpha[i] * f->alpha[j] / signal;
            g *= f->slope[i * n + j];
            for (size_t a = 0; a < d; a++)
                f->gradient[a] +=
                    g * axis_distance2(f->is_choice[a], f->x[i * d + a], f->x[j * d + a]);
        }
        f->gradient[d] += (f->inverse[i * n + i] - f->alpha[i] * f->alpha[i] / signal) / 2;
    }
    for (size_t a = 0; a <= d; a++)
        f->gradient[a] *= exp(f->theta[a]);
    add_prior(f, &loss);
    return loss;
}

/* Resilient propagation (Riedmiller & Braun 1993): steps grow while the gradient keeps its sign. */
static void descend(struct fit *f)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double loss = evaluate(f);
        if (loss < best) {
            best = loss;
            memcpy(f->best, f->theta, (f->d + 1) * sizeof(double));
        }
        if (!isfinite(loss)) { /* back, with more noise */
            f->theta[f->d] += 2;
            continue;
        }
        for (size_t a = 0; a <= f->d; a++) {
            double g = f->gradient[a], same = g * f->last[a];
            f->step[a] = same > 0   ? fmin(f->step[a] * 1.3, 1.5)
                         : same < 0 ? f->step[a] * 0.5
                                    : f->step[a];
            f->theta[a] -= g > 0 ? f->step[a] : g < 0 ? -f->step[a] : 0;
            f->last[a] = g;
        }
        f->theta[f->d] = fmax(f->theta[f->d], LEAST_NOISE);
    }
    memcpy(f->theta, f->best, (f->d + 1) * sizeof(double));
}

/* Leave-one-out residuals are alpha_i / K^-1_ii (R & W eq. 5.12). */
static double explained(struct fit *f)
{
    if (!isfinite(evaluate(f)))
        return 0;
    double rest = 0, all = 1e-12;
    for (size_t i = 0; i < f->n; i++) {
        double residual = f->alpha[i] / f->inverse[i * f->n + i];
        rest += residual * residual;
        all += f->y[i] * f->y[i];
    }
    return 1 - rest / all;
}

int gp_scales_fit(struct gp_scales *scales, const double *x, const double *y, size_t n, size_t d,
                  const bool *is_choice, struct err *err)
{
    size_t m = d + 1;
    AUTO_FREE double *all = calloc(4 * n * n + n + 5 * m, sizeof(double));
    double *weight = calloc(m, sizeof(double));
    if (all == NULL || weight == NULL) {
        free(weight);
        return no_memory(err);
    }
    struct fit f = {.x = x, .y = y, .is_choice = is_choice, .n = n, .d = d, .weight = weight};
    f.k = all;
    f.slope = f.k + n * n;
    f.inverse = f.slope + n * n;
    f.scratch = f.inverse + n * n;
    f.alpha = f.scratch + n * n;
    f.theta = f.alpha + n;
    f.gradient = f.theta + m;
    f.last = f.gradient + m;
    f.step = f.last + m;
    f.best = f.step + m;
    f.prior_mean = log(6.0 / (double)d); /* length scales of 0.4 sqrt(d) */
    for (size_t a = 0; a < m; a++) {
        f.theta[a] = f.best[a] = a < d ? f.prior_mean : NOISE_MEAN;
        f.step[a] = 0.4;
    }
    descend(&f);
    double share = explained(&f); /* computes the weights, too */
    *scales = (struct gp_scales){.weight = weight, .noise = exp(f.theta[d]), .explained = share};
    return 0;
}

/* --- the process --------------------------------------------------------------------------------
 */

static double kernel(const struct gp *g, const double *a, const double *b)
{
    double r2 = 0;
    for (size_t i = 0; i < g->d; i++)
        r2 += g->weight[i] * axis_distance2(g->is_choice[i], a[i], b[i]);
    return matern(r2, NULL);
}

int gp_create(struct gp **out, const struct gp_scales *scales, const double *x, const double *y,
              size_t n, size_t d, const bool *is_choice, struct err *err)
{
    struct gp *g = calloc(1, sizeof(*g) + d * sizeof(double));
    if (g == NULL)
        return no_memory(err);
    g->n = n;
    g->d = d;
    g->x = x;
    g->is_choice = is_choice;
    memcpy(g->weight, scales->weight, d * sizeof(double));
    g->chol = calloc(n * n + 1, sizeof(double));
    g->alpha = calloc(n + 1, sizeof(double));
    AUTO_FREE double *scratch = calloc(n + 1, sizeof(double));
    if (g->chol == NULL || g->alpha == NULL || scratch == NULL) {
        gp_destroy(g);
        return no_memory(err);
    }
    double noise = scales->noise;
    do {
        g->noise = noise;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < i; j++)
                g->chol[i * n + j] = kernel(g, x + i * d, x + j * d);
            g->chol[i * n + i] = 1 + noise;
        }
        noise *= 10; /* points so near that the matrix is singular in double precision */
    } while (!cholesky(g->chol, n));
    g->mean = estimate_mean(g->chol, y, n, g->alpha, scratch);
    g->signal = 1e-12;
    for (size_t i = 0; i < n; i++)
        g->signal += (y[i] - g->mean) * g->alpha[i] / (double)n;
    *out = g;
    return 0;
}

void gp_destroy(struct gp *g)
{
    if (g == NULL)
        return;
    free(g->chol);
    free(g->alpha);
    free(g);
}

#define LANE 32 /* points that are solved side by side */

/* v [n][LANE] becomes L^-1 v. */
static void solve_lower(const double *chol, size_t n, double *v)
{
    for (size_t i = 0; i < n; i++) {
        double *row = v + i * LANE;
        for (size_t k = 0; k < i; k++) {
            double l = chol[i * n + k];
            const double *other = v + k * LANE;
            for (size_t c = 0; c < LANE; c++)
                row[c] -= l * other[c];
        }
        for (size_t c = 0; c < LANE; c++)
            row[c] /= chol[i * n + i];
    }
}

int gp_predict(const struct gp *g, const double *points, size_t m, double *mean, double *deviation,
               struct err *err)
{
    AUTO_FREE double *v = calloc(g->n * LANE + 1, sizeof(double));
    if (v == NULL)
        return no_memory(err);
    for (size_t from = 0; from < m; from += LANE) {
        size_t count = m - from < LANE ? m - from : LANE;
        for (size_t c = 0; c < count; c++) {
            mean[from + c] = g->mean;
            for (size_t i = 0; i < g->n; i++) {
                v[i * LANE + c] = kernel(g, g->x + i * g->d, points + (from + c) * g->d);
                mean[from + c] += v[i * LANE + c] * g->alpha[i];
            }
        }
        solve_lower(g->chol, g->n, v);
        for (size_t c = 0; c < count; c++) {
            double rest = 1;
            for (size_t i = 0; i < g->n; i++)
                rest -= v[i * LANE + c] * v[i * LANE + c];
            deviation[from + c] = sqrt(g->signal * fmax(rest, 1e-10));
        }
    }
    return 0;
}
