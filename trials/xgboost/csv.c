#include "trials/xgboost/csv.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int csv_init(struct csv *c, const char *name, const char *text, size_t n, struct err *err)
{
    if (n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return err_set(err, ERR_INVALID, "%s is UTF-16: save it as UTF-8", name);
    size_t mark = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    *c = (struct csv){.name = name, .at = text + mark, .end = text + n, .line = 1};
    return 0;
}

/* Whether `p` stands at a line end; *len is that of the line end, 0 at the end of the text. */
static bool at_line_end(const struct csv *c, const char *p, size_t *len)
{
    if (p == c->end) {
        *len = 0;
        return true;
    }
    if (*p == '\n') {
        *len = 1;
        return true;
    }
    if (*p == '\r' && p + 1 < c->end && p[1] == '\n') {
        *len = 2;
        return true;
    }
    return false;
}

static int quoted_cell(struct csv *c, struct csv_cell *cell, size_t column, struct err *err)
{
    size_t opened = c->line;
    const char *p = ++c->at;
    *cell = (struct csv_cell){.text = p, .quoted = true};
    for (;; p++) {
        if (p == c->end)
            return err_set(err, ERR_INVALID,
                           "%s:%zu:%zu: the quote that opens here is never closed", c->name, opened,
                           column);
        if (*p == '\n')
            c->line++;
        if (*p != '"')
            continue;
        if (p + 1 == c->end || p[1] != '"')
            break;
        cell->doubled = true;
        p++;
    }
    cell->len = (size_t)(p - cell->text);
    c->at = ++p;
    size_t len;
    if (!at_line_end(c, p, &len) && *p != ',')
        return err_set(
            err, ERR_INVALID,
            "%s:%zu:%zu: expected a comma or the end of the line after the closing quote", c->name,
            c->line, column);
    return 0;
}

static int plain_cell(struct csv *c, struct csv_cell *cell, size_t column, struct err *err)
{
    const char *p = c->at;
    while (p < c->end && *p != ',' && *p != '\n' && *p != '"')
        p++;
    if (p < c->end && *p == '"')
        return err_set(
            err, ERR_INVALID,
            "%s:%zu:%zu: a quote inside an unquoted cell: quote the whole cell and double it",
            c->name, c->line, column);
    const char *last = p;
    if (last > c->at && last[-1] == '\r' && p < c->end && *p == '\n')
        p = --last; /* the line ends in CRLF */
    *cell = (struct csv_cell){.text = c->at, .len = (size_t)(last - c->at)};
    c->at = p;
    return 0;
}

static void skip_empty_lines(struct csv *c)
{
    size_t len;
    while (c->at < c->end && at_line_end(c, c->at, &len)) {
        c->at += len;
        c->line++;
    }
}

int csv_next(struct csv *c, struct csv_cell *cells, size_t max, size_t *n, size_t *line,
             struct err *err)
{
    skip_empty_lines(c);
    *n = 0;
    *line = c->line;
    if (c->at == c->end)
        return 0;
    size_t count = 0;
    for (;;) {
        struct csv_cell beyond;
        struct csv_cell *cell = count < max ? &cells[count] : &beyond;
        count++;
        bool quoted = c->at < c->end && *c->at == '"';
        int rc = quoted ? quoted_cell(c, cell, count, err) : plain_cell(c, cell, count, err);
        if (rc < 0)
            return rc;
        size_t len;
        if (at_line_end(c, c->at, &len)) {
            c->at += len;
            c->line += len > 0;
            break;
        }
        c->at++; /* the comma */
    }
    *n = count;
    return 0;
}

const char *csv_cell_text(const struct csv_cell *cell, struct buf *scratch, size_t *len)
{
    *len = cell->len;
    if (!cell->doubled)
        return cell->text;
    buf_clear(scratch);
    for (size_t i = 0; i < cell->len; i++) {
        buf_putc(scratch, cell->text[i]);
        i += cell->text[i] == '"';
    }
    *len = scratch->len;
    return buf_str(scratch);
}

/* Powers of ten that a double holds exactly. */
static const double exact_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define EXACT_TENS 22
#define MANTISSA_MAX ((uint64_t)1 << 53)

/* The slow way, for long mantissas and large exponents: text[len] is known to be a number. */
static bool number_by_libc(const char *text, size_t len, double *out)
{
    char copy[400];
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out = strtod(copy, NULL); /* the program never calls setlocale, so this is the C locale */
    return true;
}

/* The decimal digits at *p: adds to the mantissa while it is exact, counts what was read. */
static size_t digits(const char **p, const char *end, uint64_t *mantissa, bool *exact)
{
    const char *from = *p;
    while (*p < end && (unsigned)(**p - '0') < 10) {
        if (*mantissa >= MANTISSA_MAX / 10)
            *exact = false;
        else
            *mantissa = *mantissa * 10 + (unsigned)(**p - '0');
        (*p)++;
    }
    return (size_t)(*p - from);
}

static bool exponent(const char **p, const char *end, int *out)
{
    bool negative = *p < end && **p == '-';
    if (*p < end && (**p == '-' || **p == '+'))
        (*p)++;
    const char *from = *p;
    int e = 0;
    for (; *p < end && (unsigned)(**p - '0') < 10; (*p)++)
        e = e < 10000 ? e * 10 + (**p - '0') : e;
    *out = negative ? -e : e;
    return *p > from;
}

bool csv_number(const char *text, size_t len, double *out)
{
    const char *p = text, *end = text + len;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    const char *from = p;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    uint64_t mantissa = 0;
    bool exact = true;
    size_t n = digits(&p, end, &mantissa, &exact), decimals = 0;
    if (p < end && *p == '.') {
        p++;
        decimals = digits(&p, end, &mantissa, &exact);
    }
    int power = 0;
    if (n + decimals == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (!exponent(&p, end, &power))
            return false;
    }
    if (p != end)
        return false;
    power -= decimals < 1000 ? (int)decimals : 1000;
    if (!exact || power < -EXACT_TENS || power > EXACT_TENS)
        return number_by_libc(from, (size_t)(end - from), out);
    /* both operands are exact doubles, so one operation rounds once (Clinger's fast path) */
    double v =
        power < 0 ? (double)mantissa / exact_tens[-power] : (double)mantissa * exact_tens[power];
    *out = negative ? -v : v;
    return true;
}
