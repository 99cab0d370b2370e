#include "trials/xgboost/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* gblinear has no trees to cut: its whole model is kept. */
static int64_t rounds_to_keep(const struct trial_conf *conf, const struct boost *b, int64_t rounds)
{
    for (size_t i = 0; i < conf->n_params; i++) {
        if (strcmp(conf->params[i].name, "booster") == 0 &&
            strcmp(conf->params[i].value, "gblinear") == 0)
            return b->rounds;
    }
    return rounds;
}

static json_t *describe(const struct session *s, const struct trial_conf *conf, int64_t rounds)
{
    const json_t *meta = s->data.meta;
    json_t *names = json_array();
    for (size_t i = 0; i < s->data.cols; i++)
        (void)json_array_append_new(names, json_string(s->names[i]));
    json_t *d =
        json_pack("{s:s, s:s, s:o, s:O, s:O, s:f, s:I}", "model", "model.ubj", "objective",
                  conf->objective->name, "feature_names", names, "label",
                  json_object_get(meta, "label"), "categories", json_object_get(meta, "categories"),
                  "threshold", conf->threshold, "rounds", (json_int_t)rounds);
    if (d != NULL && conf->objective->focal)
        (void)json_object_set_new(
            d, "focal",
            json_pack("{s:f, s:f}", "alpha", conf->focal.alpha, "gamma", conf->focal.gamma));
    return d;
}

static int save_description(const char *path, json_t *d, struct err *err)
{
    struct buf temp = BUF_INIT;
    buf_printf(&temp, "%s.tmp", path);
    int rc = 0;
    if (d == NULL || temp.failed)
        rc = err_set(err, ERR_NOMEM, "%s", path);
    else if (json_dump_file(d, temp.data, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0 ||
             rename(temp.data, path) < 0)
        rc = err_sys(err, errno, "%s", path);
    buf_free(&temp);
    return rc;
}

int model_save(const struct session *s, const struct trial_conf *conf, const struct boost *b,
               int64_t rounds, const char *dir, struct err *err)
{
    struct buf path = BUF_INIT;
    int64_t kept = rounds_to_keep(conf, b, rounds);
    buf_printf(&path, "%s/model.ubj", dir);
    int rc = path.failed ? err_set(err, ERR_NOMEM, "%s", dir)
                         : xgb_save(b->booster, (int)kept, s->names, s->data.cols, path.data, err);
    if (rc == 0) {
        AUTO_JSON json_t *d = describe(s, conf, kept);
        buf_clear(&path);
        buf_printf(&path, "%s/model.json", dir);
        rc = save_description(buf_str(&path), d, err);
    }
    buf_free(&path);
    return rc;
}
