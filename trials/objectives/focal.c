#include "trials/objectives/focal.h"

#include <math.h>

int focal_check(const struct focal *f, struct err *err)
{
    if (!(f->alpha > 0 && f->alpha < 1))
        return err_set(err, ERR_INVALID, "focal_alpha is %g: expected more than 0 and less than 1",
                       f->alpha);
    if (!(f->gamma >= 0 && f->gamma <= FOCAL_GAMMA_MAX))
        return err_set(err, ERR_INVALID, "focal_gamma is %g: expected 0 to %g", f->gamma,
                       FOCAL_GAMMA_MAX);
    return 0;
}

/* What the formulas share, for one row. */
struct point {
    double a;     /* weight of the row's class */
    double sign;  /* of du/dz */
    double q, r;  /* probability of the true class, and 1 - q without cancellation */
    double log_q; /* ln q <= 0 */
    double focus; /* r^gamma */
};

static struct point point_at(const struct focal *f, double margin, bool positive)
{
    struct point p = {.a = positive ? f->alpha : 1 - f->alpha, .sign = positive ? 1 : -1};
    double u = p.sign * margin;
    double e = exp(-fabs(u)); /* in (0, 1]: nothing below can overflow */
    double log1p_e = log1p(e);
    double small = e / (1 + e), large = 1 / (1 + e);
    p.q = u >= 0 ? large : small;
    p.r = u >= 0 ? small : large;
    p.log_q = u >= 0 ? -log1p_e : u - log1p_e;
    double log_r = u >= 0 ? -u - log1p_e : -log1p_e;
    p.focus = exp(f->gamma * log_r);
    return p;
}

/* dL/du = a r^gamma (gamma q ln q - r), by dq/du = q r. */
static double first(const struct focal *f, const struct point *p)
{
    return p->sign * p->a * p->focus * (f->gamma * p->q * p->log_q - p->r);
}

/* d²L/du² = a q r^gamma (r (1 + 2 gamma) + gamma ln q (r - gamma q)). */
static double second(const struct focal *f, const struct point *p)
{
    double g = f->gamma;
    return p->a * p->q * p->focus * (p->r * (1 + 2 * g) + g * p->log_q * (p->r - g * p->q));
}

double focal_loss(const struct focal *f, double margin, bool positive)
{
    struct point p = point_at(f, margin, positive);
    return -p.a * p.focus * p.log_q;
}

double focal_gradient(const struct focal *f, double margin, bool positive)
{
    struct point p = point_at(f, margin, positive);
    return first(f, &p);
}

double focal_hessian(const struct focal *f, double margin, bool positive)
{
    struct point p = point_at(f, margin, positive);
    return second(f, &p);
}
