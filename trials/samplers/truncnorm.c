#include "trials/samplers/truncnorm.h"

#include <math.h>

/* log Phi(x) for x <= 0. */
static double log_cdf(double x)
{
    if (x > -35)
        return log(0.5 * erfc(-x * M_SQRT1_2));
    /* asymptotic series of Mills' ratio (Abramowitz & Stegun 26.2.12) */
    double y = 1 / (x * x);
    double series = 1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y)));
    return -0.5 * x * x - log(-x) - 0.5 * log(2 * M_PI) + log(series);
}

double normal_log_mass(double a, double b)
{
    if (a > 0) { /* the left tail keeps its digits */
        double left = -b;
        b = -a;
        a = left;
    }
    if (b <= 0) {
        double top = log_cdf(b);
        return top + log1p(-exp(log_cdf(a) - top));
    }
    return log1p(-0.5 * erfc(-a * M_SQRT1_2) - 0.5 * erfc(b * M_SQRT1_2));
}

/* An interval far out or far inside one half: reject from the exponential or the uniform that
 * covers it (Robert 1995, "Simulation of truncated normal variables"). 0 <= a < b. */
static double tail(struct rng *rng, double a, double b)
{
    double rate = (a + sqrt(a * a + 4)) / 2;
    if (!isfinite(rate))
        return a; /* so far out that nothing lies beyond it */
    for (;;) {
        double x, log_accept;
        if (b - a < 1 / rate) {
            x = a + (b - a) * rng_unit(rng);
            log_accept = (a * a - x * x) / 2;
        } else {
            x = a - log1p(-rng_unit(rng)) / rate;
            log_accept = -(x - rate) * (x - rate) / 2;
        }
        if (x <= b && log(1 - rng_unit(rng)) <= log_accept)
            return x;
    }
}

double normal_truncated(struct rng *rng, double a, double b)
{
    if (!(b > a))
        return a; /* an interval of one point, or of none */
    if (a >= 0)
        return tail(rng, a, b);
    if (b <= 0)
        return -tail(rng, -b, -a);
    if (b - a < 1) { /* around the mean but narrow */
        for (;;) {
            double x = a + (b - a) * rng_unit(rng);
            if (log(1 - rng_unit(rng)) <= -x * x / 2)
                return x;
        }
    }
    for (;;) {
        double x = rng_normal(rng);
        if (x >= a && x <= b)
            return x;
    }
}
