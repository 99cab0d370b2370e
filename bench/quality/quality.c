/* Runs our samplers on the functions of bench/quality.
 *
 *   sampler_quality list
 *       the functions and their parameters, one JSON object a line
 *   sampler_quality eval TABLE FUNCTION
 *       reads internal values from stdin, a point a line, and prints results
 *   sampler_quality run TABLE SAMPLER FIRST_SEED LAST_SEED TRIALS [FUNCTION or SET…]
 *       prints function, sampler, seed and the best value after 50, 100, … trials, separated by
 *       tabs; of a noisy function the value without noise of the trial that looks best */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "bench/quality/functions.h"
#include "trials/samplers/sampler.h"

static int list(void)
{
    const struct quality_function *f;
    for (size_t i = 0; (f = quality_function(i)) != NULL; i++) {
        AUTO(buf_free) struct buf b = BUF_INIT;
        buf_printf(&b, "{\"name\":\"%s\",\"set\":\"%s\",\"noise\":%g,\"params\":[", f->name, f->set,
                   f->noise);
        for (size_t p = 0; p < f->n; p++) {
            buf_printf(&b, "%s{\"name\":\"%s\",\"dist\":%s", p > 0 ? "," : "", f->params[p].name,
                       f->params[p].dist);
            if (f->params[p].when != NULL) {
                buf_puts(&b, ",\"when\":");
                json_put_string(&b, f->params[p].when);
            }
            buf_putc(&b, '}');
        }
        (void)printf("%s]}\n", buf_str(&b));
    }
    return 0;
}

static const struct quality_function *find(const char *name)
{
    const struct quality_function *f;
    for (size_t i = 0; (f = quality_function(i)) != NULL; i++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    (void)fprintf(stderr, "no function %s\n", name);
    exit(2);
}

static int eval(const char *name)
{
    const struct quality_function *f = find(name);
    double v[32];
    for (;;) {
        for (size_t i = 0; i < f->n; i++) {
            if (scanf("%lf", &v[i]) != 1)
                return 0;
        }
        (void)printf("%.17g\n", f->eval(v));
    }
}

static struct space space_of(const struct quality_function *f)
{
    struct err err = {0};
    struct space s = {.params = calloc(f->n, sizeof(*s.params)), .n = f->n};
    for (size_t i = 0; i < f->n; i++) {
        const struct quality_param *p = &f->params[i];
        s.params[i].name = strdup(p->name);
        if (dist_read_json(&s.params[i].dist, p->dist, strlen(p->dist), &err) < 0 ||
            (p->when != NULL && cond_parse(&s.params[i].when, p->when, &err) < 0)) {
            (void)fprintf(stderr, "%s: %s: %s\n", f->name, p->name, err.msg);
            exit(2);
        }
    }
    return s;
}

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static void run(const struct quality_function *f, enum sampler_kind kind, const char *sampler,
                uint64_t seed, int trials)
{
    struct err err = {0};
    struct space space = space_of(f);
    struct sampler_conf conf = SAMPLER_CONF_DEFAULT;
    conf.kind = kind;
    conf.seed = seed;
    conf.space = &space;
    struct sampler *s;
    check(sampler_create(&s, &conf, &err), &err);
    double best = INFINITY, seen = INFINITY;
    struct rng rng;
    rng_seed(&rng, rng_mix(seed, 99));
    (void)printf("%s\t%s\t%d", f->name, sampler, (int)seed);
    for (int i = 0; i < trials; i++) {
        double values[32], v[32] = {0};
        bool active[32];
        struct trial_param params[32];
        check(sampler_ask(s, i, NULL, values, active, &err), &err);
        struct trial t = {.number = i, .state = TRIAL_COMPLETE, .params = params, .n_values = 1};
        for (size_t p = 0; p < f->n; p++) {
            if (!active[p])
                continue;
            v[p] = values[p];
            params[t.n_params++] =
                (struct trial_param){space.params[p].name, &space.params[p].dist, values[p]};
        }
        double value = f->eval(v), observed = value + f->noise * rng_normal(&rng);
        t.values = &observed;
        check(sampler_observe(s, &t, &err), &err);
        best = observed < seen ? value : best;
        seen = fmin(seen, observed);
        if ((i + 1) % 50 == 0)
            (void)printf("\t%.10g", best);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    sampler_destroy(s);
    space_free(&space);
}

/* Whether the function, or its set, is among the names, if there are any. */
static bool wanted(const struct quality_function *f, char **names, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], f->name) == 0 || strcmp(names[i], f->set) == 0)
            return true;
    }
    return n == 0;
}

static enum sampler_kind kind_of(const char *name)
{
    return strcmp(name, "random") == 0 ? SAMPLER_RANDOM
           : strcmp(name, "tpe") == 0  ? SAMPLER_TPE
                                       : SAMPLER_AUTO;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    if (argc < 4) {
        (void)fprintf(stderr, "usage: sampler_quality list | eval TABLE FUNCTION | run TABLE "
                              "SAMPLER FIRST_SEED LAST_SEED TRIALS [FUNCTION or SET…]\n");
        return 2;
    }
    if (quality_load_table(argv[2]) < 0) {
        perror(argv[2]);
        return 1;
    }
    if (strcmp(argv[1], "eval") == 0)
        return eval(argv[3]);
    if (argc < 7)
        return 2;
    int trials = atoi(argv[6]);
    for (int seed = atoi(argv[4]); seed < atoi(argv[5]); seed++) {
        const struct quality_function *f;
        for (size_t i = 0; (f = quality_function(i)) != NULL; i++) {
            if (wanted(f, argv + 7, argc - 7))
                run(f, kind_of(argv[3]), argv[3], (uint64_t)seed, trials);
        }
    }
    return 0;
}
