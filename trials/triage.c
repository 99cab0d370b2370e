#include "trials/triage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define WIDESPREAD 0.5
#define SPARSE 0.2
#define GAMMA_STEP 1.0
enum { ALL_CRYPTOS = 5 }; /* from so many on "all of them" says something */

static const char *const mode_names[TRIAGE_MODES] = {"calibration", "hessian", "dependency",
                                                     "numerical", "other"};

enum triage_mode triage_mode_of(const char *failure_mode)
{
    for (int i = 0; failure_mode != NULL && i < TRIAGE_OTHER; i++) {
        if (strcmp(failure_mode, mode_names[i]) == 0)
            return (enum triage_mode)i;
    }
    return TRIAGE_OTHER;
}

const char *triage_mode_name(enum triage_mode m)
{
    return mode_names[m];
}

void triage_free(struct triage *t)
{
    free(t->cryptos);
    *t = (struct triage){0};
}

static struct triage_crypto *find(struct triage *t, const char *symbol)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strncmp(t->cryptos[i].symbol, symbol, sizeof(t->cryptos[i].symbol) - 1) == 0)
            return &t->cryptos[i];
    }
    struct triage_crypto *grown = realloc(t->cryptos, (t->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    t->cryptos = grown;
    struct triage_crypto *c = &grown[t->n++];
    *c = (struct triage_crypto){0};
    (void)snprintf(c->symbol, sizeof(c->symbol), "%s", symbol);
    return c;
}

bool triage_add(struct triage *t, const char *symbol, bool focal, bool failed,
                const char *failure_mode)
{
    struct triage_crypto *c = find(t, symbol != NULL ? symbol : "-");
    if (c == NULL)
        return false;
    if (focal) {
        c->failed += failed;
        c->succeeded += !failed;
        c->modes[triage_mode_of(failure_mode)] += failed;
    } else {
        c->others_failed += failed;
        c->others_succeeded += !failed;
    }
    return true;
}

static int by_failures(const void *a, const void *b)
{
    const struct triage_crypto *x = a, *y = b;
    if (x->failed != y->failed)
        return x->failed < y->failed ? 1 : -1;
    return strcmp(x->symbol, y->symbol);
}

void triage_sort(struct triage *t)
{
    if (t->n > 0)
        qsort(t->cryptos, t->n, sizeof(*t->cryptos), by_failures);
}

double triage_rate(int64_t failed, int64_t succeeded)
{
    return failed == 0 ? 0 : (double)failed / (double)(failed + succeeded);
}

/* ---- the verdict ---- */

struct sums {
    int64_t failed, succeeded, others_failed, others_succeeded, modes[TRIAGE_MODES];
    size_t trained, widespread; /* cryptos with the focal loss; of them over 50 % */
    size_t helped;              /* of those, by doing without it */
    double worst;               /* rate of a crypto, however few its trainings */
    double solid, others_solid; /* of those with enough trainings, and of all together */
    const char *worst_symbol, *others_symbol;
    int64_t worst_failed, worst_trained;
};

/* The rate where there are enough trainings for one, else 0. */
static double solid_rate(int64_t failed, int64_t succeeded)
{
    return failed + succeeded >= TRIAGE_LEAST ? triage_rate(failed, succeeded) : 0;
}

static void add_crypto(const struct triage_crypto *c, struct sums *s)
{
    double rate = triage_rate(c->failed, c->succeeded),
           others = solid_rate(c->others_failed, c->others_succeeded);
    s->failed += c->failed;
    s->succeeded += c->succeeded;
    s->others_failed += c->others_failed;
    s->others_succeeded += c->others_succeeded;
    for (int m = 0; m < TRIAGE_MODES; m++)
        s->modes[m] += c->modes[m];
    s->trained += c->failed + c->succeeded > 0;
    s->widespread += rate > WIDESPREAD;
    s->helped += rate > WIDESPREAD && !(others > WIDESPREAD);
    s->solid = fmax(s->solid, solid_rate(c->failed, c->succeeded));
    if (rate > s->worst) {
        s->worst = rate;
        s->worst_symbol = c->symbol;
        s->worst_failed = c->failed;
        s->worst_trained = c->failed + c->succeeded;
    }
    if (others > s->others_solid) {
        s->others_solid = others;
        s->others_symbol = c->symbol;
    }
}

static void add_up(const struct triage *t, struct sums *s)
{
    *s = (struct sums){0};
    for (size_t i = 0; i < t->n; i++)
        add_crypto(&t->cryptos[i], s);
    double others = solid_rate(s->others_failed, s->others_succeeded);
    s->solid = fmax(s->solid, solid_rate(s->failed, s->succeeded));
    if (others > s->others_solid) {
        s->others_solid = others;
        s->others_symbol = "all together";
    }
}

static void find_pattern(const struct sums *s, struct triage_verdict *out)
{
    for (int m = 0; m < TRIAGE_OTHER; m++) {
        if (s->modes[m] >= 2 && s->modes[m] * 2 > s->failed) {
            out->has_pattern = true;
            out->pattern = (enum triage_mode)m;
        }
    }
}

static int percent(double rate)
{
    return (int)lround(rate * 100);
}

/* Trainings without the focal loss fail: what the paths change is not the cause. */
static void judge_baseline(const struct sums *s, struct triage_verdict *out)
{
    out->path = TRIAGE_INVESTIGATE;
    out->page = true;
    (void)snprintf(out->why, sizeof(out->why),
                   "%s fails at %d %% without the focal loss: the loss function is not the cause; "
                   "suspect cluster, image or a dependency",
                   s->others_symbol, percent(s->others_solid));
}

/* Of a gamma that stands in a spec, only that spec's owner knows whether it can be lowered. */
static void lower_gamma(const struct sums *s, const struct triage_config *now,
                        struct triage_verdict *out)
{
    int64_t numerical = s->modes[TRIAGE_HESSIAN] + s->modes[TRIAGE_NUMERICAL];
    if (now->focal && (isnan(now->gamma) || now->gamma < GAMMA_STEP)) {
        out->path = TRIAGE_ROLLBACK;
        (void)snprintf(out->why, sizeof(out->why),
                       "%lld of %lld failures are numerical, and gamma cannot be lowered any more",
                       (long long)numerical, (long long)s->failed);
        return;
    }
    out->path = TRIAGE_LOWER_GAMMA;
    out->gamma = now->gamma - GAMMA_STEP;
    (void)snprintf(out->why, sizeof(out->why),
                   "%lld of %lld failures are numerical, %s fails most: %d %%",
                   (long long)numerical, (long long)s->failed, s->worst_symbol, percent(s->worst));
}

static void investigate(const struct sums *s, struct triage_verdict *out)
{
    out->path = TRIAGE_INVESTIGATE;
    if (s->worst_trained < TRIAGE_LEAST)
        (void)snprintf(out->why, sizeof(out->why),
                       "%s fails most, %lld of %lld: too few to act upon", s->worst_symbol,
                       (long long)s->worst_failed, (long long)s->worst_trained);
    else
        (void)snprintf(out->why, sizeof(out->why), "%s fails most, at %d %%, %s", s->worst_symbol,
                       percent(s->worst),
                       out->has_pattern ? "and not for a numerical cause"
                                        : "without a clear pattern");
}

void triage_judge(const struct triage *t, const struct triage_config *now,
                  struct triage_verdict *out)
{
    struct sums s;
    *out = (struct triage_verdict){.path = TRIAGE_HEALTHY};
    add_up(t, &s);
    find_pattern(&s, out);
    out->worst = s.worst;
    int64_t numerical = s.modes[TRIAGE_HESSIAN] + s.modes[TRIAGE_NUMERICAL];
    bool rollback = s.solid > WIDESPREAD, others = s.others_solid > WIDESPREAD;
    if (others && (!rollback || s.helped == 0)) {
        judge_baseline(&s, out);
    } else if (t->n == 0) {
        out->path = TRIAGE_NO_DATA;
        (void)snprintf(out->why, sizeof(out->why), "no training ended: does any run?");
    } else if (s.failed == 0) {
        (void)snprintf(out->why, sizeof(out->why), "nothing fails with the focal loss");
    } else if (rollback) {
        out->path = TRIAGE_ROLLBACK;
        out->page = others || (s.trained >= ALL_CRYPTOS && s.widespread == s.trained);
        (void)snprintf(out->why, sizeof(out->why),
                       "%zu of %zu cryptos fail at over 50 %%, %s at %d %%", s.widespread,
                       s.trained, s.worst_symbol, percent(s.worst));
    } else if ((numerical >= 2 && numerical * 2 > s.failed) ||
               (s.solid >= SPARSE && numerical > 0)) {
        lower_gamma(&s, now, out);
    } else {
        investigate(&s, out);
    }
}

bool triage_asks_for_change(const struct triage_verdict *v)
{
    return v->path == TRIAGE_ROLLBACK || v->path == TRIAGE_LOWER_GAMMA;
}

bool triage_applies(const struct triage_verdict *v, const struct triage_config *now)
{
    return now->focal && triage_asks_for_change(v);
}

const char *triage_path_name(enum triage_path p)
{
    static const char *const names[] = {"healthy", "rollback", "lower_gamma", "investigate",
                                        "no_data"};
    return names[p];
}
