/* Comparing the factors of a sweep: each group's results over cryptos and folds, against those of
 * the baseline on the same crypto and fold. Pure.
 *
 *   lock            significantly better (two-sided p below alpha), in at least 4 of 5 cryptos by
 *                   their median and of GATE_CRYPTOS at least, and every fold of it that counts BUY
 *                   signals has GATE_BUYS or more
 *   abandon         significantly worse; or its median is no better, and fewer than 2 of 5 cryptos
 *                   are
 *   keep_available  anything else: not shown to be either; also a factor that is the baseline to
 *                   the last digit, for it can hardly have been in effect
 *
 * Folds of one crypto follow each other in time and are not independent, so p is too small rather
 * than too large: that is why most cryptos must agree as well. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    GATE_BUYS = 50,
    GATE_PAIRS = 6,   /* fewer cannot be significant at 5 % */
    GATE_CRYPTOS = 3, /* fewer cannot agree: folds of one are no independent witnesses */
};

struct gate_result {
    char *group, *crypto; /* owned */
    int64_t fold;
    double value;
    int64_t buys; /* negative: unknown */
};

struct gate {
    struct gate_result *results; /* owned: gate_free */
    size_t n, cap;
};
void gate_free(struct gate *g);
/* Errors: ERR_NOMEM; ERR_EXISTS when the group has the crypto's fold already. */
int gate_add(struct gate *g, const char *group, const char *crypto, int64_t fold, double value,
             int64_t buys, struct err *err);

enum gate_verdict { GATE_BASELINE, GATE_LOCK, GATE_KEEP, GATE_ABANDON };
const char *gate_verdict_name(enum gate_verdict v); /* "lock" … */

struct gate_group {
    const char *name; /* the gate's */
    size_t n;
    double median, q1, q3; /* of its results */
    int64_t buys;          /* the fewest of a fold that tells; negative: none does */

    size_t pairs;      /* crypto × fold that the baseline has too */
    double difference; /* median of the paired differences; positive: larger than the baseline */
    size_t better;     /* pairs in which it is better */
    size_t cryptos, cryptos_better;
    double p; /* of Wilcoxon's signed-rank test, two-sided */
    bool exact;
    enum gate_verdict verdict;
    char why[160];
};

struct gate_rules {
    const char *baseline;
    bool less_is_better;
    double alpha;
};

/* Fills out with the groups, the baseline first, then by name; *out is the caller's to free, *n
 * their number. Errors: ERR_NOTFOUND (no result of the baseline), ERR_NOMEM. */
int gate_judge(const struct gate *g, const struct gate_rules *rules, struct gate_group **out,
               size_t *n, struct err *err);
