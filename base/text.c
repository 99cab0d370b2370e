#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool text_double(const char *s, double *out)
{
    /* strtod would also take leading space and hexadecimal; a spec should not */
    const char *p = s + (*s == '+' || *s == '-');
    if (*s == '\0' || isspace((unsigned char)*s) || (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')))
        return false;
    if (!isdigit((unsigned char)*p) && *p != '.' && strcasecmp(p, "inf") != 0 &&
        strcasecmp(p, "infinity") != 0 && strcasecmp(p, "nan") != 0)
        return false;
    char *end;
    double v = strtod(s, &end); /* the programs never call setlocale, so this is the C locale */
    if (end == s || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool text_int(const char *s, int64_t *out)
{
    const char *p = s + (*s == '+' || *s == '-');
    if (!isdigit((unsigned char)*p))
        return false;
    errno = 0;
    char *end;
    long long v = strtoll(s, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

struct unit {
    const char *name;
    double factor;
};

static bool scaled(const char *s, const struct unit *units, size_t n, uint64_t *out)
{
    char number[64];
    size_t len = strspn(s, "0123456789.");
    if (len == 0 || len >= sizeof(number))
        return false;
    memcpy(number, s, len);
    number[len] = '\0';
    double v;
    if (!text_double(number, &v))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(s + len, units[i].name) == 0) {
            v = v * units[i].factor;
            if (!(v < 9e18))
                return false;
            *out = (uint64_t)(v + 0.5);
            return true;
        }
    }
    return false;
}

bool text_duration_ms(const char *s, uint64_t *out)
{
    static const struct unit units[] = {
        {"", 1e3}, {"s", 1e3}, {"ms", 1}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3},
    };
    return scaled(s, units, sizeof(units) / sizeof(units[0]), out);
}

bool text_size_bytes(const char *s, uint64_t *out)
{
    static const struct unit units[] = {
        {"", 1},        {"b", 1},        {"k", 0x1p10},   {"ki", 0x1p10},  {"kib", 0x1p10},
        {"kb", 1e3},    {"m", 0x1p20},   {"mi", 0x1p20},  {"mib", 0x1p20}, {"mb", 1e6},
        {"g", 0x1p30},  {"gi", 0x1p30},  {"gib", 0x1p30}, {"gb", 1e9},     {"t", 0x1p40},
        {"ti", 0x1p40}, {"tib", 0x1p40}, {"tb", 1e12},
    };
    return scaled(s, units, sizeof(units) / sizeof(units[0]), out);
}

/* v as [-]d[.ddd]e±xx with as few digits as read back as v. What has up to 15 significant digits is
 * found by rounding to 15, since doubles are denser than those; below the normal numbers they are
 * not, and each count is tried. */
static void shortest(double v, char sci[static 32])
{
    bool normal = fabs(v) >= DBL_MIN;
    for (int precision = normal ? DBL_DIG - 1 : 0; precision < 17; precision++) {
        (void)snprintf(sci, 32, "%.*e", precision, v);
        if (strtod(sci, NULL) == v)
            break;
    }
}

char *text_from_double(double v, char out[static TEXT_DOUBLE_MAX])
{
    if (isnan(v))
        return strcpy(out, "nan");
    if (isinf(v))
        return strcpy(out, v > 0 ? "inf" : "-inf");
    char sci[32], digits[20];
    int n = 0;
    shortest(v, sci);
    const char *e = strchr(sci, 'e');
    int exponent = atoi(e + 1);
    for (const char *c = sci; c < e; c++) {
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    /* Python writes positional digits for -4 <= exponent < 16 */
    char *o = out;
    if (sci[0] == '-')
        *o++ = '-';
    if (exponent < -4 || exponent >= 16) {
        o += sprintf(o, n > 1 ? "%c.%.*s" : "%c", digits[0], n - 1, digits + 1);
        (void)sprintf(o, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent) % 1000);
        return out;
    }
    int whole = exponent + 1; /* digits before the point; up to 0: zeros follow it */
    if (whole <= 0)
        *o++ = '0';
    for (int i = 0; i < whole; i++)
        *o++ = (char)(i < n ? digits[i] : '0');
    *o++ = '.';
    for (int i = whole; i < 0; i++)
        *o++ = '0';
    for (int i = whole > 0 ? whole : 0; i < n; i++)
        *o++ = digits[i];
    if (o[-1] == '.')
        *o++ = '0';
    *o = '\0';
    return out;
}

#define NEAREST_MAX 48

static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    size_t row[NEAREST_MAX + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t up = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[n];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t len = strlen(word);
    if (len > NEAREST_MAX)
        return NULL;
    size_t limit = len < 4 ? 1 : len < 8 ? 2 : 3;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        if (strlen(candidates[i]) > NEAREST_MAX)
            continue;
        size_t d = distance(word, candidates[i]);
        if (d <= limit) {
            limit = d - (d > 0);
            nearest = candidates[i];
            if (d == 0)
                break;
        }
    }
    return nearest;
}

char *text_human_ms(uint64_t ms, char out[static 32])
{
    uint64_t s = (ms + 500) / 1000;
    if (ms < 1000)
        (void)snprintf(out, 32, "%" PRIu64 " ms", ms);
    else if (ms < 9950)
        (void)snprintf(out, 32, "%.1f s", (double)ms / 1000);
    else if (s < 60)
        (void)snprintf(out, 32, "%" PRIu64 " s", s);
    else if (s < 3600)
        (void)snprintf(out, 32, "%" PRIu64 "m %02" PRIu64 "s", s / 60, s % 60);
    else
        (void)snprintf(out, 32, "%" PRIu64 "h %02" PRIu64 "m", s / 3600, s / 60 % 60);
    return out;
}

size_t text_utf8_len(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    size_t len = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;
    if (len == 0 || len > n)
        return 0;
    if (len == 1)
        return 1;
    unsigned cp = s[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (s[i] & 0x3fu);
    }
    if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    return len;
}

char *text_clean(char *text)
{
    char *out = text;
    size_t left = strlen(text);
    for (const char *p = text; left > 0;) {
        unsigned char c = (unsigned char)p[0];
        size_t n = text_utf8_len(p, left);
        bool c1 = n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
        bool bad = n == 0 || c < 0x20 || c == 0x7f || c1;
        if (n == 0)
            n = 1;
        if (bad) {
            *out++ = c == '\n' || c == '\t' ? ' ' : '?';
        } else {
            memmove(out, p, n);
            out += n;
        }
        p += n;
        left -= n;
    }
    *out = '\0';
    return text;
}

/* Writes *** over what stands behind each `password=`, in place. */
static void mask_query(char *url)
{
    static const char key[] = "password=";
    for (char *p = strchr(url, '?'); p != NULL && (p = strstr(p, key)) != NULL;) {
        p += strlen(key);
        size_t n = strcspn(p, "&#");
        memset(p, '*', n < 3 ? n : 3);
        if (n > 3)
            memmove(p + 3, p + n, strlen(p + n) + 1);
    }
}

char *text_mask_url(const char *url, char *out, size_t size)
{
    const char *user = strstr(url, "://");
    user = user == NULL ? NULL : user + 3;
    if (user != NULL && *user == '/') /* it names no host */
        user = NULL;
    /* a password with a slash or a question mark is a mistake, whose message must not show it */
    const char *at = user == NULL ? NULL : memrchr(user, '@', strcspn(user, "?"));
    if (user != NULL && at == NULL)
        at = strrchr(user, '@');
    const char *colon = at == NULL ? NULL : memchr(user, ':', (size_t)(at - user));
    if (colon == NULL)
        (void)snprintf(out, size, "%s", url);
    else
        (void)snprintf(out, size, "%.*s***%s", (int)(colon + 1 - url), url, at);
    mask_query(out);
    return out;
}
