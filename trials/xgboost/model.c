#include "trials/xgboost/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What model.json says: see README.md. */
static json_t *describe(const struct session *s, const struct trial_conf *conf, int64_t rounds)
{
    const json_t *meta = s->data.meta;
    json_t *names = json_array();
    for (size_t i = 0; i < s->data.cols; i++)
        (void)json_array_append_new(names, json_string(s->names[i]));
    json_t *d = json_pack(
        "{s:s, s:s, s:o, s:O, s:O, s:O, s:f, s:I}", "model", "model.ubj", "objective",
        conf->objective->name, "feature_names", names, "columns", json_object_get(meta, "features"),
        "label", json_object_get(meta, "label"), "categories", json_object_get(meta, "categories"),
        "threshold", conf->threshold, "rounds", (json_int_t)rounds);
    if (d != NULL && conf->objective->focal)
        (void)json_object_set_new(
            d, "focal",
            json_pack("{s:f, s:f}", "alpha", conf->focal.alpha, "gamma", conf->focal.gamma));
    return d;
}

/* What a consumer applies to the log-odds of the model's probability. */
static json_t *describe_calibrator(const struct calibrator *c)
{
    if (c->kind == CALIBRATE_PLATT)
        return json_pack("{s:s, s:f, s:f}", "kind", "platt", "a", c->a, "b", c->b);
    json_t *x = json_array(), *y = json_array();
    for (size_t i = 0; i < c->n; i++) {
        (void)json_array_append_new(x, json_real(c->x[i]));
        (void)json_array_append_new(y, json_real(c->y[i]));
    }
    return json_pack("{s:s, s:o, s:o}", "kind", "isotonic", "x", x, "y", y);
}

static int put_description(struct buf *out, const struct session *s, const struct trial_conf *conf,
                           const struct calibrator *calibrator, int64_t rounds, struct err *err)
{
    AUTO_JSON json_t *d = describe(s, conf, rounds);
    if (d != NULL && calibrator->kind != CALIBRATE_NONE)
        (void)json_object_set_new(d, "calibration", describe_calibrator(calibrator));
    AUTO_FREE char *text = d != NULL ? json_dumps(d, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    if (text != NULL)
        buf_printf(out, "%s\n", text);
    return text != NULL && !out->failed ? 0
                                        : err_set(err, ERR_NOMEM, "out of memory for model.json");
}

/* ---- files ---- */

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, bytes, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        bytes += w;
        n -= (size_t)w;
    }
    return 0;
}

/* Writes beside the final name and makes it durable, so that after a power cut the name stands for
 * all of the old file or all of the new one. */
static int replace(int dir, const char *name, const struct buf *content, struct err *err)
{
    char temp[64];
    (void)snprintf(temp, sizeof(temp), "%s.tmp", name);
    AUTO_CLOSE int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0 && write_all(fd, content->data, content->len) == 0 && fsync(fd) == 0 &&
        renameat(dir, temp, dir, name) == 0)
        return 0;
    int sys = errno;
    (void)unlinkat(dir, temp, 0);
    return err_sys(err, sys, "%s", name);
}

static int replace_both(const char *path, const struct buf *model, const struct buf *description,
                        struct err *err)
{
    AUTO_CLOSE int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dir < 0 ? err_sys(err, errno, "open it") : 0;
    if (rc == 0)
        rc = replace(dir, "model.ubj", model, err);
    if (rc == 0)
        rc = replace(dir, "model.json", description, err);
    if (rc == 0 && fsync(dir) < 0)
        rc = err_sys(err, errno, "sync it");
    return rc < 0 ? err_wrap(err, rc, "%s", path) : 0;
}

int model_save(const struct session *s, const struct trial_conf *conf, const struct boost *b,
               const struct calibrator *calibrator, const char *dir, struct err *err)
{
    AUTO(buf_free) struct buf model = BUF_INIT, description = BUF_INIT;
    int rc = boost_model(b, s->names, s->data.cols, &model, err);
    if (rc == 0)
        rc = put_description(&description, s, conf, calibrator, boost_rounds(b), err);
    return rc == 0 ? replace_both(dir, &model, &description, err) : rc;
}
