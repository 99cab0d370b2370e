/* What the fix of the cleanlab deadlock costs: find_label_issues in one process (n_jobs=1) against
 * a pool of 8, both below a live gRPC channel, as `forkless repro cleanlab-fork` runs them.
 *
 *   bench_cleanlab [TRIES]      FORKLESS_PYTHON names a Python with cleanlab and grpcio;
 *                               without it they are installed from PyPI on first use
 *
 * The pool runs in a process that was spawned: where the channel is, it may hang. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bench/measure.h"

enum { TRIES_MAX = 50 };

static char said[1 << 20];

/* Seconds of the call in one try: the victim tells them. */
static double seconds_of(json_t *try)
{
    json_t *event;
    size_t i;
    json_array_foreach(json_object_get(try, "events"), i, event)
    {
        json_t *seconds = json_object_get(event, "seconds");
        if (seconds != NULL)
            return json_number_value(seconds);
    }
    bench_die("the victim told no time");
}

/* Median over the tries, in milliseconds. */
static double call_ms(const char *method, const char *jobs, const char *samples, const char *tries)
{
    const char *argv[] = {FORKLESS, "repro", "cleanlab-fork", "--start-method", method, "-j", jobs,
                          "-n",     samples, "--json",        "--tries",        tries,  NULL};
    struct cost cost;
    struct err err;
    double ms[TRIES_MAX];
    bench_command((char *const *)(uintptr_t)argv, NULL, &cost, said, sizeof(said));
    AUTO_JSON json_t *report = json_read(said, strlen(said), &err);
    if (report == NULL)
        bench_die(err.msg);
    json_t *try, *first = json_array_get(json_object_get(report, "cases"), 0);
    size_t i;
    json_array_foreach(json_object_get(first, "tries"), i, try) ms[i] = 1000 * seconds_of(try);
    return bench_median(ms, (int)i);
}

int main(int argc, char **argv)
{
    static const char *const samples[] = {"300", "2000"};
    const char *tries = argc > 1 ? argv[1] : "9";
    if (atoi(tries) < 1 || atoi(tries) > TRIES_MAX)
        bench_die("usage: bench_cleanlab [TRIES], 1 to 50");
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        char text[96];
        double one = call_ms("fork", "1", samples[i], tries);
        double pool = call_ms("spawn", "8", samples[i], tries);
        (void)snprintf(text, sizeof(text), "find_label_issues, %s samples, n_jobs=1", samples[i]);
        bench_figure(text, one, " ms");
        (void)snprintf(text, sizeof(text), "find_label_issues, %s samples, n_jobs=8", samples[i]);
        bench_figure(text, pool, " ms");
        (void)snprintf(text, sizeof(text), "n_jobs=1 / n_jobs=8, %s samples", samples[i]);
        bench_claim(&(struct bench_claim){text, AT_MOST, 2, one / pool, "x"});
    }
    return bench_end("cleanlab");
}
