/* A JSON validator that allocates nothing: what goes into a database that Python reads must parse
 * there. */
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

enum { DEPTH_MAX = 512 };

struct scan {
    const char *at, *end;
    int depth;
};

static bool value(struct scan *s);

static void spaces(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool word(struct scan *s, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, w, n) != 0)
        return false;
    s->at += n;
    return true;
}

static bool digits(struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && isdigit((unsigned char)*s->at))
        s->at++;
    return s->at > from;
}

static bool number(struct scan *s)
{
    if (take(s, '-') && word(s, "Infinity"))
        return true;
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        return digits(s);
    }
    return true;
}

static bool escape(struct scan *s)
{
    if (s->at == s->end)
        return false;
    char c = *s->at++;
    if (c != 'u')
        return strchr("\"\\/bfnrt", c) != NULL && c != '\0';
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at == s->end || !isxdigit((unsigned char)*s->at))
            return false;
    }
    return true;
}

static bool string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    while (s->at < s->end && *s->at != '"') {
        size_t len = text_utf8_len(s->at, (size_t)(s->end - s->at));
        if (len == 0 || (unsigned char)*s->at < 0x20)
            return false;
        bool escaped = *s->at == '\\';
        s->at += len;
        if (escaped && !escape(s))
            return false;
    }
    return take(s, '"');
}

/* The members of a list or object after its opening bracket. */
static bool members(struct scan *s, char close, bool keys)
{
    spaces(s);
    if (take(s, close))
        return true;
    do {
        spaces(s);
        if (keys) {
            if (!string(s))
                return false;
            spaces(s);
            if (!take(s, ':'))
                return false;
        }
        if (!value(s))
            return false;
    } while (take(s, ','));
    return take(s, close);
}

static bool value(struct scan *s)
{
    bool ok = false;
    if (++s->depth > DEPTH_MAX)
        return false;
    spaces(s);
    if (take(s, '{'))
        ok = members(s, '}', true);
    else if (take(s, '['))
        ok = members(s, ']', false);
    else if (s->at < s->end && *s->at == '"')
        ok = string(s);
    else
        ok = word(s, "null") || word(s, "true") || word(s, "false") || word(s, "NaN") ||
             word(s, "Infinity") || number(s);
    spaces(s);
    s->depth--;
    return ok;
}

bool json_check(const char *text, size_t n)
{
    struct scan s = {.at = text, .end = text + n};
    return value(&s) && s.at == s.end;
}
