/* Signals to the executor: requests to stop, and the deaths of children that are no workers. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

static void on_sigchld(uv_signal_t *h, int sig)
{
    struct executor *ex = CONTAINER_OF(h, struct executor, sigchld);
    (void)sig;
    keeper_look(ex);
    orphans_soon(ex);
}

static void tell_signal(struct executor *ex, int sig)
{
    uint64_t grace = ex->spec->watch.grace_ms, now = executor_now(ex);
    if (ex->signals == 1) {
        ex->signal_ms = now;
        executor_notice(
            ex, "%s: no new trials; running ones have %" PRIu64 " s to end. Once more to stop now.",
            strsignal(sig), grace / 1000);
    } else if (ex->signals == 2) {
        uint64_t past = now - ex->signal_ms;
        executor_notice(ex, "%s: stopping now (%" PRIu64 " s were left)", strsignal(sig),
                        past < grace ? (grace - past + 500) / 1000 : 0);
    }
}

static void on_signal(struct executor *ex, int sig)
{
    if (ex->over) {
        storeq_give_up(ex->storeq); /* only the run's last row is waited for */
        return;
    }
    ex->signals++;
    log_event(LOG_WARNING, "signal", LOG_INT("signal", sig), LOG_INT("count", ex->signals));
    tell_signal(ex, sig);
    if (ex->signals > 1)
        storeq_give_up(ex->storeq);
    executor_feed(ex, (struct sw_event){.type = SW_EV_SIGNAL});
}

static void on_sigint(uv_signal_t *h, int sig)
{
    on_signal(CONTAINER_OF(h, struct executor, sigint), sig);
}

static void on_sigterm(uv_signal_t *h, int sig)
{
    on_signal(CONTAINER_OF(h, struct executor, sigterm), sig);
}

static void mask_stop_signals(int how)
{
    sigset_t stop;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigprocmask(how, &stop, NULL);
}

void signals_hold(void)
{
    mask_stop_signals(SIG_BLOCK);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end a sweep */
}

void signals_start(struct executor *ex)
{
    (void)uv_signal_init(&ex->loop, &ex->sigint);
    (void)uv_signal_init(&ex->loop, &ex->sigterm);
    (void)uv_signal_init(&ex->loop, &ex->sigchld);
    (void)uv_signal_start(&ex->sigint, on_sigint, SIGINT);
    (void)uv_signal_start(&ex->sigterm, on_sigterm, SIGTERM);
    (void)uv_signal_start(&ex->sigchld, on_sigchld, SIGCHLD);
    keeper_look(ex);                /* the data's preparation may have taken long */
    mask_stop_signals(SIG_UNBLOCK); /* they may have been blocked by who started us, too */
}
