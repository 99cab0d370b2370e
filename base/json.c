#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/text.h"

void json_put_string_n(struct buf *b, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    buf_putc(b, '"');
    for (size_t i = 0; i < n;) {
        size_t len = text_utf8_len(text + i, n - i);
        if (len == 0) {
            buf_puts(b, "\xef\xbf\xbd");
            i++;
        } else if (s[i] == '"' || s[i] == '\\') {
            char pair[2] = {'\\', (char)s[i++]};
            buf_add(b, pair, 2);
        } else if (s[i] == '\n') {
            buf_puts(b, "\\n");
            i++;
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            buf_printf(b, "\\u%04x", s[i++]);
        } else {
            buf_add(b, s + i, len);
            i += len;
        }
    }
    buf_putc(b, '"');
}

void json_put_string(struct buf *b, const char *text)
{
    json_put_string_n(b, text, strlen(text));
}

void json_put_text(struct buf *b, const char *text)
{
    if (text != NULL)
        json_put_string(b, text);
    else
        buf_puts(b, "null");
}

void json_put_double(struct buf *b, double v)
{
    char text[TEXT_DOUBLE_MAX];
    buf_puts(b, isfinite(v) ? text_from_double(v, text) : "null");
}

json_t *json_read(const char *text, size_t n, struct err *err)
{
    json_error_t at;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);
    if (j == NULL)
        (void)err_set(err, ERR_INVALID, "JSON, line %d column %d: %s", at.line, at.column, at.text);
    return j;
}

/* The length of a bare word that Python writes at text, 0 when there is none. */
static size_t python_word(const char *text, size_t n)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        size_t len = strlen(words[w]);
        if (n >= len && memcmp(text, words[w], len) == 0)
            return len;
    }
    return 0;
}

/* The length of a number; *whole: it has digits alone. */
static size_t number_length(const char *text, size_t n, bool *whole)
{
    size_t len = 0;
    *whole = true;
    for (; len < n && strchr("+-.eE0123456789", text[len]) != NULL && text[len] != '\0'; len++)
        *whole &= strchr(".eE", text[len]) == NULL;
    return len;
}

/* The length of a string with its quotes. */
static size_t string_length(const char *text, size_t n)
{
    size_t len = 1;
    while (len < n && text[len] != '"')
        len += text[len] == '\\' ? 2 : 1;
    return len < n ? len + 1 : n;
}

#define DIGITS_OF_INT64 18

json_t *json_read_python(const char *text, size_t n, struct err *err)
{
    json_t *plain = json_read(text, n, NULL);
    if (plain != NULL)
        return plain;
    AUTO(buf_free) struct buf b = BUF_INIT;
    for (size_t i = 0, len; i < n; i += len) {
        bool whole = false;
        size_t word = python_word(text + i, n - i);
        len = word > 0         ? word
              : text[i] == '"' ? string_length(text + i, n - i)
                               : number_length(text + i, n - i, &whole);
        len = len > 0 ? len : 1;
        buf_puts(&b, word > 0 ? "\"" : "");
        buf_add(&b, text + i, len);
        buf_puts(&b, word > 0 ? "\"" : whole && len > DIGITS_OF_INT64 ? ".0" : "");
    }
    if (!b.failed)
        return json_read(buf_str(&b), b.len, err);
    (void)err_set(err, ERR_NOMEM, "JSON");
    return NULL;
}

json_t *json_read_file(const char *path, struct err *err)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL) {
        (void)err_sys(err, errno, "%s", path);
        return NULL;
    }
    json_error_t at;
    json_t *j = json_loadf(f, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (j == NULL)
        (void)err_set(err, ERR_INVALID, "%s:%d:%d: %s", path, at.line, at.column, at.text);
    return j;
}
