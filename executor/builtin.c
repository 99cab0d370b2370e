/* The built-in XGBoost worker: its settings, and its data read and checked once before any trial.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/internal.h"

extern char **environ;

/* The spec's settings as they are, and where the parsed data is kept: with the run unless said
 * otherwise, because there it is writable when nothing else is. */
static int write_settings(struct study *st, struct err *err)
{
    const char *text = st->spec->run.config;
    AUTO_JSON json_t *conf = json_read(text, strlen(text), err);
    AUTO_FREE char *cache = NULL;
    if (conf == NULL)
        return -ERR_INVALID;
    if (asprintf(&st->xgboost_conf, "%s/xgboost.json", st->dir) < 0)
        st->xgboost_conf = NULL;
    if (asprintf(&cache, "%s/../.data", st->dir) < 0)
        cache = NULL;
    if (st->xgboost_conf == NULL || cache == NULL)
        return err_set(err, ERR_NOMEM, "settings of forkless-xgboost");
    if (json_object_get(conf, "cache") == NULL)
        (void)json_object_set_new(conf, "cache", json_string(cache));
    if (json_dump_file(conf, st->xgboost_conf, JSON_INDENT(1)) < 0)
        return err_sys(err, errno, "write %s", st->xgboost_conf);
    return 0;
}

/* Reads both pipes to their ends; what stdout says is of no interest here. */
static void read_all(const struct spawned *p, struct buf *errors)
{
    struct pollfd fds[] = {{.fd = p->out_fd, .events = POLLIN},
                           {.fd = p->err_fd, .events = POLLIN}};
    char data[4096];
    for (int open = 2; open > 0;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < 2; i++) {
            ssize_t n =
                fds[i].fd >= 0 && fds[i].revents != 0 ? read(fds[i].fd, data, sizeof(data)) : 1;
            if (n == 0) {
                fds[i].fd = -1; /* poll passes over it */
                open--;
            } else if (i == 1 && n > 0 && fds[i].revents != 0 && errors->len < sizeof(data)) {
                buf_add(errors, data, (size_t)n);
            }
        }
    }
}

int builtin_prepare(struct study *st, struct err *err)
{
    struct spawned p;
    struct buf errors = BUF_INIT;
    int status = 0;
    int rc = write_settings(st, err);
    if (rc == 0)
        rc = spawn_find_own(&st->program, "forkless-xgboost", err);
    if (rc < 0)
        return rc;
    char *argv[] = {(char *)"forkless-xgboost", (char *)"--config", st->xgboost_conf,
                    (char *)"--prepare", NULL};
    const struct spawn_req req = {.stub = st->ex->stub,
                                  .path = st->program,
                                  .argv = argv,
                                  .envp = environ,
                                  .cwd = st->spec->run.cwd};
    rc = spawn_worker(&p, &req, err);
    if (rc < 0)
        return rc;
    read_all(&p, &errors);
    (void)waitpid(p.pid, &status, 0);
    int *fds[] = {&p.pidfd, &p.out_fd, &p.err_fd, &p.channel};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        cleanup_close(fds[i]);
    if (status != 0) {
        if (errors.len > 0)
            errors.data[strcspn(errors.data, "\n")] = '\0';
        rc = err_set(err, ERR_INVALID, "%s",
                     errors.len > 0 ? buf_str(&errors) : "forkless-xgboost failed");
    }
    buf_free(&errors);
    return rc;
}
