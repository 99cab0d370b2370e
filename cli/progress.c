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

#define TICK_MS 200
#define BAR 20

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
        buf_printf(&b, "%u messages were not shown while the terminal stood still\n", p->untold);
    buf_printf(&b, "%s%s%s%s\n", coloured ? colour : "", head, coloured ? "\033[0m" : "",
               text_clean(clean));
    p->untold = 0;
    (void)fputs(buf_str(&b), stderr);
    buf_free(&b);
}

static void put_bar(struct buf *b, int64_t done, int64_t target)
{
    int64_t full = target > 0 ? done * BAR / target : 0;
    for (int64_t i = 0; i < BAR; i++)
        buf_puts(b, i < full ? "━" : "┄");
    buf_putc(b, ' ');
}

static void put_rate(struct buf *b, const struct executor_status *s)
{
    char text[32];
    double fresh = (double)s->done, seconds = (double)s->elapsed_ms / 1000;
    for (int i = 0; i < s->n_studies; i++)
        fresh -= (double)s->studies[i].done_before;
    if (fresh < 1 || seconds <= 0)
        return;
    double rate = fresh / seconds;
    if (rate >= 1)
        buf_printf(b, " · %.1f/s", rate);
    else
        buf_printf(b, " · %.1f/min", rate * 60);
    if (s->target > s->done)
        buf_printf(b, " · %s left",
                   text_human_ms((uint64_t)((double)(s->target - s->done) / rate * 1000), text));
}

/* Cuts after so many characters, not bytes. */
static void cut(struct buf *b, int width)
{
    for (size_t i = 0; i < b->len; i++) {
        if (((unsigned char)b->data[i] & 0xc0) != 0x80 && width-- == 0) {
            b->data[i] = '\0';
            b->len = i;
        }
    }
}

static void tick(void *ctx, const struct executor_status *s)
{
    struct progress *p = ctx;
    struct buf b = BUF_INIT;
    char text[TEXT_DOUBLE_MAX], idle[32];
    put_bar(&b, s->done, s->target);
    if (s->target > 0)
        buf_printf(&b, "%" PRId64 "/%" PRId64, s->done, s->target);
    else
        buf_printf(&b, "%" PRId64 " done", s->done);
    buf_printf(&b, " · %" PRId64 " running", s->running);
    if (s->failed > 0)
        buf_printf(&b, " · %" PRId64 " failed", s->failed);
    if (s->best_study >= 0) {
        const struct executor_study *best = &s->studies[s->best_study];
        (void)snprintf(text, sizeof(text), "%.6g", best->best_value);
        buf_printf(&b, " · best %s %s (#%" PRId64 ")", p->metric, text, best->best_number);
    }
    put_rate(&b, s);
    if (s->quietest_ms >= 5000)
        buf_printf(&b, " · quiet for %s", text_human_ms(s->quietest_ms, idle));
    cut(&b, columns() - 1);
    if (!b.failed && ready()) {
        (void)fprintf(stderr, "\r%s\033[K", text_clean(b.data));
        p->shown = true;
    }
    buf_free(&b);
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
    buf_printf(&head, "trial %" PRId64 " failed", number);
    buf_printf(&text, " (%s): %s", fail_class_name(fail), message != NULL ? message : "no message");
    say(ctx, "\033[33m", buf_str(&head), buf_str(&text));
}

static void notice(void *ctx, const char *text)
{
    say(ctx, NULL, "", text);
}

void progress_init(struct progress *p, const char *metric)
{
    *p = (struct progress){.colour = getenv("NO_COLOR") == NULL, .metric = metric};
    p->watcher = (struct executor_watcher){
        .ctx = p, .tick_ms = TICK_MS, .tick = tick, .trial_end = trial_end, .notice = notice};
}
