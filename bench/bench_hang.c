/* Hangs, found and not invented: real fork deadlocks in workers of a real sweep with the default
 * watch.deadlock, from the hang to the trial that was killed, classed and tried again with success;
 * and healthy trials of many kinds under short watch settings, of which none may be killed. The
 * deadlocks: a mutex in C, seen by the guard, and `forkless repro`'s grpc-fork and cleanlab-fork,
 * with the default watch.fork, which is a search where the C library is older than glibc 2.41.
 *
 * And what peers do about a trial that hangs, for so many seconds.
 *
 *   bench_hang [MUTEX [HEALTHY [GRPC [CLEANLAB [PEERS_S]]]]]    10, 60, 10, 4 and 20 unless given;
 *                                    for claims take 100, 504, 100, 100 and 300. FORKLESS_PYTHON
 *                                    names a Python: cleanlab-fork is measured where that has
 * cleanlab and grpcio, Optuna's heartbeat where it has Optuna. Without it cleanlab-fork is, when
 * `forkless repro cleanlab-fork` has prepared it. FORKLESS_RAY_PYTHON names one with Ray Tune */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "bench/measure.h"
#include "storage/storage.h"

enum { WORDS_MAX = 40, TRIALS_MAX = 4096 };

static char dir[PATH_MAX];

/* What the log and the store say of one trial. Times in s; 0: it did not happen. */
struct seen {
    double hung; /* it forked a child that hangs: by its own word, or by the guard's */
    double failed, complete;
    bool deadlock; /* the class that it failed with */
    int retries;   /* the trial that this one repeats; -1: none */
};
static struct seen seen[TRIALS_MAX];
static int stalls; /* trial_stalled events */

/* ---- a sweep in its own store, with its events in a file ---- */

static void sweep(const char *name, const char *const *words)
{
    char storage[64], events[64];
    const char *argv[WORDS_MAX] = {"/bin/sh",   "-c",      "exec \"$0\" \"$@\" 2>\"$EVENTS\"",
                                   FORKLESS,    "run",     "--json",
                                   "--storage", storage,   "--study",
                                   name,        "--dir",   name,
                                   "--metric",  "loss",    "--sampler",
                                   "random",    "flap=off"};
    size_t n = 0;
    struct cost cost;
    (void)snprintf(storage, sizeof(storage), "sqlite:///%s.db", name);
    (void)snprintf(events, sizeof(events), "%s.jsonl", name);
    (void)setenv("EVENTS", events, 1);
    while (argv[n] != NULL)
        n++;
    while (*words != NULL && n + 1 < WORDS_MAX)
        argv[n++] = *words++;
    bench_command((char *const *)(uintptr_t)argv, dir, &cost, NULL, 0);
}

/* "2026-11-23T23:02:30.871Z" in seconds. */
static double seconds_of(const char *ts)
{
    struct tm tm = {0};
    const char *rest = strptime(ts, "%Y-%m-%dT%H:%M:%S", &tm);
    return rest == NULL ? 0 : (double)timegm(&tm) + atof(rest);
}

static const char *text_of(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text != NULL ? text : "";
}

static void take_event(const json_t *j)
{
    const char *event = text_of(j, "event");
    json_int_t trial = json_integer_value(json_object_get(j, "trial"));
    double at = seconds_of(text_of(j, "ts"));
    stalls += strcmp(event, "trial_stalled") == 0;
    if (trial < 0 || trial >= TRIALS_MAX)
        return;
    struct seen *s = &seen[trial];
    bool hangs = strcmp(event, "child_start") == 0 || strcmp(event, "fork_after_threads") == 0;
    if (hangs && s->hung == 0)
        s->hung = at;
    if (strcmp(event, "trial_end") == 0) {
        bool complete = strcmp(text_of(j, "state"), "COMPLETE") == 0;
        *(complete ? &s->complete : &s->failed) = at;
        s->deadlock = strcmp(text_of(j, "class"), "fork_deadlock") == 0;
    }
}

static void read_events(const char *name)
{
    char path[PATH_MAX + 64], *line = NULL;
    size_t cap = 0;
    ssize_t n;
    (void)snprintf(path, sizeof(path), "%s/%s.jsonl", dir, name);
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (f == NULL)
        bench_die(path);
    while ((n = getline(&line, &cap, f)) > 0) {
        AUTO_JSON json_t *j = json_read(line, (size_t)n, NULL);
        if (j != NULL)
            take_event(j);
    }
    free(line);
}

static int take_row(void *ctx, const struct trial *t)
{
    int *failed = ctx;
    *failed += t->state == TRIAL_FAIL;
    for (size_t i = 0; i < t->n_system_attrs && t->number < TRIALS_MAX; i++) {
        if (strcmp(t->system_attrs[i].key, "failed_trial") == 0)
            seen[t->number].retries = atoi(t->system_attrs[i].json);
    }
    return 0;
}

/* Returns the number of failed trials. */
static int read_store(const char *name)
{
    char path[PATH_MAX + 64];
    struct store *store = NULL;
    const struct store_opts opts = {.read_only = true};
    const struct store_each_opts each = {.want = WANT_SYSTEM_ATTRS};
    struct err err;
    int64_t study;
    int failed = 0;
    (void)snprintf(path, sizeof(path), "sqlite:///%s/%s.db", dir, name);
    for (size_t i = 0; i < TRIALS_MAX; i++)
        seen[i].retries = -1;
    if (store_open(&store, path, &opts, &err) < 0 ||
        store_study_find(store, name, &study, &err) < 0 ||
        store_trials_each(store, study, &each, take_row, &failed, &err) < 0) {
        errno = 0;
        bench_die(err.msg);
    }
    store_destroy(store);
    return failed;
}

static int look(const char *name)
{
    (void)memset(seen, 0, sizeof(seen));
    stalls = 0;
    int failed = read_store(name);
    read_events(name);
    return failed;
}

/* ---- deadlocks ---- */

/* Of all sweeps of one kind. */
struct hangs {
    double killed[TRIALS_MAX], again[TRIALS_MAX]; /* s since the hang */
    int n_killed, n_again;
};

static void collect(struct hangs *h, const char *name)
{
    (void)look(name);
    for (int i = 0; i < TRIALS_MAX; i++) {
        const struct seen *s = &seen[i];
        if (s->hung > 0 && s->failed > 0 && s->deadlock && h->n_killed < TRIALS_MAX)
            h->killed[h->n_killed++] = s->failed - s->hung;
        if (s->complete > 0 && s->retries >= 0 && s->retries < TRIALS_MAX &&
            seen[s->retries].hung > 0 && seen[s->retries].deadlock && h->n_again < TRIALS_MAX)
            h->again[h->n_again++] = s->complete - seen[s->retries].hung;
    }
}

static void tell_hangs(const char *what, struct hangs *h, int hangs)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%s: of %d, found, classed and retried with success", what,
                   hangs);
    bench_claim(&(struct bench_claim){text, AT_LEAST, hangs, h->n_again, ""});
    if (h->n_killed == 0 || h->n_again == 0)
        return;
    (void)snprintf(text, sizeof(text), "%s: from the hang to killed and classed, median", what);
    bench_figure(text, bench_median(h->killed, h->n_killed), " s");
    (void)snprintf(text, sizeof(text), "%s: from the hang to the retry's result, median", what);
    bench_figure(text, bench_median(h->again, h->n_again), " s");
    (void)snprintf(text, sizeof(text), "%s: the same, the slowest", what);
    bench_claim(&(struct bench_claim){text, AT_MOST, 15, h->again[h->n_again - 1], " s"});
}

/* So many hangs in sweeps of at most `jobs` trials, all at once: then no retry waits for a slot
 * that another hang has. What hangs is run by a shell that first makes a directory named by ${x}:
 * each set of parameters hangs the first time. setting: one more. */
static void hang(const char *what, const char *name, int hangs, int jobs, const char *setting,
                 const char *const *command)
{
    static struct hangs all;
    all.n_killed = all.n_again = 0;
    for (int left = hangs; left > 0; left -= jobs) {
        char n[16], j[16], study[32];
        const char *words[WORDS_MAX] = {
            "-n",
            n,
            "-j",
            j,
            "--stall=30m",
            "x=float:0..1",
            setting,
            "--",
            "/bin/sh",
            "-c",
            "mkdir \"first-$0\" 2>/dev/null && exec \"$@\"; echo loss=0.5",
            "${study}-${x}"};
        size_t at = 12;
        (void)snprintf(n, sizeof(n), "%d", left < jobs ? left : jobs);
        (void)snprintf(j, sizeof(j), "%s", n);
        (void)snprintf(study, sizeof(study), "%s%d", name, left);
        for (size_t i = 0; command[i] != NULL; i++)
            words[at++] = command[i];
        sweep(study, words);
        collect(&all, study);
    }
    tell_hangs(what, &all, hangs);
}

static void hang_in_c(int hangs)
{
    static const char *const command[] = {DEADLOCK, "mutex", NULL};
    hang("a mutex, C", "mutex", hangs, 10, "watch.fork=warn", command);
}

static void hang_in_grpc(int hangs)
{
    static const char *const command[] = {GRPC,           "repro",          "grpc-fork", "run",
                                          "newconn-idle", "--start-method", "fork",      NULL};
    hang("grpc-fork", "grpc", hangs, 10, "watch.fork=auto", command);
}

/* Four threads of each use all the CPU that there is. Workers do not inherit FORKLESS_PYTHON. */
static void hang_in_cleanlab(const char *python, int hangs)
{
    char given[PATH_MAX + 32];
    const char *set = getenv("FORKLESS_PYTHON");
    (void)snprintf(given, sizeof(given), "FORKLESS_PYTHON=%s", set != NULL ? set : "");
    const char *const command[] = {"/usr/bin/env",  given, python,         CLEANLAB, "repro",
                                   "cleanlab-fork", "run", "fork-support", NULL};
    hang("cleanlab-fork", "cleanlab", hangs, 2, "watch.fork=auto", command);
}

static bool has_module(char *python, const char *module)
{
    char *argv[] = {(char *)"/bin/sh",
                    (char *)"-c",
                    (char *)"\"$0\" -c \"import $1\" && echo yes || true",
                    python,
                    (char *)(uintptr_t)module,
                    NULL};
    struct cost cost;
    char said[8];
    bench_command(argv, NULL, &cost, said, sizeof(said));
    return strncmp(said, "yes", 3) == 0;
}

static bool is_prepared(char *python)
{
    char *argv[] = {(char *)"/bin/sh",
                    (char *)"-c",
                    (char *)"\"$0\" \"$1\" repro cleanlab-fork describe || true",
                    python,
                    (char *)(uintptr_t)CLEANLAB,
                    NULL};
    struct cost cost;
    char said[4096];
    bench_command(argv, NULL, &cost, said, sizeof(said));
    return strstr(said, "\"cases\"") != NULL && strstr(said, "\"prepare\"") == NULL;
}

/* ---- peers ---- */

static void tell_peer(const char *what, char *python, const char *peer, int patience)
{
    char seconds[16], place[PATH_MAX + 16], said[64], text[160];
    char *argv[] = {python,  (char *)(uintptr_t)HANG_PEER, (char *)(uintptr_t)peer,
                    seconds, (char *)(uintptr_t)DEADLOCK,  (char *)(uintptr_t) "mutex",
                    NULL};
    struct cost cost;
    double alive, killed;
    (void)snprintf(seconds, sizeof(seconds), "%d", patience);
    (void)snprintf(place, sizeof(place), "%s/%s", dir, peer);
    if (mkdir(place, 0755) < 0)
        bench_die(place);
    bench_command(argv, place, &cost, said, sizeof(said));
    errno = 0;
    if (sscanf(said, "%lf %lf", &alive, &killed) != 2)
        bench_die("hang.py said no numbers");
    (void)snprintf(text, sizeof(text), "%s: a hung trial given up after (-1: not within %d s)",
                   what, patience);
    bench_figure(text, alive, " s");
    (void)snprintf(text, sizeof(text), "%s: after somebody had killed its process", what);
    bench_figure(text, killed, " s");
}

static void tell_peers(char *python, int patience)
{
    char *ray = getenv("FORKLESS_RAY_PYTHON");
    if (has_module(python, "optuna"))
        tell_peer("Optuna, heartbeat 1 s, grace 2 s", python, "optuna", patience);
    else
        (void)printf("  (Optuna: FORKLESS_PYTHON names no Python that has it)\n");
    if (ray != NULL && has_module(ray, "ray.tune"))
        tell_peer("Ray Tune", ray, "ray", patience);
    else
        (void)printf("  (Ray Tune: FORKLESS_RAY_PYTHON names no Python that has it)\n");
}

/* ---- healthy trials ---- */

static void soak(char *python, int trials)
{
    char n[16], text[128];
    const char *const words[] = {"-n",
                                 n,
                                 "-j8",
                                 "--stall=4s",
                                 "--grace=1s",
                                 "watch.deadlock=1s",
                                 "kind=choice:cpu,sleep,io,exec,spawn,pool",
                                 "--",
                                 python,
                                 HEALTHY,
                                 "${kind}",
                                 NULL};
    (void)snprintf(n, sizeof(n), "%d", trials);
    sweep("healthy", words);
    int failed = look("healthy");
    (void)snprintf(text, sizeof(text), "%d healthy trials: taken for a hang", trials);
    bench_claim(&(struct bench_claim){text, AT_MOST, 0, stalls, ""});
    (void)snprintf(text, sizeof(text), "%d healthy trials: failed", trials);
    bench_claim(&(struct bench_claim){text, AT_MOST, 0, failed, ""});
}

static int number(int argc, char **argv, int i, int otherwise)
{
    int n = i < argc ? atoi(argv[i]) : otherwise;
    errno = 0;
    if (n < 0 || n > TRIALS_MAX / 4)
        bench_die("bench_hang [MUTEX [HEALTHY [GRPC [CLEANLAB [PEERS_S]]]]]: numbers from 0 to "
                  "1024");
    return n;
}

int main(int argc, char **argv)
{
    int mutex = number(argc, argv, 1, 10), healthy = number(argc, argv, 2, 60);
    int grpc = number(argc, argv, 3, 10), cleanlab = number(argc, argv, 4, 4);
    int peers_s = number(argc, argv, 5, 20);
    char *python = getenv("FORKLESS_PYTHON");
    if (python == NULL)
        python = (char *)"python3";
    bench_dir("hang", dir, sizeof(dir));
    if (mutex > 0)
        hang_in_c(mutex);
    if (grpc > 0)
        hang_in_grpc(grpc);
    if (cleanlab > 0 && is_prepared(python))
        hang_in_cleanlab(python, cleanlab);
    else if (cleanlab > 0)
        (void)printf("  (cleanlab-fork: `forkless repro cleanlab-fork` has not prepared it)\n");
    if (peers_s > 0)
        tell_peers(python, peers_s);
    if (healthy > 0)
        soak(python, healthy);
    bench_remove_dir(dir);
    return bench_end("hang");
}
