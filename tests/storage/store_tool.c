/* Drives the store from another process, for the race tests and the interop script.
 *
 *   store_tool URL claim-all STUDY TARGET   runs trials until the target is met; prints their
 * numbers store_tool URL hold MS                  holds the write lock; prints "held" when it has
 * it store_tool URL half STUDY               leaves a batch half written and waits to be killed
 *   store_tool URL make STUDY               writes one trial of every kind
 *   store_tool URL dump STUDY               prints every trial as a line of JSON
 *   store_tool URL claim STUDY              claims a trial, sets its params, finishes it; prints it
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "storage/storage.h"

static struct err err;

static int fail(void)
{
    (void)fprintf(stderr, "store_tool: %s (error %d)\n", err.msg, (int)err.code);
    return 1;
}

static const struct dist lr = {.kind = DIST_FLOAT, .low = 1e-5, .high = 0.1, .log = true};
static const struct dist layers = {.kind = DIST_INT, .low = 1, .high = 9, .step = 2};
static struct value acts[] = {{.kind = VALUE_TEXT, .s = (char *)"relu"},
                              {.kind = VALUE_NULL},
                              {.kind = VALUE_INT, .i = 3},
                              {.kind = VALUE_REAL, .d = 0.5},
                              {.kind = VALUE_BOOL, .b = true}};
static const struct dist act = {.kind = DIST_CHOICE, .choices = acts, .n_choices = ARRAY_LEN(acts)};
static const struct trial_param params[] = {
    {"lr", &lr, 0.001}, {"layers", &layers, 5}, {"act", &act, 1}};

static int claim_all(struct store *s, int64_t study, const char *target)
{
    const struct store_claim_opts opts = {.target = atoll(target),
                                          .target_states = STORE_STATE_BIT(TRIAL_COMPLETE)};
    const double value = 1;
    for (;;) {
        struct store_claim claim;
        if (store_trial_claim(s, study, &opts, &claim, &err) < 0)
            return fail();
        if (claim.kind == CLAIM_FULL)
            return 0;
        if (claim.kind == CLAIM_LATER) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        if (store_trial_params(s, claim.id, params, ARRAY_LEN(params), &err) < 0 ||
            store_trial_finish(s, claim.id, TRIAL_COMPLETE, &value, 1, &err) < 0)
            return fail();
        (void)printf("%lld\n", (long long)claim.number);
    }
}

static int hold(struct store *s, const char *ms)
{
    long n = atol(ms);
    if (store_begin(s, &err) < 0)
        return fail();
    (void)puts("held");
    (void)fflush(stdout);
    (void)nanosleep(&(struct timespec){.tv_sec = n / 1000, .tv_nsec = n % 1000 * 1000000}, NULL);
    store_rollback(s);
    return 0;
}

/* Creates a trial, and keeps the batch open. */
static int hold_study(struct store *s, int64_t study)
{
    if (store_begin(s, &err) < 0 || store_trial_create(s, study, NULL, NULL, NULL, &err) < 0)
        return fail();
    (void)puts("held");
    (void)fflush(stdout);
    (void)nanosleep(&(struct timespec){.tv_sec = 600}, NULL);
    return 1;
}

static int half(struct store *s, int64_t study)
{
    int64_t id;
    if (store_begin(s, &err) < 0)
        return fail();
    for (int i = 0; i < 2000; i++) { /* enough to spill into the log before the commit */
        if (store_trial_create(s, study, NULL, &id, NULL, &err) < 0 ||
            store_trial_params(s, id, params, ARRAY_LEN(params), &err) < 0)
            return fail();
    }
    (void)puts("half");
    (void)fflush(stdout);
    (void)nanosleep(&(struct timespec){.tv_sec = 60}, NULL);
    return 1;
}

static int make(struct store *s, int64_t study)
{
    static const struct trial_step steps[] = {{0, 1.5}, {1, INFINITY}, {2, -INFINITY}, {3, NAN}};
    static const struct trial_attr user[] = {{"note", "\"caf\\u00e9 \xf0\x9f\x8d\xb5\""},
                                             {"list", "[1, 2.0, NaN, {\"a\": null}]"}};
    static const struct trial_attr system[] = {{"completed_rung_0", "0.25"}};
    static const double finite = 0.1 + 0.2, up = INFINITY, down = -INFINITY;
    const struct trial all[] = {
        {.state = TRIAL_COMPLETE,
         .values = &finite,
         .n_values = 1,
         .params = params,
         .n_params = ARRAY_LEN(params),
         .steps = steps,
         .n_steps = ARRAY_LEN(steps),
         .user_attrs = user,
         .n_user_attrs = ARRAY_LEN(user),
         .system_attrs = system,
         .n_system_attrs = ARRAY_LEN(system),
         .start_us = 1767225600123456,
         .complete_us = 1767225601000000},
        {.state = TRIAL_COMPLETE, .values = &up, .n_values = 1},
        {.state = TRIAL_COMPLETE, .values = &down, .n_values = 1},
        {.state = TRIAL_PRUNED, .values = &finite, .n_values = 1, .steps = steps, .n_steps = 1},
        {.state = TRIAL_FAIL},
        {.state = TRIAL_RUNNING, .params = params, .n_params = 1},
        {.state = TRIAL_WAITING, .params = params, .n_params = ARRAY_LEN(params)},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (store_trial_create(s, study, &all[i], NULL, NULL, &err) < 0)
            return fail();
    }
    return store_study_attr_set(s, study, ATTR_USER, "who", "\"forkless\"", &err) < 0 ? fail() : 0;
}

static void put_number(struct buf *b, double v)
{
    char text[TEXT_DOUBLE_MAX];
    if (isfinite(v))
        buf_puts(b, text_from_double(v, text));
    else
        buf_puts(b, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

static void put_attrs(struct buf *b, const char *name, const struct trial_attr *attrs, size_t n)
{
    buf_printf(b, ", \"%s\": {", name);
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        json_put_string(b, attrs[i].key);
        buf_printf(b, ": %s", attrs[i].json);
    }
    buf_putc(b, '}');
}

static int print_trial(void *ctx, const struct trial *t)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    (void)ctx;
    buf_printf(&b,
               "{\"number\": %lld, \"state\": \"%s\", \"start_us\": %lld, \"complete_us\": %lld",
               (long long)t->number, trial_state_name(t->state), (long long)t->start_us,
               (long long)t->complete_us);
    buf_puts(&b, ", \"values\": [");
    for (size_t i = 0; i < t->n_values; i++) {
        buf_puts(&b, i > 0 ? ", " : "");
        put_number(&b, t->values[i]);
    }
    buf_puts(&b, "], \"params\": {");
    for (size_t i = 0; i < t->n_params; i++) {
        buf_puts(&b, i > 0 ? ", " : "");
        json_put_string(&b, t->params[i].name);
        buf_puts(&b, ": [");
        dist_put_value_json(&b, t->params[i].dist, t->params[i].value);
        buf_puts(&b, ", ");
        dist_put_json(&b, t->params[i].dist);
        buf_putc(&b, ']');
    }
    buf_puts(&b, "}, \"steps\": {");
    for (size_t i = 0; i < t->n_steps; i++) {
        buf_printf(&b, "%s\"%lld\": ", i > 0 ? ", " : "", (long long)t->steps[i].step);
        put_number(&b, t->steps[i].value);
    }
    buf_putc(&b, '}');
    put_attrs(&b, "user_attrs", t->user_attrs, t->n_user_attrs);
    put_attrs(&b, "system_attrs", t->system_attrs, t->n_system_attrs);
    buf_putc(&b, '}');
    (void)puts(buf_str(&b));
    return 0;
}

static int claim_one(struct store *s, int64_t study)
{
    const struct store_claim_opts opts = {.target = -1, .owner = "boot/1/2/3"};
    const double value = 2;
    struct store_claim claim;
    if (store_trial_claim(s, study, &opts, &claim, &err) < 0)
        return fail();
    (void)printf("{\"kind\": %d, \"number\": %lld, \"fixed\": %s}\n", (int)claim.kind,
                 (long long)claim.number, claim.fixed_params != NULL ? claim.fixed_params : "null");
    if (store_trial_params(s, claim.id, params, ARRAY_LEN(params), &err) < 0 ||
        store_trial_finish(s, claim.id, TRIAL_COMPLETE, &value, 1, &err) < 0)
        return fail();
    return 0;
}

int main(int argc, char **argv)
{
    AUTO_STORE struct store *s = NULL;
    const enum direction minimize = DIRECTION_MINIMIZE;
    int64_t study = 0;
    if (argc < 4)
        return 2;
    const char *what = argv[2];
    if (store_open(&s, argv[1], NULL, &err) < 0)
        return fail();
    if (strcmp(what, "hold") == 0)
        return hold(s, argv[3]);
    if (store_study_open(s, argv[3], &minimize, 1, &study, &err) < 0)
        return fail();
    if (strcmp(what, "claim-all") == 0 && argc == 5)
        return claim_all(s, study, argv[4]);
    if (strcmp(what, "hold-study") == 0)
        return hold_study(s, study);
    if (strcmp(what, "half") == 0)
        return half(s, study);
    if (strcmp(what, "make") == 0)
        return make(s, study);
    if (strcmp(what, "claim") == 0)
        return claim_one(s, study);
    if (strcmp(what, "dump") == 0) {
        const struct store_each_opts opts = {.want = WANT_ALL};
        return store_trials_each(s, study, &opts, print_trial, NULL, &err) < 0 ? fail() : 0;
    }
    return 2;
}
