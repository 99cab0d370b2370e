#include "tests/lib/cut.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct cut_relay {
    char dir[64], server[64];
    int listener;
    pthread_t thread;
    atomic_int what;
    atomic_bool stop;
};

static int name(struct sockaddr_un *a, const char *dir)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    return snprintf(a->sun_path, sizeof(a->sun_path), "%s/.s.PGSQL.5432", dir);
}

/* Passes on what has come. Returns false when there is no more. */
static bool pass(int from, int to)
{
    char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof(bytes), 0);
    for (ssize_t done = 0, k; done < n; done += k) {
        if ((k = send(to, bytes + done, (size_t)(n - done), MSG_NOSIGNAL)) < 0)
            return false;
    }
    return n > 0;
}

/* Waits for the answer, so that the server has surely done it, and drops it. */
static void swallow(int server)
{
    char bytes[65536];
    (void)recv(server, bytes, sizeof(bytes), 0);
}

/* One connection, to its end. */
static void relay(struct cut_relay *r, int client, int server)
{
    struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    while (!atomic_load(&r->stop)) {
        if (poll(p, 2, 20) <= 0)
            continue;
        if (p[0].revents != 0) {
            int what = atomic_exchange(&r->what, CUT_NOTHING);
            if (what == CUT_REQUEST || !pass(client, server))
                return;
            if (what == CUT_ANSWER) {
                swallow(server);
                return;
            }
        }
        if (p[1].revents != 0 && !pass(server, client))
            return;
    }
}

static void *serve(void *arg)
{
    struct cut_relay *r = arg;
    struct sockaddr_un a;
    struct pollfd p = {.fd = r->listener, .events = POLLIN};
    while (!atomic_load(&r->stop)) {
        if (poll(&p, 1, 20) <= 0)
            continue;
        int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)name(&a, r->server);
        if (connect(server, (struct sockaddr *)&a, sizeof(a)) == 0)
            relay(r, client, server);
        (void)close(client);
        (void)close(server);
    }
    return NULL;
}

struct cut_relay *cut_start(const char *server_dir)
{
    struct cut_relay *r = calloc(1, sizeof(*r));
    struct sockaddr_un a;
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/forkless-cut-XXXXXX");
    (void)snprintf(r->server, sizeof(r->server), "%s", server_dir);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (mkdtemp(r->dir) == NULL || name(&a, r->dir) < 0 ||
        bind(r->listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(r->listener, 8) != 0 ||
        pthread_create(&r->thread, NULL, serve, r) != 0)
        abort();
    return r;
}

const char *cut_dir(const struct cut_relay *r)
{
    return r->dir;
}

void cut_next(struct cut_relay *r, enum cut what)
{
    atomic_store(&r->what, what);
}

void cut_stop(struct cut_relay *r)
{
    struct sockaddr_un a;
    atomic_store(&r->stop, true);
    (void)pthread_join(r->thread, NULL);
    (void)close(r->listener);
    (void)name(&a, r->dir);
    (void)unlink(a.sun_path);
    (void)rmdir(r->dir);
    free(r);
}
