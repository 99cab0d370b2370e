/* Against cleanlab itself (golden/confident.py), and what the package does not have. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "trials/objectives/confident.h"
#include "trials/objectives/select.h"

#define ROWS 300
#define CLASSES 8

struct drawn {
    double prob[ROWS * CLASSES];
    uint32_t label[ROWS];
    size_t n, k;
    int levels; /* more than 0: rows may tie */
};

static uint64_t lcg;

static unsigned below(unsigned m)
{
    lcg = lcg * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((lcg >> 33) % m);
}

/* As in confident.py. */
static void draw(struct drawn *d, unsigned noise, unsigned strength, int absent)
{
    for (size_t i = 0; i < d->n; i++) {
        unsigned k = (unsigned)d->k, weight[CLASSES], total = 0, chosen = below(k);
        unsigned label = below(100) < noise ? below(k) : chosen;
        d->label[i] = (int)label == absent ? (label + 1) % k : label;
        for (unsigned j = 0; j < k; j++) {
            weight[j] = below(d->levels > 0 ? (unsigned)d->levels : 1000000u);
            weight[j] += j == chosen ? strength : 0;
            total += weight[j];
        }
        for (unsigned j = 0; j < k; j++)
            d->prob[i * k + j] = total > 0 ? (double)weight[j] / total : 1.0 / k;
    }
}

static struct confident input_of(const struct drawn *d)
{
    return (struct confident){.prob = d->prob, .label = d->label, .n = d->n, .k = d->k};
}

static bool next_case(FILE *f, struct drawn *d)
{
    unsigned noise, strength;
    int absent;
    if (fscanf(f, " case %lu %zu %zu %u %u %d %d", &lcg, &d->n, &d->k, &noise, &strength,
               &d->levels, &absent) != 7)
        return false;
    cr_assert(d->n <= ROWS && d->k <= CLASSES);
    draw(d, noise, strength, absent);
    return true;
}

static void expect_joint(FILE *f, const struct drawn *d)
{
    struct confident c = input_of(d);
    double threshold[CLASSES];
    int64_t joint[CLASSES * CLASSES];
    cr_assert_eq(confident_joint(&c, threshold, joint, NULL), 0);
    cr_assert_eq(fscanf(f, " joint"), 0);
    for (size_t i = 0; i < d->k * d->k; i++) {
        long want;
        cr_assert_eq(fscanf(f, "%ld", &want), 1);
        cr_expect_eq(joint[i], want, "joint[%zu] of %zu rows: %ld, not %ld", i, d->n,
                     (long)joint[i], want);
    }
}

static bool bit(const char *hex, size_t i)
{
    size_t len = strlen(hex), at = i / 4;
    if (at >= len)
        return false;
    char digit[2] = {hex[len - 1 - at], 0};
    return strtoul(digit, NULL, 16) >> (i % 4) & 1;
}

/* Rows with the same label and probabilities: which of them is named is left open. */
static size_t twins(const struct drawn *d, size_t of, const bool *issue, const char *hex)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        bool named = issue != NULL ? issue[i] : bit(hex, i);
        n += named && d->label[i] == d->label[of] &&
             memcmp(d->prob + i * d->k, d->prob + of * d->k, d->k * sizeof(double)) == 0;
    }
    return n;
}

/* Whether any row was named in a case of ties among rows that differ: nothing to compare then. */
static size_t count(const struct drawn *d, const bool *issue, const char *hex)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += issue != NULL ? issue[i] : bit(hex, i);
    return n;
}

static void expect_filter(FILE *f, const struct drawn *d, enum confident_filter filter,
                          size_t *rows)
{
    struct confident c = input_of(d);
    bool issue[ROWS];
    char name[32], hex[ROWS / 4 + 2];
    cr_assert_eq(fscanf(f, "%31s %76s", name, hex), 2);
    cr_assert_str_eq(name, confident_filter_name(filter));
    cr_assert_eq(confident_find(&c, filter, issue, NULL), 0);
    *rows += count(d, issue, NULL);
    if (d->levels == 0 || filter == CONFIDENT_LEARNING) {
        for (size_t i = 0; i < d->n; i++)
            cr_expect_eq(issue[i], bit(hex, i), "%s, %zu rows, %zu classes: row %zu", name, d->n,
                         d->k, i);
    } else if (d->k == 2 && filter != CONFIDENT_BOTH) { /* equal margins are equal rows */
        for (size_t i = 0; i < d->n; i++)
            cr_expect_eq(twins(d, i, issue, NULL), twins(d, i, NULL, hex), "%s: twins of row %zu",
                         name, i);
    }
}

Test(confident, names_the_rows_that_cleanlab_names, .timeout = 60)
{
    static struct drawn d;
    FILE *f = fopen(GOLDEN_DIR "/confident.txt", "re");
    cr_assert_not_null(f);
    size_t cases = 0, rows[CONFIDENT_FILTERS] = {0};
    for (; next_case(f, &d); cases++) {
        expect_joint(f, &d);
        for (int filter = 0; filter < CONFIDENT_FILTERS; filter++)
            expect_filter(f, &d, (enum confident_filter)filter, &rows[filter]);
    }
    cr_expect_gt(cases, 1000);
    for (int filter = 0; filter < CONFIDENT_FILTERS; filter++)
        cr_expect_gt(rows[filter], 1000, "%s names almost nothing",
                     confident_filter_name((enum confident_filter)filter));
    (void)fclose(f);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Test(confident, the_smallest_are_selected_as_sorting_would)
{
    struct rng rng;
    double v[ROWS], sorted[ROWS];
    uint64_t key[ROWS];
    rng_seed(&rng, 5);
    for (int round = 0; round < 2000; round++) {
        size_t n = 1 + rng_below(&rng, ROWS), m = 1 + rng_below(&rng, n), smaller = 0;
        for (size_t i = 0; i < n; i++) {
            v[i] = round % 2 == 0 ? rng_normal(&rng) * 1e3 : (double)rng_below(&rng, 9) - 4;
            key[i] = select_key(v[i]);
        }
        memcpy(sorted, v, sizeof(v));
        qsort(sorted, n, sizeof(*sorted), compare);
        struct selection s = select_smallest(key, n, m);
        cr_assert_eq(s.below, select_key(sorted[m - 1]));
        while (smaller < m && sorted[smaller] < sorted[m - 1])
            smaller++;
        cr_assert_eq(s.equal, m - smaller);
    }
}

Test(confident, quality_is_low_where_the_label_is_improbable)
{
    const double prob[] = {0.7, 0.2, 0.1, 0.3, 0.3, 0.4};
    const uint32_t label[] = {0, 1};
    struct confident c = {.prob = prob, .label = label, .n = 2, .k = 3};
    double q[2];
    confident_scores(&c, CONFIDENT_SELF_CONFIDENCE, q);
    cr_expect(q[0] == 0.7 && q[1] == 0.3);
    confident_scores(&c, CONFIDENT_NORMALIZED_MARGIN, q);
    cr_expect_float_eq(q[0], 0.75, 1e-15);
    cr_expect_float_eq(q[1], 0.45, 1e-15);
}

/* Twenty rows of class 0, ten of class 1, all named: at most a tenth of each may go. */
Test(confident, the_cap_holds_for_each_class_and_takes_the_worst_first)
{
    double prob[60] = {0}, quality[30];
    uint32_t label[30];
    bool issue[30];
    size_t dropped[2];
    for (size_t i = 0; i < 30; i++) {
        label[i] = i % 3 == 0;
        issue[i] = true;
        quality[i] = (double)((i * 7) % 30) / 30;
    }
    struct confident c = {.prob = prob, .label = label, .n = 30, .k = 2};
    cr_assert_eq(confident_cap(&c, quality, 10, issue, dropped, NULL), 0);
    cr_expect(dropped[0] == 2 && dropped[1] == 1);
    double worst[2] = {0, 0}, best[2] = {1, 1};
    size_t kept[2] = {0};
    for (size_t i = 0; i < 30; i++) {
        double *at = issue[i] ? &worst[label[i]] : &best[label[i]];
        *at = issue[i] ? fmax(*at, quality[i]) : fmin(*at, quality[i]);
        kept[label[i]] += issue[i];
    }
    cr_expect(kept[0] == 2 && kept[1] == 1);
    cr_expect(worst[0] < best[0] && worst[1] < best[1]);
}

Test(confident, the_cap_of_nothing_drops_nothing_and_of_everything_all_that_is_named)
{
    static struct drawn d = {.n = ROWS, .k = 3};
    bool issue[ROWS], before[ROWS];
    double quality[ROWS];
    size_t dropped[3];
    lcg = 3;
    draw(&d, 30, 1000000, -1);
    struct confident c = input_of(&d);
    cr_assert_eq(confident_find(&c, CONFIDENT_PRUNE_BY_NOISE_RATE, issue, NULL), 0);
    memcpy(before, issue, sizeof(issue));
    confident_scores(&c, CONFIDENT_NORMALIZED_MARGIN, quality);
    cr_assert_gt(count(&d, issue, NULL), 10);
    cr_assert_eq(confident_cap(&c, quality, 100, issue, dropped, NULL), 0);
    cr_expect_arr_eq(issue, before, sizeof(issue));
    cr_assert_eq(confident_cap(&c, quality, 0, issue, dropped, NULL), 0);
    cr_expect(count(&d, issue, NULL) == 0 && dropped[0] + dropped[1] + dropped[2] == 0);
}

Test(confident, what_is_no_probability_or_class_is_refused_with_its_row)
{
    double prob[] = {0.5, 0.5, NAN, 0.5};
    uint32_t label[] = {0, 1};
    bool issue[2];
    struct err err = {0};
    struct confident c = {.prob = prob, .label = label, .n = 2, .k = 2};
    cr_assert_eq(confident_find(&c, CONFIDENT_BOTH, issue, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "row 2: the probability of class 0 is nan: expected 0 to 1");
    prob[2] = 0.5;
    label[0] = 2;
    cr_assert_eq(confident_find(&c, CONFIDENT_BOTH, issue, &err), -ERR_INVALID);
    cr_expect_str_eq(err.msg, "row 1 has the label 2 of 2 classes");
}
