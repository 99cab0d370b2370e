#include "trials/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

static const __int128 ten14 = 100000000000000;
static const __int128 ten28 = ten14 * ten14;
static const __int128 ten37 = ten14 * ten14 * 1000000000;

static __int128 magnitude(__int128 m)
{
    return m < 0 ? -m : m;
}

static struct decimal rounded(struct decimal x)
{
    __int128 unit = 1;
    for (; magnitude(x.m) / unit >= ten28; unit *= 10)
        x.e++;
    __int128 whole = x.m / unit, rest = 2 * magnitude(x.m % unit);
    if (rest > unit || (rest == unit && whole % 2 != 0))
        whole += x.m < 0 ? -1 : 1;
    x.m = whole;
    return x;
}

struct decimal decimal_from(double v)
{
    char text[TEXT_DOUBLE_MAX];
    struct decimal x = {0};
    const char *p = text_from_double(v, text);
    bool negative = *p == '-';
    bool fraction = false;
    for (p += negative; *p != '\0' && *p != 'e'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        x.m = x.m * 10 + (*p - '0');
        x.e -= fraction;
    }
    if (*p == 'e')
        x.e += atoi(p + 1);
    for (; x.m != 0 && x.m % 10 == 0; x.m /= 10)
        x.e++;
    if (negative)
        x.m = -x.m;
    return x;
}

double decimal_to(struct decimal x)
{
    char text[64];
    __int128 m = magnitude(x.m);
    (void)snprintf(text, sizeof(text), "%s%" PRId64 "%014" PRId64 "e%d", x.m < 0 ? "-" : "",
                   (int64_t)(m / ten14), (int64_t)(m % ten14), x.e);
    return strtod(text, NULL);
}

struct decimal decimal_add(struct decimal a, struct decimal b)
{
    if (a.m == 0 || b.m == 0)
        return rounded(a.m == 0 ? b : a);
    if (a.e < b.e) {
        struct decimal swap = a;
        a = b;
        b = swap;
    }
    for (; a.e > b.e && magnitude(a.m) < ten37; a.e--)
        a.m *= 10;
    for (; b.e < a.e && b.m != 0; b.e++) /* digits far below the 28 that are kept */
        b.m /= 10;
    a.m += b.m;
    return rounded(a);
}

bool decimal_divide(struct decimal a, struct decimal b, __int128 *quotient, bool *exact)
{
    for (; b.e > a.e && b.m < ten37; b.e--)
        b.m *= 10;
    if (b.e > a.e) {
        *quotient = 0;
        *exact = a.m == 0;
        return true;
    }
    /* long division, a digit of the exponents' difference at a time */
    __int128 q = a.m / b.m, rest = a.m % b.m;
    for (; a.e > b.e && (q != 0 || rest != 0); a.e--) {
        rest *= 10;
        q = q * 10 + rest / b.m;
        rest %= b.m;
        if (q / 1000000 >= ten14)
            return false;
    }
    *quotient = q;
    *exact = rest == 0;
    return q / 1000000 < ten14;
}

struct decimal decimal_times(__int128 k, struct decimal x)
{
    x.m *= k;
    return rounded(x);
}
