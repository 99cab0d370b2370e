/* What is written to a spool comes back as it was, or is told as damaged; and what comes back is
 * stored once. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "executor/spool/spool.h"
#include "tests/lib/sandbox.h"

TestSuite(spool_format, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 60);

static const struct spool_conf conf = {
    .run_dir = ".", .storage = "postgresql://me:secret@host/db", .run_id = "r", .owner = "me"};

static struct value acts[] = {{.kind = VALUE_TEXT, {.s = (char *)"rélu"}},
                              {.kind = VALUE_REAL, {.d = NAN}}};
static const struct dist lr = {.kind = DIST_FLOAT, .low = 1e-5, .high = 0.1, .log = true};
static const struct dist act = {.kind = DIST_CHOICE, .choices = acts, .n_choices = 2};

/* All that an entry can have. */
static void put_full(struct buf *out, unsigned part)
{
    const struct trial_param params[] = {{"lr", &lr, 0.1 + 0.2}, {"a\"ct", &act, 1}};
    const struct trial_step steps[] = {{0, 0.1}, {7, NAN}, {INT64_C(1) << 40, -INFINITY}};
    AUTO_JSON json_t *attrs = json_pack("{s:s, s:f}", "k", "é\n", "x", 0.1 + 0.2);
    AUTO_JSON json_t *rows = json_pack("[{s:s, s:i, s:{s:f}, s:i}]", "variant", "base", "fold", 3,
                                       "metrics", "auc", 0.7, "buy_trades", 55);
    const struct entry_end end = {.state = TRIAL_COMPLETE,
                                  .value = -0.25,
                                  .message = "",
                                  .rows = rows,
                                  .params = "{\"lr\": 0.3}",
                                  .run_id = "r",
                                  .crypto = "OP",
                                  .direction = DIRECTION_MAXIMIZE};
    const struct entry e = {.study = "s",
                            .number = 0,
                            .params = params,
                            .n_params = 2,
                            .steps = steps,
                            .n_steps = 3,
                            .attrs = attrs,
                            .end = &end};
    spool_put(out, &e, part);
}

static void put_news(struct buf *out, int64_t number, unsigned part)
{
    const struct trial_step steps[] = {{0, 0.5}};
    const struct entry e = {.study = "s", .number = number, .steps = steps, .n_steps = 1};
    spool_put(out, &e, part);
}

static void put_end(struct buf *out, int64_t number, double value, unsigned part)
{
    const struct entry_end end = {.state = TRIAL_COMPLETE, .value = value, .message = ""};
    const struct entry e = {.study = "s", .number = number, .end = &end};
    spool_put(out, &e, part);
}

Test(spool_format, the_checksum_is_crc32c)
{
    cr_expect(eq(u32, crc32c("123456789", 9), 0xe3069283)); /* RFC 3720's check value */
    cr_expect(eq(u32, crc32c("", 0), 0));
}

Test(spool_format, an_entry_comes_back_as_it_was)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO(spool_data_free) struct spool_data d = {0};
    struct err err = {0};
    int64_t before = clock_utc_us();
    spool_put_head(&b, &conf);
    put_full(&b, 4);
    cr_expect(strstr(b.data, "secret") == NULL);
    cr_assert(eq(int, spool_read(&d, b.data, b.len, &err), 0), "%s", err.msg);
    cr_assert(eq(sz, d.n, 1));
    cr_expect(eq(sz, d.damaged, 0));
    cr_expect(not(d.torn));
    cr_expect(eq(str, (char *)d.owner, (char *)"me"));
    cr_expect(eq(str, (char *)d.storage, (char *)"postgresql://me:***@host/db"));
    const struct entry *e = &d.entries[0].entry;
    cr_expect(eq(u32, d.entries[0].part, 4));
    cr_expect(ge(i64, d.entries[0].at_us, before));
    cr_expect(le(i64, d.entries[0].at_us, clock_utc_us()));
    cr_assert(eq(sz, e->n_params, 2));
    cr_expect(eq(str, (char *)e->params[1].name, (char *)"a\"ct"));
    cr_expect(eq(dbl, e->params[0].value, 0.1 + 0.2)); /* to the last bit */
    cr_expect(dist_equal(e->params[0].dist, &lr));
    cr_expect(dist_compatible(e->params[1].dist, &act));
    cr_assert(eq(sz, e->n_steps, 3));
    cr_expect(isnan(e->steps[1].value) && isinf(e->steps[2].value) && e->steps[2].value < 0);
    cr_expect(eq(i64, e->steps[2].step, INT64_C(1) << 40));
    cr_expect(eq(dbl, json_real_value(json_object_get(e->attrs, "x")), 0.1 + 0.2));
    cr_assert(e->end != NULL);
    cr_expect(eq(dbl, e->end->value, -0.25));
    cr_expect(eq(sz, json_array_size(e->end->rows), 1));
    cr_expect(eq(int, (int)e->end->direction, DIRECTION_MAXIMIZE));
}

Test(spool_format, a_training_and_its_next_try_come_back)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO(spool_data_free) struct spool_data d = {0};
    AUTO_JSON json_t *next = json_pack("{s:{s:i}, s:{s:f}}", "attr", "rung", 1, "values", "g", 3.0);
    AUTO_JSON json_t *training =
        json_pack("{s:s, s:b}", "loss_function", "focal", "rolled_back", 1);
    const struct entry_end end = {.state = TRIAL_FAIL,
                                  .value = NAN,
                                  .fail = FAIL_HESSIAN,
                                  .message = "lost",
                                  .retry = true,
                                  .fallback = next,
                                  .training = training,
                                  .run_id = "r",
                                  .crypto = "OP"};
    const struct entry e = {.study = "s", .end = &end};
    spool_put_head(&b, &conf);
    spool_put(&b, &e, 0);
    cr_assert(eq(int, spool_read(&d, b.data, b.len, NULL), 0));
    cr_assert(eq(sz, d.n, 1));
    const struct entry_end *back = d.entries[0].entry.end;
    cr_expect(json_equal((json_t *)(uintptr_t)back->fallback, next));
    cr_expect(json_equal((json_t *)(uintptr_t)back->training, training));
    cr_expect(eq(str, (char *)(uintptr_t)back->run_id, (char *)"r"));
    cr_expect(eq(str, (char *)(uintptr_t)back->crypto, (char *)"OP"));
    cr_expect(back->retry && back->fail == FAIL_HESSIAN);
}

Test(spool_format, a_torn_end_does_not_count_and_damage_is_counted)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO(spool_data_free) struct spool_data d = {0};
    spool_put_head(&b, &conf);
    put_news(&b, 0, 0);
    size_t second = b.len;
    put_news(&b, 1, 0);
    put_end(&b, 0, 1, 1);
    for (size_t cut = 1; cut < 30; cut++) {
        struct spool_data t = {0};
        cr_assert(eq(int, spool_read(&t, b.data, b.len - cut, NULL), 0));
        cr_expect(eq(sz, t.n, 2));
        cr_expect(t.torn && t.damaged == 0);
        spool_data_free(&t);
    }
    b.data[second + 20] ^= 1; /* one bit of the line of trial 1 */
    cr_assert(eq(int, spool_read(&d, b.data, b.len, NULL), 0));
    cr_expect(eq(sz, d.n, 2));
    cr_expect(eq(sz, d.damaged, 1));
    cr_expect(eq(sz, d.first_damaged, 3));
}

Test(spool_format, what_is_no_spool_is_refused)
{
    struct spool_data d = {0};
    struct err err = {0};
    cr_expect(eq(int, spool_read(&d, "hello\nworld\n", 12, &err), -ERR_INVALID));
    cr_expect(eq(int, spool_read(&d, "", 0, &err), -ERR_INVALID));
}

/* --- to the store --- */

static struct store *open_store(int n)
{
    const enum direction minimize = DIRECTION_MINIMIZE;
    const struct store_claim_opts opts = {.target = -1, .owner = "me"};
    const struct store_run run = {.run_id = "r", .config = "{}"};
    struct store *s = NULL;
    struct err err = {0};
    int64_t study = 0;
    cr_assert(eq(int, store_open(&s, "sqlite:///s.db", NULL, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_run_start(s, &run, &err), 0), "%s", err.msg);
    cr_assert(eq(int, store_study_open(s, "s", &minimize, 1, &study, &err), 0), "%s", err.msg);
    for (int i = 0; i < n; i++) {
        struct store_claim c;
        cr_assert(eq(int, store_trial_claim(s, study, &opts, &c, &err), 0), "%s", err.msg);
    }
    return s;
}

static struct spool_report replay(struct store *s, const struct buf *b)
{
    AUTO(spool_data_free) struct spool_data d = {0};
    struct spool_report r = {0};
    struct err err = {0};
    cr_assert(eq(int, spool_read(&d, b->data, b->len, &err), 0), "%s", err.msg);
    cr_assert(eq(int, spool_replay(&d, s, NULL, &r, &err), 0), "%s", err.msg);
    return r;
}

Test(spool_format, a_replay_that_is_stopped_goes_on_the_next_time)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO(spool_data_free) struct spool_data d = {0};
    AUTO_STORE struct store *s = open_store(2);
    struct spool_report r = {0};
    struct err err = {0};
    const atomic_bool over = true;
    spool_put_head(&b, &conf);
    put_full(&b, 0);
    put_end(&b, 1, 2, 0);
    cr_assert(eq(int, spool_read(&d, b.data, b.len, &err), 0), "%s", err.msg);
    cr_expect(eq(int, spool_replay(&d, s, &over, &r, &err), -ERR_STOPPED));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 0));
    r = replay(s, &b);
    cr_expect(eq(i64, r.stored, 2));
}

Test(spool_format, replaying_stores_each_trial_once)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO_STORE struct store *s = open_store(2);
    int64_t rows = 0;
    spool_put_head(&b, &conf);
    put_full(&b, 0);
    put_end(&b, 1, 2, 0);
    struct spool_report r = replay(s, &b);
    cr_expect(eq(i64, r.entries, 2));
    cr_expect(eq(i64, r.stored, 2));
    r = replay(s, &b);
    cr_expect(eq(i64, r.stored, 0));
    cr_expect(eq(i64, r.already, 2));
    cr_expect(eq(int, sandbox_count(TRIAL_COMPLETE), 2));
    cr_assert(eq(int, store_results_count(s, "r", "s", "success", &rows, NULL), 0));
    cr_expect(eq(i64, rows, 1));
}

Test(spool_format, a_trial_that_lacks_a_line_is_left_alone)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO_STORE struct store *s = open_store(2);
    spool_put_head(&b, &conf);
    size_t at = b.len;
    put_news(&b, 0, 0);
    put_news(&b, 0, 1);
    put_end(&b, 0, 1, 2);
    put_end(&b, 1, 2, 0);
    b.data[at + 12] ^= 1;
    struct spool_report r = replay(s, &b);
    cr_expect(eq(i64, r.stored, 1));
    cr_expect(eq(i64, r.incomplete, 1));
    cr_expect(eq(sz, r.damaged, 1));
    cr_expect(eq(int, sandbox_count(TRIAL_RUNNING), 1));
}

Test(spool_format, a_trial_of_somebody_else_is_never_touched)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO_STORE struct store *s = open_store(2);
    const struct spool_conf other = {
        .run_dir = ".", .storage = "s.db", .run_id = "r", .owner = "somebody else"};
    spool_put_head(&b, &other);
    put_end(&b, 0, 1, 0);
    put_end(&b, 5, 1, 0); /* and there is no such trial */
    struct spool_report r = replay(s, &b);
    cr_expect(eq(i64, r.stored, 0));
    cr_expect(eq(i64, r.missing, 2));
    cr_expect(eq(int, sandbox_count(TRIAL_RUNNING), 2));
}

Test(spool_format, an_end_that_somebody_else_gave_stands)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    AUTO_STORE struct store *s = open_store(1);
    struct err err = {0};
    cr_assert(eq(int, store_trial_finish(s, 1, TRIAL_FAIL, NULL, 0, &err), 0), "%s", err.msg);
    spool_put_head(&b, &conf);
    put_end(&b, 0, 1, 0);
    struct spool_report r = replay(s, &b);
    cr_expect(eq(i64, r.superseded, 1));
    cr_expect(eq(int, sandbox_count(TRIAL_FAIL), 1));
}

/* --- the file --- */

Test(spool_format, an_append_that_fails_leaves_the_file_as_it_was)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    AUTO(buf_free) struct buf b = BUF_INIT;
    struct spool *sp = NULL;
    struct err err = {0};
    struct stat st;
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert(eq(int, spool_create(&sp, &conf, &err), 0), "%s", err.msg);
    put_end(&b, 0, 1, 0);
    (void)spool_begin(sp);
    cr_assert(eq(int, spool_append(sp, &b, 1, &err), 0), "%s", err.msg);
    cr_assert(stat(spool_path(sp), &st) == 0);
    const struct rlimit tight = {(rlim_t)st.st_size + 10, RLIM_INFINITY};
    cr_assert(setrlimit(RLIMIT_FSIZE, &tight) == 0);
    unsigned before = spool_begin(sp);
    cr_expect(eq(int, spool_append(sp, &b, 1, &err), -ERR_UNAVAILABLE));
    (void)setrlimit(RLIMIT_FSIZE, &none);
    cr_expect(eq(i64, sandbox_size(spool_path(sp)), st.st_size));
    cr_expect(ne(u32, spool_begin(sp), before)); /* who numbers entries begins anew */
    cr_expect(eq(int, spool_append(sp, &b, 1, &err), 0));
    cr_expect(eq(i64, spool_left(sp), 2));
    spool_settle(sp, 2);
    AUTO_FREE char *path = strdup(spool_path(sp));
    spool_destroy(sp);
    cr_expect(eq(i64, sandbox_size(path), -1)); /* nothing left, nothing kept */
}
