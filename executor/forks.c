#include "executor/forks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

/* Written down of one trial; counted are all. */
#define MAX_RECORDS 100u

/* --- what is known of them -------------------------------------------------------------------- */

/* forks.jsonl in the trial's directory: part of the evidence, should it hang. */
static void write_record(const struct run *r, const struct fork_call *f, const char *how)
{
    struct buf b = BUF_INIT;
    if (r->forks.threaded > MAX_RECORDS)
        return;
    guard_put_json(&b, f, how);
    buf_putc(&b, '\n');
    AUTO_CLOSE int fd =
        openat(r->dir_fd, "forks.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && !b.failed)
        (void)!write(fd, b.data, b.len); /* the event and the row say it, too */
    buf_free(&b);
}

/* In the trial's row: how many, and the last one as an example. */
static void set_attribute(struct run *r, const struct fork_call *f, const char *how)
{
    struct buf b = BUF_INIT;
    struct err err;
    buf_printf(&b, "{\"threaded\":%u,\"going_on\":%u,\"denied\":%u,\"last\":", r->forks.threaded,
               r->forks.going_on, r->forks.denied);
    guard_put_json(&b, f, how);
    buf_putc(&b, '}');
    json_t *value = b.failed ? NULL : json_read(b.data, b.len, &err);
    buf_free(&b);
    if (value == NULL)
        return;
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    (void)json_object_set_new(r->new_attrs, ATTR_FORKS, value);
    record_reports(r);
}

static void tell(struct slot *s, const struct fork_call *f, const char *how)
{
    struct run *r = s->run;
    struct executor *ex = s->ex;
    char text[400];
    write_record(r, f, how);
    set_attribute(r, f, how);
    log_event(LOG_WARNING, "fork_after_threads", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_TEXT("how", how), LOG_INT("pid", f->pid),
              LOG_TEXT("command", f->command), LOG_INT("threads", f->threads),
              LOG_TEXT("others", f->names), LOG_FLAG("grpc", (f->live & GUARD_GRPC) != 0),
              LOG_FLAG("openmp", (f->live & GUARD_OPENMP) != 0));
    if (ex->forks_found++ > 0)
        return; /* one is enough for people */
    guard_say(text, sizeof(text), f, how[0] == 'f' ? "has forked" : "forks");
    executor_notice(ex, "trial %" PRId64 ": %s%s", r->number, text,
                    how[0] == 'd' ? ": refused" : ": its children may hang");
}

/* --- one call --------------------------------------------------------------------------------- */

/* The one line that the user finds beside the OSError. */
static void explain(struct slot *s, const struct fork_call *f)
{
    char text[400];
    struct buf b = BUF_INIT;
    guard_say(text, sizeof(text), f, "called fork");
    buf_printf(
        &b,
        "forkless: fork refused (EAGAIN): %s. The child could wait for ever for a lock whose "
        "owner it lacks. Use n_jobs=1 or the \"spawn\" start method; watch.fork=warn only "
        "warns.\n",
        text);
    if (!b.failed)
        capture_write(&s->err_log, b.data, b.len);
    buf_free(&b);
}

static void look_later(struct slot *s, const struct fork_call *f);

static void on_call(struct slot *s, const struct fork_call *f)
{
    struct run *r = s->run;
    bool deny = s->study->spec->watch.fork == WATCH_FORK_DENY && guard_deadly(f);
    guard_answer(s->forks.listener, f->id, deny ? EAGAIN : 0);
    if (!guard_threaded(f))
        return;
    s->forks.threaded = s->forks.threaded || !deny;
    if (r == NULL || r->ended)
        return;
    r->forks.threaded++;
    if (deny) {
        r->forks.denied++;
        explain(s, f);
        tell(s, f, "denied");
    } else {
        look_later(s, f);
    }
}

static void on_notification(uv_poll_t *p, int status, int events)
{
    struct slot *s = CONTAINER_OF(CONTAINER_OF(p, struct forks, poll), struct slot, forks);
    struct fork_call f;
    (void)status;
    (void)events;
    int n = guard_next(s->forks.listener, &f);
    if (n > 0)
        on_call(s, &f);
    else if (n < 0)
        (void)uv_poll_stop(p);
}

/* --- what became of it ------------------------------------------------------------------------ */

static void judge(struct slot *s, const struct guard_pended *p)
{
    struct run *r = s->run;
    if (r == NULL || r->ended || r->number != p->owner || !guard_goes_on(&p->call))
        return;
    r->forks.going_on++;
    tell(s, &p->call, "goes on");
}

static void on_look(uv_timer_t *t);

static void arm_look(struct slot *s)
{
    struct forks *k = &s->forks;
    uint64_t now = executor_now(s->ex);
    if (k->pending.n > 0)
        (void)uv_timer_start(&k->look, on_look,
                             k->pending.v[0].due_ms > now ? k->pending.v[0].due_ms - now : 0, 0);
}

static void on_look(uv_timer_t *t)
{
    struct slot *s = CONTAINER_OF(CONTAINER_OF(t, struct forks, look), struct slot, forks);
    struct guard_pended due;
    while (guard_take_due(&s->forks.pending, executor_now(s->ex), &due))
        judge(s, &due);
    arm_look(s);
}

static void look_later(struct slot *s, const struct fork_call *f)
{
    guard_pend(&s->forks.pending, f, s->run->number, executor_now(s->ex));
    arm_look(s);
}

void forks_found(struct slot *s, pid_t forker)
{
    struct run *r = s->run;
    struct fork_call f;
    if (r == NULL || r->ended || r->forks.going_on > 0)
        return;
    guard_look(forker, &f);
    if (!guard_threaded(&f))
        return;
    r->forks.threaded++;
    r->forks.going_on++;
    tell(s, &f, "found later");
}

/* --- a worker's life -------------------------------------------------------------------------- */

void forks_begin(struct slot *s, bool watched)
{
    s->forks.hello_due = watched;
    s->forks.watching = false;
    s->forks.threaded = false;
    s->forks.pending.n = 0;
}

static void watch(struct slot *s)
{
    struct forks *k = &s->forks;
    (void)uv_poll_init(&s->ex->loop, &k->poll, k->listener);
    (void)uv_timer_init(&s->ex->loop, &k->look);
    (void)uv_poll_start(&k->poll, UV_READABLE, on_notification);
    k->watching = true;
}

void forks_hello(struct slot *s)
{
    struct executor *ex = s->ex;
    int why;
    int n = s->forks.hello_due ? guard_hello(s->proc.channel, &s->forks.listener, &why) : 0;
    if (n == 0)
        return;
    s->forks.hello_due = false;
    if (n < 0)
        return; /* the worker's end says more */
    if (s->forks.listener >= 0) {
        watch(s);
    } else if (!ex->forks_unseen) {
        ex->forks_unseen = true;
        log_event(LOG_WARNING, "fork_guard_off", LOG_TEXT("error", guard_why(why)));
        executor_notice(ex, "forks of workers are not seen: %s", guard_why(why));
    }
}

static void on_poll_closed(uv_handle_t *h)
{
    struct slot *s =
        CONTAINER_OF(CONTAINER_OF((uv_poll_t *)h, struct forks, poll), struct slot, forks);
    (void)close(s->forks.listener);
    slot_handle_closed(s);
}

static void on_look_closed(uv_handle_t *h)
{
    slot_handle_closed(
        CONTAINER_OF(CONTAINER_OF((uv_timer_t *)h, struct forks, look), struct slot, forks));
}

int forks_end(struct slot *s)
{
    if (!s->forks.watching)
        return 0;
    s->forks.watching = false;
    uv_close((uv_handle_t *)&s->forks.poll, on_poll_closed);
    uv_close((uv_handle_t *)&s->forks.look, on_look_closed);
    return 2;
}
