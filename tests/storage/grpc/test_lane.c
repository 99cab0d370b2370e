/* Requests that share a transaction, on a server. */
#include <semaphore.h>

#include "storage/grpc/server/lane.h"
#include "tests/lib/postgres.h"
#include "tests/storage/store_fixture.h"

static struct pg_server server;
static char url[256];
static sem_t go, gone; /* the lane may go on; a job is done */

static void enter(void)
{
    cr_assert(pg_server_start(&server));
    (void)snprintf(url, sizeof(url), "%s", pg_url(server.dir, "postgres"));
    (void)sem_init(&go, 0, 0);
    (void)sem_init(&gone, 0, 0);
}

static void leave(void)
{
    pg_server_remove(&server);
}

TestSuite(lane, .init = enter, .fini = leave, .timeout = 120);

static void note_done(struct lane_job *job)
{
    (void)job;
    (void)sem_post(&gone);
}

static void wait_then_note(struct lane_job *job)
{
    (void)sem_wait(&go);
    note_done(job);
}

struct attr_job {
    struct lane_job job;
    struct buf request;
};

static void put_attr(struct lane *l, struct attr_job *a, int64_t trial,
                     void (*done)(struct lane_job *job))
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
                               .done = done};
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
    MUST(lane_start(&l, s, &err));
    put_attr(l, &jobs[0], kept, wait_then_note);
    put_attr(l, &jobs[1], lost, note_done); /* these two come together */
    put_attr(l, &jobs[2], kept, note_done);
    (void)sem_post(&go);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        (void)sem_wait(&gone);
    cr_expect_eq(jobs[1].job.rc, -ERR_FINISHED, "%s", jobs[1].job.err.msg);
    cr_expect_eq(jobs[2].job.rc, 0, "%s", jobs[2].job.err.msg);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        buf_free(&jobs[i].request);
        buf_free(&jobs[i].job.reply);
    }
    lane_stop(l);
    store_destroy(other);
}
