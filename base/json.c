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

void json_put_double(struct buf *b, double v)
{
    char text[TEXT_DOUBLE_MAX];
    buf_puts(b, isfinite(v) ? text_from_double(v, text) : "null");
}

json_t *json_read(const char *text, size_t n, struct err *err)
{
    json_error_t at;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (j == NULL)
        (void)err_set(err, ERR_INVALID, "JSON, line %d column %d: %s", at.line, at.column, at.text);
    return j;
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
