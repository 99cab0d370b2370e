#include "executor/forks.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/internal.h"

/* Written down of one trial; counted are all. */
#define MAX_RECORDS 100u

/* --- what is known of them -------------------------------------------------------------------- */

/* forks.jsonl in the trial's directory: part of the evidence, should it hang. */
static void write_record(const struct run *r, const struct fork_call *f, const struct origin *from,
                         const char *how)
{
    struct buf b = BUF_INIT;
    if (r->forks.threaded > MAX_RECORDS)
        return;
    guard_put_json(&b, f, from, how);
    buf_putc(&b, '\n');
    AUTO_CLOSE int fd =
        openat(r->dir_fd, "forks.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && !b.failed)
        (void)!write(fd, b.data, b.len); /* the event and the row say it, too */
    buf_free(&b);
}

/* In the trial's row: how many, the last one as an example, and the last place that is known. */
static void set_attribute(struct run *r, const struct fork_call *f, const struct origin *from,
                          const char *how)
{
    struct buf b = BUF_INIT;
    struct err err;
    buf_printf(&b, "{\"threaded\":%u,\"going_on\":%u,\"denied\":%u,\"last\":", r->forks.threaded,
               r->forks.going_on, r->forks.denied);
    guard_put_json(&b, f, NULL, how);
    buf_putc(&b, '}');
    json_t *value = b.failed ? NULL : json_read(b.data, b.len, &err);
    buf_free(&b);
    if (value == NULL)
        return;
    if (from != NULL) {
        json_decref(r->forks.from);
        r->forks.from = json_deep_copy(origin_doc(from));
    }
    if (r->forks.from != NULL)
        (void)json_object_set(value, "from", r->forks.from);
    if (r->new_attrs == NULL)
        r->new_attrs = json_object();
    (void)json_object_set_new(r->new_attrs, ATTR_FORKS, value);
    record_reports(r);
}

static void tell(struct slot *s, const struct fork_call *f, const struct origin *from,
                 const char *how)
{
    struct run *r = s->run;
    struct executor *ex = s->ex;
    char text[800];
    AUTO_FREE char *where = from != NULL ? json_dumps(origin_doc(from), JSON_COMPACT) : NULL;
    write_record(r, f, from, how);
    set_attribute(r, f, from, how);
    log_event(LOG_WARNING, "fork_after_threads", LOG_TEXT("study", r->study->view.name),
              LOG_INT("trial", r->number), LOG_TEXT("how", how), LOG_INT("pid", f->pid),
              LOG_TEXT("command", f->command), LOG_INT("threads", f->threads),
              LOG_TEXT("others", f->names), LOG_FLAG("grpc", (f->live & GUARD_GRPC) != 0),
              LOG_FLAG("openmp", (f->live & GUARD_OPENMP) != 0),
              LOG_RAW("from", where != NULL ? where : "null"));
    if (ex->forks_told)
        return; /* one is enough for people */
    ex->forks_told = true;
    guard_say(text, sizeof(text), f, from, how[0] == 'f' ? "has forked" : "forks");
    executor_notice(ex, "trial %" PRId64 ": %s%s", r->number, text,
                    how[0] == 'd' ? ": refused" : ": its children may hang");
}

/* --- one call --------------------------------------------------------------------------------- */

/* The one line that the user finds beside the OSError. */
static void explain(struct slot *s, const struct fork_call *f, const struct origin *from)
{
    char text[800];
    struct buf b = BUF_INIT;
    guard_say(text, sizeof(text), f, from, "called fork");
    buf_printf(
        &b,
        "forkless: fork refused (EAGAIN): %s. The child could wait for ever for a lock whose "
        "owner it lacks. Use n_jobs=1 or the \"spawn\" start method; watch.fork=warn only "
        "warns.\n",
        text);
    if (!b.failed)
        capture_write(&s->pipes.err_log, b.data, b.len);
    buf_free(&b);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void count(struct executor_forks *all, const struct lookout_report *l)
{
    all->threaded += l->how == LOOKOUT_CALLED || l->how == LOOKOUT_DENIED ? (int64_t)l->n : 0;
    all->going_on += l->how == LOOKOUT_GOES_ON;
    all->denied += l->how == LOOKOUT_DENIED;
}

static void take(struct slot *s, const struct lookout_report *l)
{
    struct run *r = s->run;
    count(&s->ex->forks, l);
    s->forks.threaded = s->forks.threaded || l->how == LOOKOUT_CALLED;
    if (r == NULL || r->ended)
        return;
    switch (l->how) {
    case LOOKOUT_CALLED:
        r->forks.threaded += (unsigned)l->n;
        break;
    case LOOKOUT_DENIED:
        r->forks.threaded++;
        r->forks.denied++;
        explain(s, &l->call, l->origin);
        tell(s, &l->call, l->origin, "denied");
        break;
    case LOOKOUT_GOES_ON:
        if (l->at_ms < r->started_ms)
            break; /* the trial before in this worker made it */
        r->forks.going_on++;
        tell(s, &l->call, l->origin, "goes on");
        break;
    case LOOKOUT_MISSED:
        break; /* it is over, and hangs nobody */
    }
}

/* Said once: it will be the same for the next worker. */
static void unseen(struct executor *ex, const char *why)
{
    if (ex->forks_unseen)
        return;
    ex->forks_unseen = true;
    log_event(LOG_WARNING, "fork_guard_off", LOG_TEXT("error", why));
    executor_notice(ex, "forks of workers are not seen: %s", why);
}

/* Its worker cannot fork any more; whoever looks for the reason finds it beside the error. */
static void check_lookout(struct slot *s)
{
    char why[160];
    int sys = lookout_failed(s->forks.lookout);
    if (sys == 0 || s->forks.failed)
        return;
    s->forks.failed = true;
    (void)snprintf(why, sizeof(why),
                   "nobody can look at them any more (%s), and they fail (ENOSYS)", strerror(sys));
    struct buf b = BUF_INIT;
    buf_printf(&b, "forkless: forks of this worker are not seen: %s\n", why);
    if (!b.failed)
        capture_write(&s->pipes.err_log, b.data, b.len);
    buf_free(&b);
    unseen(s->ex, why);
}

void forks_take(struct slot *s)
{
    struct lookout_report l;
    if (s->forks.lookout == NULL)
        return;
    while (lookout_take(s->forks.lookout, &l)) {
        take(s, &l);
        origin_free(l.origin);
    }
    check_lookout(s);
}

void forks_take_last(struct slot *s)
{
    if (s->forks.lookout != NULL)
        lookout_hurry(s->forks.lookout);
    forks_take(s);
}

void forks_count(const struct executor *ex, struct executor_forks *out)
{
    *out = ex->forks;
    for (int i = 0; i < ex->plan.jobs; i++) {
        struct lookout *l = ex->slots[i].forks.lookout;
        out->all += l != NULL ? (int64_t)lookout_forks(l) : 0;
    }
}

static void on_reports(uv_async_t *a)
{
    struct executor *ex = CONTAINER_OF(a, struct executor, forks_async);
    for (int i = 0; i < ex->plan.jobs; i++)
        forks_take(&ex->slots[i]);
}

void forks_init(struct executor *ex)
{
    (void)uv_async_init(&ex->loop, &ex->forks_async, on_reports);
    uv_unref((uv_handle_t *)&ex->forks_async);
}

static void wake(void *ctx)
{
    (void)uv_async_send(&((struct executor *)ctx)->forks_async);
}

/* --- found by a search ------------------------------------------------------------------------ */

struct finding {
    struct slot *slot;
    pid_t forker;
    struct fork_call call;
};

static void look(void *data)
{
    struct finding *f = data;
    guard_look(f->forker, &f->call);
}

static void on_look(void *data)
{
    struct finding *f = data;
    struct run *r = f->slot->run;
    f->slot->forks.look = NULL;
    if (r == NULL || r->ended || !guard_threaded(&f->call))
        return;
    r->forks.threaded++;
    r->forks.going_on++;
    f->slot->ex->forks.threaded++;
    f->slot->ex->forks.going_on++;
    tell(f->slot, &f->call, NULL, "found later");
}

void forks_found(struct slot *s, pid_t forker)
{
    static const struct aside_conf conf = {.work = look, .done = on_look, .free = free};
    if (s->run == NULL || s->run->ended || s->run->forks.going_on > 0 || s->forks.look != NULL)
        return;
    struct finding *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return;
    *f = (struct finding){.slot = s, .forker = forker};
    s->forks.look = aside_start(&s->ex->loop, &conf, f);
}

/* --- a worker's life -------------------------------------------------------------------------- */

/* The same for all studies of a sweep. */
bool forks_watched(const struct executor *ex)
{
    switch (ex->spec->watch.fork) {
    case WATCH_FORK_WARN:
    case WATCH_FORK_DENY:
        return true;
    case WATCH_FORK_AUTO:
        return guard_is_harmless();
    default:
        return false;
    }
}

void forks_begin(struct slot *s, bool watched)
{
    s->forks.hello_due = watched;
    s->forks.threaded = false;
    s->forks.failed = false;
}

void forks_hello(struct slot *s)
{
    struct executor *ex = s->ex;
    const struct lookout_conf conf = {
        .deny = ex->spec->watch.fork == WATCH_FORK_DENY, .wake = wake, .ctx = ex};
    int why, listener;
    int n = s->forks.hello_due ? guard_hello(s->proc.channel, &listener, &why) : 0;
    if (n == 0)
        return;
    s->forks.hello_due = false;
    if (n < 0)
        return; /* the worker's end says more */
    if (listener < 0)
        unseen(ex, guard_why(why));
    else if ((s->forks.lookout = lookout_start(listener, &conf)) == NULL)
        unseen(ex, "no thread to look at them is to be had, and they fail (ENOSYS)");
    else
        ex->forks.seen = true;
}

void forks_end(struct slot *s)
{
    if (s->forks.look != NULL)
        aside_forget(s->forks.look);
    s->forks.look = NULL;
    if (s->forks.lookout != NULL)
        s->ex->forks.all += (int64_t)lookout_forks(s->forks.lookout);
    lookout_end(s->forks.lookout);
    s->forks.lookout = NULL;
}
