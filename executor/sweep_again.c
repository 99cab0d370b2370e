#include "executor/sweep_again.h"

/* Doubling the wait before a retry ends here. */
#define MAX_BACKOFF_MS 60000u

static int used_tries(const struct sw_tries *t, enum fail_class fail)
{
    return fail == FAIL_PREEMPTED ? t->preempted : fail == FAIL_LOST ? t->lost : t->others;
}

/* The next rung for the class below this one; 0 = there is none. The ladder only goes down, so it
 * ends. */
static int next_rung(const struct sw_conf *conf, int rung, enum fail_class fail, uint64_t useful)
{
    for (int i = rung + 1; i <= conf->n_rungs; i++) {
        if ((conf->rungs[i - 1] >> fail & 1u) != 0 && (useful >> i & 1u) != 0)
            return i;
    }
    return 0;
}

static uint64_t backoff(const struct sw_retry *r, int tries)
{
    uint64_t ms = r->backoff_ms;
    for (int i = 0; i < tries && ms < MAX_BACKOFF_MS; i++)
        ms *= 2;
    /* a longer first wait that was asked for stands */
    uint64_t most = r->backoff_ms > MAX_BACKOFF_MS ? r->backoff_ms : MAX_BACKOFF_MS;
    return ms < most ? ms : most;
}

struct sw_again sw_again_after(const struct sw_conf *conf, const struct sw_tries *tries,
                               enum fail_class fail, uint64_t useful, uint64_t now_ms)
{
    const struct sw_retry *r = &conf->retry[fail];
    int used = used_tries(tries, fail);
    struct sw_again again = {0};
    if (fail == FAIL_CALIBRATION) /* a soft label is there again with every try */
        return again;
    again.rung = next_rung(conf, tries->rung, fail, useful);
    again.retry = again.rung > 0 || r->times < 0 || used < r->times;
    /* a preempted trial is for the next run, and other values need no rest */
    if (again.retry && again.rung == 0 && fail != FAIL_PREEMPTED)
        again.due_ms = now_ms + backoff(r, used);
    return again;
}
