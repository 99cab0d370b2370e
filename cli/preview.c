#include "cli/preview.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/describe.h"
#include "trials/samplers/sampler.h"

struct preview {
    const struct spec *spec;
    struct sampler *sampler;
    double *values;
    bool *active;
};

static void preview_finish(struct preview *p)
{
    sampler_destroy(p->sampler);
    free(p->values);
    free(p->active);
}

static int preview_init(struct preview *p, const struct spec *s, struct err *err)
{
    *p = (struct preview){.spec = s,
                          .values = calloc(s->space.n + 1, sizeof(*p->values)),
                          .active = calloc(s->space.n + 1, sizeof(*p->active))};
    if (p->values == NULL || p->active == NULL)
        return err_set(err, ERR_NOMEM, "preview");
    return sampler_create(&p->sampler, &s->sampler, err);
}

/* Appends the trial's parameters, and its command where there is one. */
static int put_trial(struct preview *p, int64_t number, bool json, struct buf *b, struct err *err)
{
    int rc = sampler_ask(p->sampler, number, NULL, p->values, p->active, err);
    if (rc < 0)
        return rc;
    AUTO(buf_free) struct buf dir = BUF_INIT;
    buf_printf(&dir, "%s/%s/%" PRId64, p->spec->run.dir, p->spec->study.name, number);
    struct spec_trial t = {.values = p->values,
                           .active = p->active,
                           .number = number,
                           .seed = spec_trial_seed(p->spec->seed, number),
                           .dir = buf_str(&dir)};
    struct spec_strings argv;
    rc = spec_argv(p->spec, &t, &argv, err);
    if (rc < 0)
        return rc;
    if (json) {
        buf_printf(b, "%s{\"number\":%" PRId64 ",\"seed\":%" PRIu32 ",\"params\":",
                   number > 0 ? "," : "", number, t.seed);
        spec_put_params(b, p->spec, &t);
        buf_puts(b, ",\"argv\":[");
        for (size_t i = 0; i < argv.n; i++) {
            buf_puts(b, i > 0 ? "," : "");
            json_put_string(b, argv.v[i]);
        }
        buf_puts(b, "]}");
    } else {
        buf_printf(b, "  %-4" PRId64 " ", number);
        spec_put_params(b, p->spec, &t);
        buf_putc(b, '\n');
        if (argv.n > 0) {
            buf_puts(b, "       ");
            describe_argv(b, &argv);
            buf_putc(b, '\n');
        }
    }
    free(argv.v);
    return 0;
}

int preview_put(struct buf *b, const struct spec *s, int64_t n, bool json, struct err *err)
{
    AUTO(preview_finish) struct preview p = {0};
    int rc = preview_init(&p, s, err);
    for (int64_t i = 0; rc == 0 && i < n; i++)
        rc = put_trial(&p, i, json, b, err);
    return rc;
}
