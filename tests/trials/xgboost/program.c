#include "tests/trials/xgboost/program.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"

extern char **environ;

static char dir[] = "/tmp/test_worker.XXXXXX";
pid_t pid;
FILE *in;
int fd = -1;
int positives;

void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    (void)fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

/* 600 rows in which x0 says most about y, and c a little. */
static void write_data(void)
{
    FILE *f = fopen("data.csv", "we");
    cr_assert_not_null(f);
    struct rng rng;
    rng_seed(&rng, 11);
    (void)fputs("x0,x1,c,y,k,z\n", f);
    for (int i = 0; i < 600; i++) {
        double x0 = rng_normal(&rng), x1 = rng_normal(&rng);
        int c = (int)rng_below(&rng, 3);
        int y = x0 + 0.5 * c + rng_normal(&rng) > 0.5;
        char cell[32] = "NA";
        if (i % 9 != 0)
            (void)snprintf(cell, sizeof(cell), "%.4f", x1);
        (void)fprintf(f, "%.4f,%s,%c,%d,%d,%.3f\n", x0, cell, 'a' + c, y, (y + c) % 3, x0 * 2 + x1);
        positives += y;
    }
    cr_assert_eq(fclose(f), 0);
}

void setup(void)
{
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    write_data();
    (void)unsetenv("BXFI_MAP"); /* Criterion's own, for its test processes */
}

void teardown(void)
{
    char command[64];
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

void start(const char *config, const char *params)
{
    int pair[2];
    write_text("run.json", config);
    write_text("params.json", params);
    cr_assert_eq(mkdir("trial", 0700), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    (void)setenv("FORKLESS_FD", "3", 1);
    (void)setenv("FORKLESS_PARAMS", "params.json", 1);
    (void)setenv("FORKLESS_SEED", "5", 1);
    (void)setenv("FORKLESS_TRIAL_DIR", "trial", 1);
    posix_spawn_file_actions_t actions;
    char *argv[] = {XGB_WORKER, "--config", "run.json", NULL};
    cr_assert_eq(posix_spawn_file_actions_init(&actions), 0);
    int end =
        fcntl(pair[1], F_DUPFD_CLOEXEC, 10); /* so that dup2 always makes another descriptor */
    cr_assert_eq(posix_spawn_file_actions_adddup2(&actions, end, 3), 0);
    cr_assert_eq(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(end);
    (void)close(pair[1]);
    fd = pair[0];
    in = fdopen(fd, "r");
    cr_assert_not_null(in);
}

void say(const char *line)
{
    cr_assert_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
}

/* The worker's next message, NULL at its end. The caller frees. */
json_t *hear(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, in);
    json_t *message = n > 0 ? json_read(line, (size_t)n, NULL) : NULL;
    cr_assert(n <= 0 || message != NULL, "not JSON: %s", line);
    free(line);
    return message;
}

const char *op_of(const json_t *message)
{
    return json_string_value(json_object_get(message, "op"));
}

/* Listens until the trial ends, answering reports with "prune": after the prune_at-th. */
struct heard listen_to_trial(int prune_at)
{
    struct heard h = {
        .rows = json_array(), .attrs = json_object(), .events = json_array(), .value = NAN};
    for (;;) {
        json_t *m = hear();
        cr_assert_not_null(m, "the worker has gone");
        if (strcmp(op_of(m), "report") == 0) {
            h.steps[h.n_reports] = (int)json_integer_value(json_object_get(m, "step"));
            h.reported[h.n_reports++] = json_number_value(json_object_get(m, "value"));
            say(h.n_reports == prune_at ? "{\"prune\":true}\n" : "{\"prune\":false}\n");
        } else if (strcmp(op_of(m), "row") == 0) {
            cr_expect_str_eq(json_string_value(json_object_get(m, "table")), "finetune_results");
            (void)json_array_append(h.rows, json_object_get(m, "values"));
        } else if (strcmp(op_of(m), "attr") == 0) {
            (void)json_object_set(h.attrs, json_string_value(json_object_get(m, "key")),
                                  json_object_get(m, "value"));
        } else if (strcmp(op_of(m), "event") == 0) {
            (void)json_array_append(h.events, m);
        } else {
            (void)snprintf(h.end, sizeof(h.end), "%s", op_of(m));
            h.value = json_number_value(json_array_get(json_object_get(m, "values"), 0));
            h.last = m;
            return h;
        }
        json_decref(m);
    }
}

void forget(struct heard *h)
{
    json_decref(h->rows);
    json_decref(h->attrs);
    json_decref(h->events);
    json_decref(h->last);
}

int exit_status(void)
{
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    pid = 0;
    return status;
}

void expect_stop(void)
{
    say("{\"op\":\"stop\"}\n");
    cr_expect_null(hear());
    int status = exit_status();
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
