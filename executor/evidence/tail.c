#include "executor/evidence/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/evidence/evidence.h"
#include "executor/evidence/secrets.h"

#define READ_LIMIT (128 << 10) /* of a file, from its end */
#define LINE_LIMIT 1000u
#define MAX_FORKS 20u /* the last ones */

/* Appends the end of a file; true when all of it came. */
static bool read_end(struct buf *b, int dir, const char *name)
{
    struct stat st;
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return true;
    off_t from = st.st_size > READ_LIMIT ? st.st_size - READ_LIMIT : 0;
    while (buf_reserve(b, 16384)) {
        ssize_t n = pread(fd, b->data + b->len, 16384, from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        b->len += (size_t)n;
        b->data[b->len] = '\0';
        from += n;
    }
    bool whole = st.st_size <= READ_LIMIT;
    if (!whole && b->len > 0) /* the first line has lost its beginning */
        buf_consume(b, strcspn(b->data, "\n"));
    return whole;
}

static const char *last_lines(const struct buf *b, unsigned n)
{
    const char *p = b->data + b->len;
    if (p > b->data && p[-1] == '\n')
        p--;
    for (; p > b->data; p--) {
        if (p[-1] == '\n' && --n == 0)
            break;
    }
    return p;
}

/* Masked before it is cut: what makes a secret known may stand behind it. */
static void put_line(json_t *list, const char *from, size_t n)
{
    struct buf line = BUF_INIT, masked = BUF_INIT;
    buf_add(&line, from, n);
    for (char *nul = line.data;
         nul != NULL && (nul = memchr(nul, '\0', line.len - (size_t)(nul - line.data))) != NULL;)
        *nul = '?';
    secret_mask(&masked, buf_str(&line));
    if (masked.len > LINE_LIMIT)
        masked.data[LINE_LIMIT] = '\0';
    doc_add_text(list, buf_str(&masked));
    buf_free(&line);
    buf_free(&masked);
}

static void put_lines(json_t *list, const char *from, const char *end)
{
    while (from < end) {
        const char *nl = memchr(from, '\n', (size_t)(end - from));
        size_t n = (size_t)((nl != NULL ? nl : end) - from);
        put_line(list, from, n);
        from += n + 1;
    }
}

static void put_log(json_t *log, const char *key, int dir, const char *name, const char *older)
{
    struct buf b = BUF_INIT, both = BUF_INIT;
    json_t *list = json_array();
    bool whole = read_end(&b, dir, name);
    if (b.len > 0 && whole && last_lines(&b, EVIDENCE_LOG_LINES) == b.data)
        (void)read_end(&both, dir, older); /* it was rotated a moment ago */
    if (b.len > 0)
        buf_add(&both, b.data, b.len);
    if (both.len > 0 && !both.failed)
        put_lines(list, last_lines(&both, EVIDENCE_LOG_LINES), both.data + both.len);
    (void)json_object_set_new(log, key, list);
    buf_free(&b);
    buf_free(&both);
}

void tail_put_logs(json_t *doc, int dir)
{
    json_t *log = json_object();
    put_log(log, "stdout", dir, "stdout.log", "stdout.log.1");
    put_log(log, "stderr", dir, "stderr.log", "stderr.log.1");
    (void)json_object_set_new(doc, "log", log);
}

/* A line that was being written has lost its end. */
void tail_put_forks(json_t *doc, int dir)
{
    struct buf b = BUF_INIT;
    json_t *list = json_array();
    char *rest, *line;
    (void)read_end(&b, dir, "forks.jsonl");
    if (b.len > 0)
        (void)memmove(b.data, last_lines(&b, MAX_FORKS), strlen(last_lines(&b, MAX_FORKS)) + 1);
    for (line = b.len > 0 ? strtok_r(b.data, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *record = json_read(line, strlen(line), NULL);
        if (record != NULL)
            (void)json_array_append_new(list, record);
    }
    (void)json_object_set_new(doc, "forks", list);
    buf_free(&b);
}
