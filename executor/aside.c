#include "executor/aside.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Belongs to the loop and to the thread: who is done with it last frees it. */
struct aside {
    struct aside_conf conf;
    void *data;
    atomic_int refs;
    atomic_bool ready; /* data is the loop's: what the pipe tells, in a way that C knows */
    int ends[2];       /* the thread closes [1] when it has done its work */
    uv_poll_t poll;
};

static void unref(struct aside *a)
{
    if (atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    a->conf.free(a->data);
    free(a);
}

static void *work(void *arg)
{
    struct aside *a = arg;
    a->conf.work(a->data);
    atomic_store(&a->ready, true);
    (void)close(a->ends[1]); /* wakes the loop */
    unref(a);
    return NULL;
}

static void on_closed(uv_handle_t *h)
{
    struct aside *a = CONTAINER_OF((uv_poll_t *)h, struct aside, poll);
    (void)close(a->ends[0]);
    unref(a);
}

static void on_ready(uv_poll_t *p, int status, int events)
{
    struct aside *a = CONTAINER_OF(p, struct aside, poll);
    (void)status;
    (void)events;
    if (!atomic_load(&a->ready))
        return;
    uv_close((uv_handle_t *)p, on_closed);
    a->conf.done(a->data);
}

static bool start_thread(struct aside *a)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attr, work, a);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

/* With one reference, the loop's; NULL: data is freed. */
static struct aside *create(uv_loop_t *loop, const struct aside_conf *conf, void *data)
{
    struct aside *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        conf->free(data);
        return NULL;
    }
    *a = (struct aside){.conf = *conf, .data = data, .refs = 1};
    if (pipe2(a->ends, O_CLOEXEC) < 0) {
        unref(a);
        return NULL;
    }
    if (uv_poll_init(loop, &a->poll, a->ends[0]) < 0) {
        (void)close(a->ends[0]);
        (void)close(a->ends[1]);
        unref(a);
        return NULL;
    }
    return a;
}

struct aside *aside_start(uv_loop_t *loop, const struct aside_conf *conf, void *data)
{
    struct aside *a = create(loop, conf, data);
    if (a == NULL)
        return NULL;
    atomic_fetch_add(&a->refs, 1);
    (void)uv_poll_start(&a->poll, UV_READABLE | UV_DISCONNECT, on_ready);
    if (start_thread(a))
        return a;
    (void)close(a->ends[1]);
    unref(a);
    uv_close((uv_handle_t *)&a->poll, on_closed);
    return NULL;
}

void aside_forget(struct aside *a)
{
    uv_close((uv_handle_t *)&a->poll, on_closed);
}
