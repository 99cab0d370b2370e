/* Requests that share a transaction, on a server. */
#include "storage/grpc/server/lane.h"
#include "tests/lib/postgres.h"
#include "tests/storage/store_fixture.h"

static struct pg_server server;
static const char *url;
static size_t n_done;

static void enter(void)
{
    cr_assert(pg_server_start(&server));
    url = server.url;
}

static void leave(void)
{
    pg_server_remove(&server);
}

TestSuite(lane, .init = enter, .fini = leave, .timeout = 120);

static void note_done(struct lane_job *job)
{
    (void)job;
    n_done++;
}

struct attr_job {
    struct lane_job job;
    struct buf request;
};

static void put_attr(struct lane *l, struct attr_job *a, int64_t trial)
{
    Optuna__SetTrialUserAttributeRequest q = OPTUNA__SET_TRIAL_USER_ATTRIBUTE_REQUEST__INIT;
    q.trial_id = trial;
    q.key = "k";
    q.value = "1";
    wire_pack(&a->request, &q);
    a->job = (struct lane_job){.method = WIRE_SET_TRIAL_USER_ATTRIBUTE,
                               .request = buf_str(&a->request),
                               .n_request = a->request.len,
                               .due_ns = UINT64_MAX,
                               .done = note_done};
    lane_put(l, &a->job);
}

Test(lane, a_trial_that_was_taken_away_spoils_nothing_of_others)
{
    struct store *s = must_open(url), *other = must_open(url);
    struct lane *l = NULL;
    struct attr_job jobs[3] = {0};
    int64_t study = must_study(s, "a");
    int64_t lost = must_claim(s, study, -1, CLAIM_NEW).id;
    int64_t kept = must_claim(s, study, -1, CLAIM_NEW).id;
    MUST(store_trial_finish(other, lost, TRIAL_FAIL, NULL, 0, &err));
    MUST(lane_open(&l, s, &err));
    put_attr(l, &jobs[0], kept);
    lane_work(l);
    put_attr(l, &jobs[1], lost); /* these two come together */
    put_attr(l, &jobs[2], kept);
    lane_work(l);
    cr_assert_eq(n_done, ARRAY_LEN(jobs));
    cr_expect_eq(jobs[1].job.rc, -ERR_FINISHED, "%s", jobs[1].job.err.msg);
    cr_expect_eq(jobs[2].job.rc, 0, "%s", jobs[2].job.err.msg);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        buf_free(&jobs[i].request);
        buf_free(&jobs[i].job.reply);
    }
    lane_close(l);
    store_destroy(other);
}

/* The server calls off the first that writes an attribute, as when two wait for each other. */
static void call_one_off(void)
{
    (void)setenv("FORKLESS_TEST_STORE", "postgresql", 1);
    outside(url, "CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger AS $$ BEGIN "
                 "IF nextval('tries') = 1 THEN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; "
                 "END IF; RETURN NEW; END $$ LANGUAGE plpgsql; "
                 "CREATE TRIGGER fails BEFORE INSERT ON trial_user_attributes "
                 "FOR EACH ROW EXECUTE FUNCTION fail()");
}

Test(lane, a_deadlock_is_tried_again_for_one_alone_as_well)
{
    struct store *s = must_open(url);
    struct lane *l = NULL;
    struct attr_job job = {0};
    int64_t trial = must_claim(s, must_study(s, "a"), -1, CLAIM_NEW).id;
    call_one_off();
    MUST(lane_open(&l, s, &err));
    put_attr(l, &job, trial);
    lane_work(l);
    cr_expect_eq(job.job.rc, 0, "%s", job.job.err.msg);
    cr_expect_str_eq(rows(url, "SELECT key FROM trial_user_attributes"), "k");
    buf_free(&job.request);
    buf_free(&job.job.reply);
    lane_close(l);
}
