/* The server's threads under ThreadSanitizer: work that is held up, and what comes meanwhile. */
#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/grpc/server/crew.h"

enum event { QUICK, STUCK, END };
enum { EVENTS_MAX = 4000 };

struct test {
    enum event events[EVENTS_MAX]; /* [posted] */
    size_t posted, taken;
    sem_t news, done, stuck, release;
    pthread_mutex_t lock; /* of n_todo */
    size_t n_todo[2];     /* by kind */
    atomic_int waiting;
};

static void post(struct test *t, enum event e)
{
    t->events[t->posted++] = e;
    (void)sem_post(&t->news);
}

static bool wait_event(void *ctx)
{
    struct test *t = ctx;
    assert(atomic_fetch_add(&t->waiting, 1) == 0);
    (void)sem_wait(&t->news);
    enum event e = t->events[t->taken++];
    (void)pthread_mutex_lock(&t->lock);
    if (e != END)
        t->n_todo[e]++;
    (void)pthread_mutex_unlock(&t->lock);
    (void)atomic_fetch_sub(&t->waiting, 1);
    return e != END;
}

static bool take(struct test *t, enum event e)
{
    (void)pthread_mutex_lock(&t->lock);
    bool there = t->n_todo[e] > 0;
    t->n_todo[e] -= there;
    (void)pthread_mutex_unlock(&t->lock);
    return there;
}

static void work(void *ctx)
{
    struct test *t = ctx;
    while (take(t, QUICK))
        (void)sem_post(&t->done);
    if (!take(t, STUCK))
        return;
    (void)sem_post(&t->stuck);
    (void)sem_wait(&t->release);
    (void)sem_post(&t->done);
}

static void quick_ones(struct test *t, int n)
{
    for (int i = 0; i < n; i++) {
        post(t, QUICK);
        (void)sem_wait(&t->done);
    }
}

static void hold_one_up(struct test *t)
{
    post(t, STUCK);
    (void)sem_wait(&t->stuck);
}

static void let_go(struct test *t, int n)
{
    for (int i = 0; i < n; i++)
        (void)sem_post(&t->release);
    for (int i = 0; i < n; i++)
        (void)sem_wait(&t->done);
}

int main(void)
{
    static struct test t;
    const struct crew_task task = {.wait = wait_event, .work = work, .ctx = &t};
    struct crew *crew = NULL;
    struct err err = {0};
    (void)pthread_mutex_init(&t.lock, NULL);
    (void)sem_init(&t.news, 0, 0);
    (void)sem_init(&t.done, 0, 0);
    (void)sem_init(&t.stuck, 0, 0);
    (void)sem_init(&t.release, 0, 0);
    if (crew_start(&crew, &task, 3, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    quick_ones(&t, 100);
    for (int i = 0; i < 5; i++) {
        hold_one_up(&t);
        quick_ones(&t, 100);
        hold_one_up(&t);
        quick_ones(&t, 100);
        let_go(&t, 2);
        quick_ones(&t, 100);
    }
    hold_one_up(&t);
    post(&t, END);
    let_go(&t, 1);
    crew_join(crew);
    return 0;
}
