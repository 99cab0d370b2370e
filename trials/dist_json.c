#include "trials/dist_json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum key {
    KEY_LOW = 1,
    KEY_HIGH = 2,
    KEY_STEP = 4,
    KEY_LOG = 8,
    KEY_Q = 16,
    KEY_CHOICES = 32,
};

/* The classes Optuna reads; those that fix `log` have no such attribute. */
static const struct class
{
    const char *name;
    enum dist_kind kind;
    bool log;
    unsigned keys;
    unsigned required;
} classes[] = {
    /* clang-format off */
    {"FloatDistribution",           DIST_FLOAT,  false, KEY_LOW | KEY_HIGH | KEY_STEP | KEY_LOG, KEY_LOW | KEY_HIGH},
    {"IntDistribution",             DIST_INT,    false, KEY_LOW | KEY_HIGH | KEY_STEP | KEY_LOG, KEY_LOW | KEY_HIGH},
    {"CategoricalDistribution",     DIST_CHOICE, false, KEY_CHOICES,                             KEY_CHOICES},
    {"UniformDistribution",         DIST_FLOAT,  false, KEY_LOW | KEY_HIGH,                      KEY_LOW | KEY_HIGH},
    {"LogUniformDistribution",      DIST_FLOAT,  true,  KEY_LOW | KEY_HIGH,                      KEY_LOW | KEY_HIGH},
    {"DiscreteUniformDistribution", DIST_FLOAT,  false, KEY_LOW | KEY_HIGH | KEY_Q,              KEY_LOW | KEY_HIGH | KEY_Q},
    {"IntUniformDistribution",      DIST_INT,    false, KEY_LOW | KEY_HIGH | KEY_STEP,           KEY_LOW | KEY_HIGH},
    {"IntLogUniformDistribution",   DIST_INT,    true,  KEY_LOW | KEY_HIGH | KEY_STEP,           KEY_LOW | KEY_HIGH},
    /* clang-format on */
};

/* The abbreviated form {"type": …, "low": …}: these names, the first three classes' keys. */
static const char *const types[] = {"float", "int", "categorical"};

void dist_put_json(struct buf *b, const struct dist *d)
{
    char low[TEXT_DOUBLE_MAX], high[TEXT_DOUBLE_MAX], step[TEXT_DOUBLE_MAX];
    const char *log = d->log ? "true" : "false";
    switch (d->kind) {
    case DIST_FLOAT:
        buf_printf(b,
                   "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": %s, \"low\": %s, "
                   "\"high\": %s, \"log\": %s}}",
                   d->step > 0 ? text_from_double(d->step, step) : "null",
                   text_from_double(d->low, low), text_from_double(d->high, high), log);
        break;
    case DIST_INT:
        buf_printf(b,
                   "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": %s, \"step\": %.0f, "
                   "\"low\": %.0f, \"high\": %.0f}}",
                   log, d->step, d->low, d->high);
        break;
    case DIST_CHOICE:
        buf_puts(b, "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [");
        for (size_t i = 0; i < d->n_choices; i++) {
            if (i > 0)
                buf_puts(b, ", ");
            put_python_value(b, &d->choices[i]);
        }
        buf_puts(b, "]}}");
        break;
    case DIST_OPAQUE:
        buf_puts(b, d->choices[0].s);
        break;
    }
}

static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

/* Python writes NaN and Infinity as bare words, which JSON does not have. Each becomes the list
 * [["NaN"]], which no scalar can be, so that a string "NaN" remains a string. */
static void quote_words(struct buf *out, const char *text, size_t n)
{
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        const char *word = NULL;
        for (size_t w = 0; !in_string && w < ARRAY_LEN(words) && word == NULL; w++) {
            size_t len = strlen(words[w]);
            if (n - i >= len && memcmp(text + i, words[w], len) == 0)
                word = words[w];
        }
        if (word != NULL) {
            buf_printf(out, "[[\"%s\"]]", word);
            i += strlen(word) - 1;
            continue;
        }
        buf_putc(out, text[i]);
        if (in_string && text[i] == '\\' && i + 1 < n)
            buf_putc(out, text[++i]);
        else if (text[i] == '"')
            in_string = !in_string;
    }
}

/* Whether quote_words put a word away here; *out is its value. */
static bool quoted_word(const json_t *j, double *out)
{
    const json_t *list = json_array_get(json_array_get(j, 0), 0); /* NULL when j is no such list */
    const char *text = json_string_value(list);
    for (size_t w = 0; text != NULL && w < ARRAY_LEN(words); w++) {
        if (strcmp(text, words[w]) == 0)
            return text_double(text, out);
    }
    return false;
}

static int read_choice(struct value *out, const json_t *j, size_t i, struct err *err)
{
    struct value v = {.kind = VALUE_REAL};
    if (!quoted_word(j, &v.d) && value_from_json(&v, j) < 0)
        return err_set(err, ERR_INVALID, "choice %zu is a list or an object", i);
    if (v.kind == VALUE_TEXT && (v.s = strdup(v.s)) == NULL)
        return err_set(err, ERR_NOMEM, "choice %zu", i);
    *out = v;
    return 0;
}

static int read_choices(struct dist *d, const json_t *j, struct err *err)
{
    if (!json_is_array(j) || json_array_size(j) == 0)
        return err_set(err, ERR_INVALID, "choices must be a list with at least one option");
    d->choices = calloc(json_array_size(j), sizeof(*d->choices));
    if (d->choices == NULL)
        return err_set(err, ERR_NOMEM, "%zu choices", json_array_size(j));
    for (size_t i = 0; i < json_array_size(j); i++) {
        int rc = read_choice(&d->choices[i], json_array_get(j, i), i, err);
        if (rc < 0)
            return rc;
        d->n_choices++;
    }
    return 0;
}

static int read_number(double *out, enum dist_kind kind, const char *key, const json_t *j,
                       struct err *err)
{
    if (!json_is_number(j))
        return err_set(err, ERR_INVALID, "%s must be a number", key);
    *out = kind == DIST_INT ? trunc(json_number_value(j)) : json_number_value(j);
    return 0;
}

static unsigned key_of(const char *key)
{
    static const char *const names[] = {"low", "high", "step", "log", "q", "choices"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(key, names[i]) == 0)
            return 1u << i;
    }
    return 0;
}

static int read_attribute(struct dist *d, unsigned which, const char *key, const json_t *j,
                          struct err *err)
{
    int rc = 0;
    switch (which) {
    case KEY_LOW:
        return read_number(&d->low, d->kind, key, j, err);
    case KEY_HIGH:
        return read_number(&d->high, d->kind, key, j, err);
    case KEY_STEP:
    case KEY_Q:
        if (json_is_null(j) && which == KEY_STEP)
            return 0;
        rc = read_number(&d->step, d->kind, key, j, err);
        if (rc == 0 && d->step <= 0)
            return err_set(err, ERR_INVALID, "%s must be above 0", key);
        return rc;
    case KEY_LOG:
        if (!json_is_boolean(j))
            return err_set(err, ERR_INVALID, "log must be true or false");
        d->log = json_is_true(j);
        return 0;
    default:
        return read_choices(d, j, err);
    }
}

static int read_attributes(struct dist *d, const struct class *c, json_t *attributes, bool strict,
                           struct err *err)
{
    const char *key;
    json_t *j;
    unsigned seen = 0;
    d->kind = c->kind;
    d->log = c->log;
    d->step = c->kind == DIST_INT ? 1 : 0;
    json_object_foreach(attributes, key, j)
    {
        unsigned which = key_of(key) & c->keys;
        if (which == 0 && strict)
            return err_set(err, ERR_INVALID, "%s has no attribute \"%s\"", c->name, key);
        int rc = which != 0 ? read_attribute(d, which, key, j, err) : 0;
        if (rc < 0)
            return rc;
        seen |= which;
    }
    if ((seen & c->required) != c->required)
        return err_set(err, ERR_INVALID, "%s needs %s", c->name,
                       c->kind == DIST_CHOICE ? "choices"
                       : c->keys & KEY_Q      ? "low, high and q"
                                              : "low and high");
    return dist_check(d, err);
}

static int read_object(struct dist *d, json_t *j, struct err *err)
{
    json_t *attributes = json_object_get(j, "attributes");
    const char *name = json_string_value(json_object_get(j, "name"));
    const char *type = json_string_value(json_object_get(j, "type"));
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(classes); i++) {
        if (strcmp(name, classes[i].name) != 0)
            continue;
        if (!json_is_object(attributes))
            return err_set(err, ERR_INVALID, "%s has no attributes", name);
        return read_attributes(d, &classes[i], attributes, true, err);
    }
    if (name != NULL)
        return err_set(err, ERR_INVALID, "unknown distribution class \"%.100s\"", name);
    for (size_t i = 0; type != NULL && i < ARRAY_LEN(types); i++) {
        if (strcmp(type, types[i]) == 0)
            return read_attributes(d, &classes[i], j, false, err);
    }
    if (type != NULL)
        return err_set(err, ERR_INVALID,
                       "unknown distribution type \"%.100s\"; expected float, int or categorical",
                       type);
    return err_set(err, ERR_INVALID, "a distribution is an object with \"name\" or \"type\"");
}

int dist_read_json(struct dist *out, const char *text, size_t n, struct err *err)
{
    AUTO(buf_free) struct buf quoted = BUF_INIT;
    quote_words(&quoted, text, n);
    if (quoted.failed)
        return err_set(err, ERR_NOMEM, "distribution of %zu bytes", n);
    AUTO_JSON json_t *j = json_read(buf_str(&quoted), quoted.len, err);
    if (j == NULL)
        return -ERR_INVALID;
    struct dist d = {0};
    int rc = read_object(&d, j, err);
    if (rc < 0) {
        dist_free(&d);
        return rc;
    }
    *out = d;
    return 0;
}

static int make_opaque(struct dist *out, const char *text, size_t n, struct err *err)
{
    struct dist d = {.kind = DIST_OPAQUE, .choices = calloc(1, sizeof(*d.choices)), .n_choices = 1};
    char *copy = strndup(text, n);
    if (d.choices == NULL || copy == NULL) {
        free(d.choices);
        free(copy);
        return err_set(err, ERR_NOMEM, "distribution of %zu bytes", n);
    }
    d.choices[0] = (struct value){.kind = VALUE_TEXT, .s = copy};
    *out = d;
    return 0;
}

int dist_read_stored(struct dist *out, const char *text, size_t n, struct err *err)
{
    int rc = dist_read_json(out, text, n, err);
    return rc == -ERR_INVALID && json_check(text, n) ? make_opaque(out, text, n, err) : rc;
}
