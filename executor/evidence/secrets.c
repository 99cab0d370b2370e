#include "executor/evidence/secrets.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define MASK "***"

static bool has(const char *name, size_t n, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++) {
        if (strncasecmp(name + i, word, len) == 0)
            return true;
    }
    return false;
}

static bool ends(const char *name, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n >= len && strncasecmp(name + n - len, word, len) == 0;
}

/* Rather one too many than one too few: a masked value loses nothing that a dump is read for. */
bool secret_variable(const char *name)
{
    static const char *const words[] = {"TOKEN",  "SECRET", "PASS",   "KEY",     "CRED",
                                        "AUTH",   "DSN",    "COOKIE", "PRIVATE", "SIGNATURE",
                                        "BEARER", "JWT",    "CONN",   "SESSION", "CERT"};
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (has(name, n, words[i]))
            return true;
    }
    return ends(name, n, "PWD") && strcmp(name, "PWD") != 0 && strcmp(name, "OLDPWD") != 0;
}

/* Without the number of a name: password1, api_token_v2. */
static size_t without_number(const char *name, size_t n)
{
    size_t all = n;
    while (n > 0 && isdigit((unsigned char)name[n - 1]))
        n--;
    if (n < all && n >= 2 && strncasecmp(name + n - 2, "_v", 2) == 0)
        n -= 2;
    return n;
}

static bool is_word(const char *name, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(name, word, n) == 0;
}

/* In running text a name must end so: "KeyError: 'loss'" is no secret. */
static bool secret_word(const char *name, size_t n)
{
    static const char *const tails[] = {
        "token",         "secret",  "password",   "passwd",      "passphrase", "key",
        "pwd",           "cookie",  "credential", "credentials", "dsn",        "authorization",
        "auth",          "apikey",  "jwt",        "private_key", "signature",  "sas",
        "access_key_id", "secrets", "_pass",      "-pass",       "passwords"};
    n = without_number(name, n);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        if (ends(name, n, tails[i]))
            return true;
    }
    return is_word(name, n, "pass") || is_word(name, n, "sig");
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool ends_value(char c)
{
    return c == '\0' || isspace((unsigned char)c) || strchr("&;,\"'<>()[]{}", c) != NULL;
}

/* How far a value reaches that may stand in quotes. */
static size_t value_length(const char *p, char quote)
{
    size_t n = 0;
    if (quote == '\0') {
        while (!ends_value(p[n]))
            n++;
        return n;
    }
    while (p[n] != '\0' && p[n] != quote)
        n += p[n] == '\\' && p[n + 1] != '\0' ? 2 : 1;
    return n;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* What follows the scheme of an Authorization header: parameters, as Digest has them, or a word. */
static size_t credentials_length(const char *p)
{
    size_t word = value_length(p, '\0');
    return word > 0 && p[word - 1] == '=' && is_quote(p[word]) ? strcspn(p, "\r\n") : word;
}

/* After a secret's name: `=`, `: `, `=>`, with quotes and spaces as in JSON (in a string of JSON,
 * too), YAML and Python. Copies that, masks the value, and returns what lies behind; p when no
 * value follows. */
static const char *mask_value(struct buf *out, const char *p, bool option, bool header)
{
    const char *at = p;
    while (is_quote(*at) || isblank((unsigned char)*at) || *at == '\\')
        at++;
    bool spaced = option && at > p && *at != '=' && *at != ':';
    if (!spaced && *at != '=' && *at != ':')
        return p;
    at += !spaced;
    at += !spaced && *at == '>';
    while (isblank((unsigned char)*at) || *at == '\\')
        at++;
    if (*at != '\0' && strchr("bBuUrR", *at) != NULL && is_quote(at[1])) /* Python's */
        at++;
    char quote = '\0';
    if (is_quote(*at))
        quote = *at++;
    size_t n = value_length(at, quote);
    if (n == 0 || (spaced && *at == '-'))
        return p;
    buf_add(out, p, (size_t)(at - p));
    /* the scheme of an Authorization header is none; what follows it is */
    size_t scheme = value_length(at, '\0');
    size_t secret = header && at[scheme] == ' ' ? credentials_length(at + scheme + 1) : 0;
    if (secret > 0) {
        buf_add(out, at, scheme + 1);
        at += scheme + 1;
        n = secret;
    }
    buf_puts(out, MASK);
    return at + n;
}

/* Whether a URL's user part may go on at p[n]: what follows its colon is no port. Passwords with a
 * slash should be encoded, and often are not. */
static bool user_goes_on(const char *p, size_t n, size_t user, size_t at)
{
    if (p[n] == '\0' || isspace((unsigned char)p[n]) || strchr("\"'<>", p[n]) != NULL)
        return false;
    return strchr("/?#", p[n]) == NULL ||
           (user > 0 && at == 0 && user + strspn(p + user, "0123456789") < n);
}

/* scheme://user:password@host: p stands behind the slashes. Returns what lies behind the @; p when
 * there is none. */
static const char *mask_user(struct buf *out, const char *p)
{
    size_t n = 0, at = 0, user = 0; /* user: the length of it and its colon */
    for (; user_goes_on(p, n, user, at); n++) {
        if (p[n] == '@')
            at = n;
        else if (p[n] == ':' && user == 0)
            user = n + 1;
    }
    if (at == 0)
        return p;
    if (user <= at)
        buf_add(out, p, user); /* is no secret */
    buf_puts(out, MASK);
    return p + at;
}

/* What follows `-u` or `--user` of curl and its like: user:password. Copies up to the colon, masks
 * the rest, and returns what lies behind; p when there is no colon. */
static const char *mask_login(struct buf *out, const char *p)
{
    const char *at = p + strspn(p, " =");
    char quote = '\0';
    if (*at == '"' || *at == '\'')
        quote = *at++;
    size_t n = value_length(at, quote);
    const char *colon = memchr(at, ':', n);
    if (at == p || colon == NULL || colon + 1 == at + n)
        return p;
    buf_add(out, p, (size_t)(colon + 1 - p));
    buf_puts(out, MASK);
    return at + n;
}

static bool takes_login(const char *name, size_t n)
{
    static const char *const options[] = {"-u", "-U", "--user", "--proxy-user"};
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (n == strlen(options[i]) && strncmp(name, options[i], n) == 0)
            return true;
    }
    return false;
}

/* Secrets that say by themselves what they are: as their issuers' scanners know them. */
static const struct token {
    const char *prefix;
    size_t least; /* characters behind it */
    bool parts;   /* among which - _ and . may be */
} tokens[] = {
    {"ghp_", 20, false},       {"gho_", 20, false},   {"ghu_", 20, false}, {"ghs_", 20, false},
    {"ghr_", 20, false},       {"glpat-", 16, true},  {"hf_", 20, false},  {"npm_", 20, false},
    {"github_pat_", 20, true}, {"sk-", 20, true},     {"pypi-", 20, true}, {"xoxb-", 10, true},
    {"xoxp-", 10, true},       {"xoxa-", 10, true},   {"xoxr-", 10, true}, {"xoxs-", 10, true},
    {"xapp-", 10, true},       {"AKIA", 16, false},   {"ASIA", 16, false}, {"AIza", 30, true},
    {"ya29.", 20, true},       {"dop_v1_", 20, true}, {"eyJ", 20, true},   {"dckr_pat_", 16, true},
};

static bool is_token(const struct token *t, const char *p, size_t n)
{
    size_t len = strlen(t->prefix), tail = 0, digits = 0;
    if (n < len || strncmp(p, t->prefix, len) != 0)
        return false;
    for (p += len, n -= len; tail < n && (t->parts || isalnum((unsigned char)p[tail])); tail++)
        digits += (size_t)isdigit((unsigned char)p[tail]);
    return tail >= t->least && digits > 0; /* "sk-learn-with-many-words" has none */
}

/* Copies a word; from where a token begins in it, only the mask. */
static void put_word(struct buf *out, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && isalnum((unsigned char)word[i - 1]))
            continue;
        for (size_t t = 0; t < ARRAY_LEN(tokens); t++) {
            if (is_token(&tokens[t], word + i, n - i)) {
                buf_add(out, word, i);
                buf_puts(out, MASK);
                return;
            }
        }
    }
    buf_add(out, word, n);
}

static const char *mask_scheme_word(struct buf *out, const char *p)
{
    size_t n = value_length(p, '\0');
    if (n < 8) /* "Bearer of bad news" */
        return p;
    buf_puts(out, MASK);
    return p + n;
}

void secret_mask(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t n = 0;
        while (in_name(p[n]))
            n++;
        if (n > 0) {
            const char *name = p;
            put_word(out, p, n);
            p += n;
            if (takes_login(name, n))
                p = mask_login(out, p);
            else if (secret_word(name, n))
                p = mask_value(out, p, name[0] == '-', ends(name, n, "authorization"));
            else if ((n == 6 && strncasecmp(name, "Bearer", n) == 0) && *p == ' ') {
                buf_putc(out, ' ');
                p = mask_scheme_word(out, p + 1);
            } else if ((n == 5 && strncasecmp(name, "Basic", n) == 0) && *p == ' ') {
                buf_putc(out, ' ');
                p = mask_scheme_word(out, p + 1);
            }
        } else if (strncmp(p, "://", 3) == 0) {
            buf_add(out, p, 3);
            p = mask_user(out, p + 3);
        } else {
            buf_putc(out, *p++);
        }
    }
}

/* No host begins before the last @, whatever a password holds: quotes, blanks, slashes. */
void secret_mask_variable(struct buf *out, const char *value)
{
    const char *scheme = strstr(value, "://"), *at = strrchr(value, '@');
    const char *user = scheme != NULL ? scheme + 3 : NULL;
    const char *colon = user != NULL && at > user ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (colon != NULL) {
        buf_add(out, value, (size_t)(colon + 1 - value));
        buf_puts(out, MASK);
        value = at;
    }
    secret_mask(out, value);
}

void secret_mask_words(struct buf *out, const char *words, size_t n)
{
    struct buf line = BUF_INIT;
    bool value = false, login = false; /* of the option before */
    for (size_t i = 0; i < n; i += strlen(words + i) + 1) {
        const char *word = words + i;
        size_t name = strcspn(word, "=");
        bool secret = secret_word(word, name);
        if (value && word[0] != '-' && word[0] != '\0') /* all of a word: it may hold a comma */
            buf_puts(&line, MASK " ");
        else if ((login || strncmp(word, "-u", 2) == 0) && strchr(word, ':') != NULL)
            buf_printf(&line, "%.*s:" MASK " ", (int)strcspn(word, ":"), word);
        else if (secret && word[name] == '=' && word[name + 1] != '\0')
            buf_printf(&line, "%.*s=" MASK " ", (int)name, word);
        else
            buf_printf(&line, "%s ", word);
        value = secret && word[0] == '-' && word[name] == '\0';
        login = takes_login(word, strlen(word));
    }
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        line.data[--line.len] = '\0';
    secret_mask(out, buf_str(&line));
    buf_free(&line);
}
