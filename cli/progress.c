#include "cli/progress.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

#define TICK_MS 200
#define BAR_WIDTH 20

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* Whether the terminal takes a line now: after ^S it does not, and a write would stop the sweep. */
static bool ready(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) != 0;
}

void progress_clear(struct progress *p)
{
    if (!p->shown || !ready())
        return;
    (void)fputs("\r\033[K", stderr);
    p->shown = false;
}

/* A line that stays, in one write. What the terminal does not take is counted and told later. */
static void say(struct progress *p, const char *colour, const char *head, const char *text)
{
    struct buf b = BUF_INIT;
    AUTO_FREE char *clean = strdup(text);
    bool coloured = p->colour && colour != NULL;
    if (clean == NULL || !ready()) {
        p->untold++;
        return;
    }
    progress_clear(p);
    if (p->untold > 0)
        buf_printf(&b, "%u message%s not shown while the terminal stood still\n", p->untold,
                   p->untold == 1 ? " was" : "s were");
    buf_printf(&b, "%s%s%s%s\n", coloured ? colour : "", head, coloured ? "\033[0m" : "",
               text_clean(clean));
    p->untold = 0;
    (void)fputs(buf_str(&b), stderr);
    buf_free(&b);
}

/* What the line may tell, in its order; the more, the wider the terminal. */
enum field { STOPPING, AGAIN, BAR, DONE, RUNNING, FAILED, BEST, RATE, LEFT, QUIET, FIELDS };

/* Which field goes first where the line is too long. */
static const enum field least_needed[] = {RATE, RUNNING, BAR, QUIET, BEST, LEFT, FAILED, AGAIN};

static void put_bar(struct buf *b, int64_t done, int64_t target)
{
    int64_t full = target > 0 ? done * BAR_WIDTH / target : 0;
    for (int64_t i = 0; i < BAR_WIDTH; i++)
        buf_puts(b, i < full ? "━" : "┄");
}

static void put_rate(struct buf fields[static FIELDS], const struct executor_status *s)
{
    char text[32];
    double fresh = (double)s->done, seconds = (double)s->elapsed_ms / 1000;
    for (int i = 0; i < s->n_studies; i++)
        fresh -= (double)s->studies[i].done_before;
    if (fresh < 1 || seconds <= 0)
        return;
    double rate = fresh / seconds;
    if (rate >= 1)
        buf_printf(&fields[RATE], "%.1f/s", rate);
    else
        buf_printf(&fields[RATE], "%.1f/min", rate * 60);
    if (s->target > s->done)
        buf_printf(&fields[LEFT], "%s left",
                   text_human_ms((uint64_t)((double)(s->target - s->done) / rate * 1000), text));
}

static void put_done(struct buf *b, const struct executor_status *s)
{
    if (s->target == 0)
        buf_printf(b, "%" PRId64 " done", s->done);
    else if (s->done > s->target)
        buf_printf(b, "%" PRId64 " done, %" PRId64 " asked for", s->done, s->target);
    else
        buf_printf(b, "%" PRId64 "/%" PRId64, s->done, s->target);
}

/* What a person wants to know who has told it to stop. */
static void put_stopping(struct buf fields[static FIELDS], const struct executor_status *s)
{
    bool one = s->running == 1;
    if (s->running == 0)
        buf_puts(&fields[STOPPING], "stopping: results are being stored");
    else
        buf_printf(&fields[STOPPING], "stopping: %" PRId64 " still run%s", s->running,
                   one ? "s" : "");
    if (s->running > 0 && s->signals == 1)
        buf_printf(&fields[AGAIN], "Ctrl-C again ends %s now", one ? "it" : "them");
}

static void put_fields(struct buf fields[static FIELDS], const struct progress *p,
                       const struct executor_status *s)
{
    char idle[32];
    put_done(&fields[DONE], s);
    if (s->failed > 0)
        buf_printf(&fields[FAILED], "%" PRId64 " failed", s->failed);
    if (s->best_study >= 0) {
        const struct executor_study *best = &s->studies[s->best_study];
        buf_printf(&fields[BEST], "best %s %.6g (#%" PRId64 ")", p->metric, best->best_value,
                   best->best_number);
    }
    if (s->signals > 0) {
        put_stopping(fields, s);
        return;
    }
    put_bar(&fields[BAR], s->done, s->target);
    buf_printf(&fields[RUNNING], "%" PRId64 " running", s->running);
    put_rate(fields, s);
    if (s->quietest_ms >= 5000)
        buf_printf(&fields[QUIET], "quiet for %s", text_human_ms(s->quietest_ms, idle));
}

/* In characters, not bytes. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void join(struct buf *line, const struct buf fields[static FIELDS])
{
    buf_clear(line);
    for (int i = 0; i < FIELDS; i++) {
        if (fields[i].len > 0)
            buf_printf(line, "%s%s",
                       line->len == 0                     ? ""
                       : i == DONE && fields[BAR].len > 0 ? " "
                                                          : " · ",
                       fields[i].data);
    }
}

void progress_line(struct buf *line, const struct progress *p, const struct executor_status *s,
                   int width)
{
    struct buf fields[FIELDS] = {0};
    put_fields(fields, p, s);
    join(line, fields);
    for (size_t i = 0; i < ARRAY_LEN(least_needed) && width_of(buf_str(line)) > width; i++) {
        buf_clear(&fields[least_needed[i]]);
        join(line, fields);
    }
    for (int i = 0; i < FIELDS; i++)
        buf_free(&fields[i]);
}

static void tick(void *ctx, const struct executor_status *s)
{
    struct progress *p = ctx;
    AUTO(buf_free) struct buf line = BUF_INIT;
    progress_line(&line, p, s, columns() - 1);
    if (line.len > 0 && !line.failed && ready()) {
        (void)fprintf(stderr, "\r%s\033[K", text_clean(line.data));
        p->shown = true;
    }
}

static void trial_end(void *ctx, const struct executor_study *study, int64_t number,
                      enum trial_state state, enum fail_class fail, const char *message,
                      double value)
{
    AUTO(buf_free) struct buf head = BUF_INIT, text = BUF_INIT;
    (void)study;
    (void)value;
    if (state != TRIAL_FAIL)
        return;
    if (fail_class_is_interruption(fail)) { /* no failure of the trial */
        buf_printf(&head, "trial %" PRId64 " %s", number, fail_class_name(fail));
    } else {
        buf_printf(&head, "trial %" PRId64 " failed", number);
        buf_printf(&text, " (%s)", fail_class_name(fail));
    }
    buf_printf(&text, ": %s", message != NULL ? message : "no message");
    say(ctx, fail_class_is_interruption(fail) ? NULL : "\033[33m", buf_str(&head), buf_str(&text));
}

static void notice(void *ctx, const char *text)
{
    say(ctx, NULL, "", text);
}

void progress_init(struct progress *p, const char *metric)
{
    *p = (struct progress){.colour = cli_colour(STDERR_FILENO), .metric = metric};
    p->watcher = (struct executor_watcher){
        .ctx = p, .tick_ms = TICK_MS, .tick = tick, .trial_end = trial_end, .notice = notice};
}
