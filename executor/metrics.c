#include "executor/metrics.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

static bool separates(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '\r';
}

static bool token_value(const char *token, size_t n, double *out)
{
    char text[64];
    if (n == 0 || n >= sizeof(text))
        return false;
    memcpy(text, token, n);
    text[n] = '\0';
    return text_double(text, out);
}

static struct metric_line find_pair(const char *name, const char *line, size_t n)
{
    struct metric_line m = {0};
    size_t name_len = strlen(name);
    const char *end = line + n;
    for (const char *p = line; (p = memmem(p, (size_t)(end - p), name, name_len)) != NULL; p++) {
        const char *q = p + name_len;
        if (p > line && !separates(p[-1]))
            continue;
        while (q < end && *q == ' ')
            q++;
        if (q == end || *q != '=')
            continue;
        do
            q++;
        while (q < end && *q == ' ');
        const char *token = q;
        while (q < end && !separates(*q))
            q++;
        m.found = true;
        /* "1,5" is no 1 with something behind it, but somebody's 1.5 */
        bool cut = end - q > 1 && *q == ',' && isdigit((unsigned char)q[1]);
        m.bad = cut || !token_value(token, (size_t)(q - token), &m.value);
    }
    return m;
}

/* What Python's json.dumps writes for numbers that JSON has none for: {"auc": NaN}. The line is no
 * JSON then, but says clearly what it means. */
static struct metric_line find_python_json(const char *name, const char *line, size_t n)
{
    struct metric_line m = {0};
    size_t name_len = strlen(name);
    const char *end = line + n;
    for (const char *p = line; (p = memmem(p, (size_t)(end - p), name, name_len)) != NULL; p++) {
        const char *q = p + name_len;
        if (p == line || p[-1] != '"' || q == end || *q++ != '"')
            continue;
        while (q < end && (*q == ' ' || *q == ':'))
            q++;
        const char *token = q;
        while (q < end && *q != '}' && !separates(*q))
            q++;
        if (token_value(token, (size_t)(q - token), &m.value))
            m.found = true;
    }
    return m;
}

static struct metric_line find_json(const char *name, const char *line, size_t n)
{
    struct metric_line m = {0};
    AUTO_JSON json_t *j = json_read(line, n, NULL);
    const json_t *v = json_object_get(j, name);
    if (j == NULL)
        return find_python_json(name, line, n);
    if (v == NULL)
        return m;
    m.found = true;
    if (json_is_number(v))
        m.value = json_number_value(v);
    else
        m.bad = !json_is_string(v) || !text_double(json_string_value(v), &m.value);
    const json_t *step = json_object_get(j, "step");
    m.has_step = json_is_integer(step) && json_integer_value(step) >= 0;
    m.step = m.has_step ? json_integer_value(step) : 0;
    return m;
}

struct metric_line metric_line_find(const char *name, const char *line, size_t n)
{
    if (n > 0 && line[0] == '{' && memmem(line, n, name, strlen(name)) != NULL)
        return find_json(name, line, n);
    return find_pair(name, line, n);
}

/* ---- what may have been meant ---- */

static bool may_be_metric(const struct space *space, const char *name)
{
    static const char *const counters[] = {"step", "epoch", "iter",  "iteration", "round",
                                           "seed", "trial", "batch", "time",      "seconds"};
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        if (strcasecmp(name, counters[i]) == 0)
            return false;
    }
    return space_find(space, name) < 0;
}

static bool is_name_char(char c)
{
    return c != '\0' && (isalnum((unsigned char)c) || strchr("_-./@", c) != NULL);
}

static bool guess_pair(const struct space *space, const char *line, size_t n, char *out,
                       size_t size)
{
    bool found = false;
    for (const char *eq = line; (eq = memchr(eq, '=', n - (size_t)(eq - line))) != NULL; eq++) {
        char name[64];
        double value;
        const char *from = eq, *to = eq + 1;
        while (from > line && is_name_char(from[-1]))
            from--;
        while (to < line + n && to - eq < (ptrdiff_t)sizeof(name) && !separates(*to))
            to++;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(eq - from), from);
        if (!isalpha((unsigned char)*from) || (from > line && !separates(from[-1])) ||
            !token_value(eq + 1, (size_t)(to - eq - 1), &value) || !may_be_metric(space, name))
            continue;
        (void)snprintf(out, size, "%.*s", (int)(to - from), from);
        found = true;
    }
    return found;
}

static bool guess_json(const struct space *space, const char *line, size_t n, char *out,
                       size_t size)
{
    AUTO_JSON json_t *j = json_read(line, n, NULL);
    bool found = false;
    const char *name;
    json_t *value;
    json_object_foreach(j, name, value)
    {
        if (!json_is_number(value) || !may_be_metric(space, name))
            continue;
        (void)snprintf(out, size, "%s=%.6g", name, json_number_value(value));
        found = true;
    }
    return found;
}

bool metric_line_guess(const struct space *space, const char *line, size_t n, char *out,
                       size_t size)
{
    return n > 0 && line[0] == '{' ? guess_json(space, line, n, out, size)
                                   : guess_pair(space, line, n, out, size);
}
