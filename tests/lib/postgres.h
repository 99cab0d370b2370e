/* A PostgreSQL server of the test's own: a cluster in a directory below /tmp, reached by a socket
 * in it, owned by a user that is not root, gone when the test is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct pg_server {
    char dir[64];               /* the cluster is in dir/data, the socket in dir */
    char url[160];              /* of its database postgres */
    pid_t pid;                  /* of the postmaster; 0 = it does not run */
    const char *const *options; /* "-c", "name=value" …, NULL at the end; may be NULL */
    bool durable;               /* fsync, as outside of tests */
};

/* Makes a cluster and starts its server. Returns false, with a line on stderr, when that is not
 * possible; then nothing is left behind. */
bool pg_server_start(struct pg_server *s);
/* Makes a streaming replica of a server that runs, and starts it. From then on the server's commits
 * are answered when the replica has them, too. Returns as pg_server_start. */
bool pg_server_replicate(struct pg_server *replica, const struct pg_server *of);
/* The replica takes writes from now on. */
bool pg_server_promote(struct pg_server *replica);
/* Starts it again after pg_server_halt. */
bool pg_server_again(struct pg_server *s);
/* Ends it by SIGINT (fast shutdown), SIGQUIT or SIGKILL, and waits. The cluster stays. */
void pg_server_halt(struct pg_server *s, int sig);
/* Stops (SIGSTOP) or continues (SIGCONT) the postmaster and all its processes. */
void pg_server_signal_all(const struct pg_server *s, int sig);
/* Ends it and removes the directory. */
void pg_server_remove(struct pg_server *s);

/* The url of a database of a server by its directory; valid until the next call. */
const char *pg_url(const char *dir, const char *database);
/* The first field of the first row, a number; -1 when the server does not answer, or knows no such
 * table. By a connection of its own. */
long pg_ask(const char *url, const char *sql);
/* Makes an empty database and returns its url. Fails the program when it cannot. */
const char *pg_fresh(const char *dir);
