#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "trials/dist_json.h"
#include "trials/space.h"

static void put_real_json(struct buf *b, double v)
{
    char text[TEXT_DOUBLE_MAX];
    if (isnan(v))
        buf_puts(b, "NaN");
    else if (isinf(v))
        buf_puts(b, v > 0 ? "Infinity" : "-Infinity");
    else
        buf_puts(b, text_from_double(v, text));
}

/* The code point at *p, which moves on; a byte that is not UTF-8 gives U+FFFD. */
static uint32_t next_code_point(const unsigned char **p)
{
    const unsigned char *s = *p;
    int more = s[0] < 0x80   ? 0
               : s[0] < 0xc2 ? -1
               : s[0] < 0xe0 ? 1
               : s[0] < 0xf0 ? 2
               : s[0] < 0xf5 ? 3
                             : -1;
    uint32_t cp = more <= 0 ? s[0] : s[0] & (0x3fu >> more);
    *p = s + 1;
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0xfffd;
        cp = cp << 6 | (s[i] & 0x3fu);
    }
    if (more < 0)
        return 0xfffd;
    *p = s + 1 + more;
    return cp;
}

void put_python_string(struct buf *b, const char *text)
{
    static const char named[] = "\"\\\n\r\t\b\f";
    static const char names[] = "\"\\nrtbf";
    const unsigned char *p = (const unsigned char *)text;
    buf_putc(b, '"');
    while (*p != '\0') {
        uint32_t cp = next_code_point(&p);
        const char *name = cp < 0x80 ? strchr(named, (int)cp) : NULL;
        if (name != NULL)
            buf_printf(b, "\\%c", names[name - named]);
        else if (cp >= 0x20 && cp < 0x7f)
            buf_putc(b, (char)cp);
        else if (cp < 0x10000)
            buf_printf(b, "\\u%04" PRIx32, cp);
        else
            buf_printf(b, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd7c0 + (cp >> 10),
                       0xdc00 + (cp & 0x3ff));
    }
    buf_putc(b, '"');
}

void put_python_value(struct buf *b, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        buf_puts(b, "null");
        break;
    case VALUE_BOOL:
        buf_puts(b, v->b ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(b, "%" PRId64, v->i);
        break;
    case VALUE_REAL:
        put_real_json(b, v->d);
        break;
    case VALUE_TEXT:
        put_python_string(b, v->s);
        break;
    }
}

/* What the internal representation stands for; text is borrowed from d. */
struct value dist_value(const struct dist *d, double internal)
{
    if (d->kind == DIST_CHOICE)
        return d->choices[(size_t)internal];
    if (d->kind == DIST_INT)
        return (struct value){.kind = VALUE_INT, .i = (int64_t)internal};
    return (struct value){.kind = VALUE_REAL, .d = internal};
}

/* The choice as it stands in the JSON, if it is a list of choices that the value is an index of;
 * else the number. */
static void put_opaque(struct buf *b, const struct dist *d, double internal)
{
    AUTO_JSON json_t *j = json_read_python(d->choices[0].s, strlen(d->choices[0].s), NULL);
    json_t *choices = json_object_get(json_object_get(j, "attributes"), "choices");
    bool is_index = internal >= 0 && internal < (double)json_array_size(choices);
    AUTO_FREE char *text =
        is_index ? json_dumps(json_array_get(choices, (size_t)internal), JSON_ENCODE_ANY) : NULL;
    if (text != NULL)
        buf_puts(b, text);
    else if (internal == trunc(internal) && fabs(internal) < 0x1p63)
        buf_printf(b, "%.0f", internal);
    else
        put_real_json(b, internal);
}

void dist_put_value_json(struct buf *b, const struct dist *d, double internal)
{
    if (d->kind == DIST_OPAQUE) {
        put_opaque(b, d, internal);
        return;
    }
    struct value v = dist_value(d, internal);
    put_python_value(b, &v);
}

void dist_put_value_text(struct buf *b, const struct dist *d, double internal)
{
    if (d->kind == DIST_OPAQUE) {
        put_opaque(b, d, internal);
        return;
    }
    char text[TEXT_DOUBLE_MAX];
    struct value v = dist_value(d, internal);
    if (v.kind == VALUE_TEXT)
        buf_puts(b, v.s);
    else if (v.kind == VALUE_REAL)
        buf_puts(b, text_from_double(v.d, text));
    else
        put_python_value(b, &v);
}

int value_from_json(struct value *out, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_NULL:
        *out = (struct value){.kind = VALUE_NULL};
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = (struct value){.kind = VALUE_BOOL, .b = json_is_true(j)};
        return 0;
    case JSON_INTEGER:
        *out = (struct value){.kind = VALUE_INT, .i = json_integer_value(j)};
        return 0;
    case JSON_REAL:
        *out = (struct value){.kind = VALUE_REAL, .d = json_real_value(j)};
        return 0;
    case JSON_STRING:
        /* jansson's strings are its own; the value is only looked at */
        *out = (struct value){.kind = VALUE_TEXT, .s = (char *)(uintptr_t)json_string_value(j)};
        return 0;
    default:
        return -ERR_INVALID;
    }
}

static bool find_choice(const struct dist *d, const struct value *v, double *internal)
{
    for (size_t i = 0; i < d->n_choices; i++) {
        if (value_equal(&d->choices[i], v)) {
            *internal = (double)i;
            return true;
        }
    }
    return false;
}

static int internal_choice(const struct dist *d, const struct value *v, double *internal,
                           struct err *err)
{
    struct value real = {.kind = VALUE_REAL};
    if (find_choice(d, v, internal))
        return 0;
    /* NaN and the infinities travel as strings where JSON has no word for them */
    if (v->kind == VALUE_TEXT && text_double(v->s, &real.d) && !isfinite(real.d) &&
        find_choice(d, &real, internal))
        return 0;
    AUTO(buf_free) struct buf text = BUF_INIT;
    put_python_value(&text, v);
    buf_puts(&text, " is none of the choices");
    for (size_t i = 0; i < d->n_choices && i < 20; i++) {
        buf_puts(&text, i == 0 ? " " : ", ");
        put_python_value(&text, &d->choices[i]);
    }
    return err_set(err, ERR_INVALID, "%s%s", buf_str(&text), d->n_choices > 20 ? ", …" : "");
}

int dist_internal(const struct dist *d, const json_t *external, double *internal, struct err *err)
{
    struct value v;
    if (value_from_json(&v, external) < 0)
        return err_set(err, ERR_INVALID, "a list or an object cannot be a parameter's value");
    if (d->kind == DIST_CHOICE)
        return internal_choice(d, &v, internal, err);
    AUTO(buf_free) struct buf text = BUF_INIT;
    put_python_value(&text, &v);
    double number = v.kind == VALUE_INT ? (double)v.i : v.kind == VALUE_REAL ? v.d : NAN;
    if (isnan(number))
        return err_set(err, ERR_INVALID, "%s is not a number", buf_str(&text));
    if (d->kind == DIST_INT && number != trunc(number))
        return err_set(err, ERR_INVALID, "%s is not a whole number", buf_str(&text));
    if (d->kind == DIST_INT && fabs(number) >= 0x1p63)
        return err_set(err, ERR_INVALID, "%s does not fit into 64 bits", buf_str(&text));
    if (d->log && number <= 0)
        return err_set(err, ERR_INVALID, "%s is not above 0, as a log scale needs", buf_str(&text));
    *internal = number;
    return 0;
}
