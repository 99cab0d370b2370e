#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/json.h"
#include "base/text.h"
#include "executor/spool/spool.h"

enum { SEAL = 9 }; /* bytes before the JSON */

/* Begins a line; returns where. */
static size_t begin_line(struct buf *out)
{
    buf_puts(out, "00000000 ");
    return out->len;
}

static void end_line(struct buf *out, size_t from)
{
    char seal[SEAL + 1];
    if (out->failed)
        return;
    (void)snprintf(seal, sizeof(seal), "%08" PRIx32 " ", crc32c(out->data + from, out->len - from));
    for (size_t i = 0; i < SEAL; i++)
        out->data[from - SEAL + i] = seal[i];
    buf_putc(out, '\n');
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    buf_printf(out, ",\"%s\":", key);
    json_put_string(out, text);
}

/* JSON has no NaN and no infinity: those are texts. */
static void put_number(struct buf *out, double v)
{
    char text[TEXT_DOUBLE_MAX];
    (void)text_from_double(v, text);
    buf_printf(out, isfinite(v) ? "%s" : "\"%s\"", text);
}

static void put_json(struct buf *out, const char *key, const json_t *j)
{
    AUTO_FREE char *text =
        j != NULL ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;
    if (j != NULL && text == NULL)
        out->failed = true;
    if (text != NULL)
        buf_printf(out, ",\"%s\":%s", key, text);
}

void spool_put_head(struct buf *out, const struct spool_conf *conf)
{
    char url[512], now[CLOCK_TEXT_MAX];
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    size_t from = begin_line(out);
    buf_puts(out, "{\"forkless_spool\":1");
    put_text(out, "storage", text_mask_url(conf->storage, url, sizeof(url)));
    put_text(out, "cwd", cwd);
    put_text(out, "run_id", conf->run_id);
    put_text(out, "owner", conf->owner);
    put_text(out, "created", clock_rfc3339(clock_utc_us(), now));
    buf_putc(out, '}');
    end_line(out, from);
}

/* [name, value, distribution as Optuna's JSON in a text, for that may hold NaN] */
static void put_params(struct buf *out, const struct entry *e)
{
    for (size_t i = 0; i < e->n_params; i++) {
        AUTO(buf_free) struct buf dist = BUF_INIT;
        dist_put_json(&dist, e->params[i].dist);
        out->failed = out->failed || dist.failed;
        buf_puts(out, i == 0 ? ",\"params\":[[" : ",[");
        json_put_string(out, e->params[i].name);
        buf_putc(out, ',');
        put_number(out, e->params[i].value);
        buf_putc(out, ',');
        json_put_string(out, buf_str(&dist));
        buf_putc(out, ']');
    }
    buf_puts(out, e->n_params > 0 ? "]" : "");
}

static void put_steps(struct buf *out, const struct entry *e)
{
    for (size_t i = 0; i < e->n_steps; i++) {
        buf_printf(out, "%s[%" PRId64 ",", i == 0 ? ",\"steps\":[" : ",", e->steps[i].step);
        put_number(out, e->steps[i].value);
        buf_putc(out, ']');
    }
    buf_puts(out, e->n_steps > 0 ? "]" : "");
}

static void put_end(struct buf *out, const struct entry_end *end)
{
    buf_printf(out, ",\"end\":{\"state\":\"%s\",\"value\":", trial_state_name(end->state));
    put_number(out, end->value);
    put_text(out, "fail", end->fail != FAIL_NONE ? fail_class_name(end->fail) : NULL);
    put_text(out, "message", end->message);
    put_text(out, "refused", end->refused);
    if (end->retry)
        buf_printf(out, ",\"retry_at_us\":%" PRId64, end->retry_at_us);
    put_json(out, "fallback", end->fallback);
    put_json(out, "training", end->training);
    if (json_array_size(end->rows) > 0 || end->training != NULL) {
        put_text(out, "run_id", end->run_id);
        put_text(out, "crypto", end->crypto);
        put_text(out, "factor", end->factor);
    }
    if (json_array_size(end->rows) > 0) {
        put_json(out, "rows", end->rows);
        put_text(out, "params", end->params);
        put_text(out, "direction", end->direction == DIRECTION_MAXIMIZE ? "maximize" : "minimize");
    }
    buf_putc(out, '}');
}

void spool_put(struct buf *out, const struct entry *e, unsigned part)
{
    size_t from = begin_line(out);
    buf_puts(out, "{\"study\":");
    json_put_string(out, e->study);
    buf_printf(out, ",\"trial\":%" PRId64 ",\"part\":%u,\"at_us\":%" PRId64, e->number, part,
               clock_utc_us());
    put_params(out, e);
    put_steps(out, e);
    put_json(out, "user", e->attrs);
    put_json(out, "system", e->rungs);
    if (e->end != NULL)
        put_end(out, e->end);
    buf_putc(out, '}');
    end_line(out, from);
}
