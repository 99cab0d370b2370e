/* What a choice of 8 floats costs after 100, 1,000 and 10,000 trials, beside Optuna's in the same
 * run.
 *
 *   bench_tpe_speed     FORKLESS_PYTHON names a Python that has Optuna; without one only our
 * figures are shown */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/rng.h"
#include "trials/samplers/sampler.h"

enum { AXES = 8, ASKS = 60 };

static struct param params[AXES];
static const struct space space = {.params = params, .n = AXES};

static void tell(struct sampler *s, int64_t number, const double *values)
{
    struct err err = {0};
    double loss = 0;
    struct trial_param p[AXES];
    for (int i = 0; i < AXES; i++) {
        loss += values[i] * values[i];
        p[i] = (struct trial_param){params[i].name, &params[i].dist, values[i]};
    }
    struct trial t = {.number = number,
                      .state = TRIAL_COMPLETE,
                      .params = p,
                      .n_params = AXES,
                      .values = &loss,
                      .n_values = 1};
    if (sampler_observe(s, &t, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Median time of an ask and the observation that follows it, ms; of auto the mean, for its asks
 * differ. */
static double measure(enum sampler_kind kind, int trials)
{
    struct sampler_conf conf = SAMPLER_CONF_DEFAULT;
    conf.kind = kind;
    conf.space = &space;
    struct sampler *s;
    if (sampler_create(&s, &conf, NULL) < 0)
        exit(1);
    struct rng rng;
    rng_seed(&rng, 1);
    double values[AXES], times[ASKS];
    bool active[AXES];
    for (int n = 0; n < trials; n++) {
        for (int i = 0; i < AXES; i++)
            values[i] = -5 + 10 * rng_unit(&rng);
        tell(s, n, values);
    }
    for (int n = -3; n < ASKS; n++) { /* the first asks build what the others keep */
        uint64_t start = clock_mono_ns();
        if (sampler_ask(s, trials + 3 + n, NULL, values, active, NULL) < 0)
            exit(1);
        tell(s, trials + 3 + n, values);
        if (n >= 0)
            times[n] = (double)(clock_mono_ns() - start) / 1e6;
    }
    sampler_destroy(s);
    double sum = 0;
    for (int n = 0; n < ASKS; n++)
        sum += times[n];
    if (kind == SAMPLER_AUTO)
        return sum / ASKS;
    qsort(times, ASKS, sizeof(double), by_size);
    return times[ASKS / 2];
}

/* The same in Python; NaN when it could not be measured. */
static double measure_optuna(const char *python, int trials)
{
    char command[1024];
    double ms = NAN;
    (void)snprintf(command, sizeof(command), "'%s' '%s' %d", python, TPE_SPEED_PY, trials);
    FILE *f = popen(command, "re"); /* a bench may use a shell; the product never does */
    if (f == NULL || fscanf(f, "%lf", &ms) != 1)
        ms = NAN;
    if (f != NULL)
        (void)pclose(f);
    return ms;
}

int main(void)
{
    const char *python = getenv("FORKLESS_PYTHON");
    static char names[AXES][8];
    for (int i = 0; i < AXES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x%d", i);
        params[i] =
            (struct param){.name = names[i], .dist = {.kind = DIST_FLOAT, .low = -5, .high = 5}};
    }
    (void)printf("8 floats, median of %d asks (auto: mean), ms\n%8s %10s %10s %10s %8s\n", ASKS,
                 "trials", "tpe", "auto", "optuna", "ratio");
    static const int sizes[] = {100, 1000, 10000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        double tpe = measure(SAMPLER_TPE, sizes[i]), both = measure(SAMPLER_AUTO, sizes[i]);
        double optuna = python != NULL ? measure_optuna(python, sizes[i]) : NAN;
        (void)printf("%8d %10.4f %10.4f %10.3f %8.0f\n", sizes[i], tpe, both, optuna, optuna / tpe);
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("peak resident memory: %.1f MiB\n", (double)usage.ru_maxrss / 1024);
    return 0;
}
