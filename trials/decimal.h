/* Decimal arithmetic of 28 significant digits, half to even: what Python's decimal does by default.
 */
#pragma once

#include <stdbool.h>

/* m * 10^e */
struct decimal {
    __int128 m;
    int e;
};

/* The shortest text form of v, which is finite, as a decimal. */
struct decimal decimal_from(double v);
/* The nearest double. */
double decimal_to(struct decimal x);
struct decimal decimal_add(struct decimal a, struct decimal b);
/* The whole part of a / b in *quotient, and whether nothing remains in *exact; a >= 0, b > 0.
 * Returns false when the quotient has more than 20 digits. */
bool decimal_divide(struct decimal a, struct decimal b, __int128 *quotient, bool *exact);
/* k * x for k of at most 20 digits and x of at most 17. */
struct decimal decimal_times(__int128 k, struct decimal x);
