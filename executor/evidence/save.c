#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/evidence/evidence.h"

static int write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? errno : EIO;
        data += k;
        n -= (size_t)k;
    }
    return 0;
}

static int save(int dir, const char *name, const struct buf *b, struct err *err)
{
    char tmp[64];
    (void)snprintf(tmp, sizeof(tmp), ".%s.new", name);
    AUTO_CLOSE int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int sys = fd < 0 ? errno : write_all(fd, b->data, b->len);
    if (sys == 0 && renameat(dir, tmp, dir, name) < 0)
        sys = errno;
    if (sys == 0)
        return 0;
    if (fd >= 0)
        (void)unlinkat(dir, tmp, 0);
    return err_sys(err, sys, "write %s", name);
}

int evidence_save(int dir, const json_t *doc, struct err *err)
{
    struct buf text = BUF_INIT, json = BUF_INIT;
    AUTO_FREE char *dump = json_dumps(doc, JSON_INDENT(1));
    if (dump != NULL)
        buf_puts(&json, dump);
    buf_putc(&json, '\n');
    evidence_put_text(&text, doc);
    int rc = 0;
    if (dump == NULL || json.failed || text.failed)
        rc = err_set(err, ERR_NOMEM, "evidence");
    if (rc == 0)
        rc = save(dir, "evidence.json", &json, err);
    if (rc == 0)
        rc = save(dir, "evidence.txt", &text, err);
    buf_free(&json);
    buf_free(&text);
    return rc;
}
