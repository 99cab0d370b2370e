#include "cli/repro_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"

/* Lines of a victim's own output that are shown when it went wrong. */
enum { LOG_LINES = 8 };

void report_finish(struct report *p)
{
    buf_free(&p->out);
    buf_free(&p->text);
}

static bool is_good(const struct report *p, const struct repro_result *r)
{
    return r->end == (p->c->hangs ? REPRO_HUNG : REPRO_PASSED);
}

/* ---- for people ---- */

/* Indented; text of others cannot steer the terminal. */
static void put_line(struct buf *b, const char *line, size_t n)
{
    AUTO_FREE char *text = strndup(line, n);
    if (text != NULL && n > 0)
        buf_printf(b, "    %s\n", text_clean(text));
}

static void put_lines(struct buf *b, const char *text, const char *without)
{
    for (const char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (without == NULL || memmem(line, n, without, strlen(without)) == NULL)
            put_line(b, line, n);
        line += n + (line[n] == '\n');
    }
}

static const char *last_lines(const char *text)
{
    const char *p = text + strlen(text);
    for (int lines = 0; p > text; p--) {
        if (p[-1] == '\n' && p[0] != '\0' && ++lines == LOG_LINES)
            break;
    }
    return p;
}

static void put_how(struct buf *b, const struct repro_result *r)
{
    if (r->end == REPRO_HUNG) {
        buf_printf(
            b,
            "    process %d has waited without moving: process %d forked it, with %d threads "
            "alive, and it has called no exec\n",
            (int)r->child, (int)r->parent, r->parent_threads);
        report_put_stack(b, r);
    }
    if (r->end == REPRO_SLOW)
        buf_puts(b, "    its time was up, but nothing shows that a fork is why\n");
    if (r->end == REPRO_FAILED && WIFSIGNALED(r->status))
        buf_printf(b, "    it died of signal %d\n", WTERMSIG(r->status));
    else if (r->end == REPRO_FAILED)
        buf_printf(b, "    it exited with %d\n", WEXITSTATUS(r->status));
    if (r->handlers_skipped)
        buf_puts(b, "    gRPC said: other threads are currently calling into gRPC, skipping fork() "
                    "handlers\n");
}

static void show_case(const struct report *p)
{
    char ms[32];
    bool good = p->good == p->tries;
    (void)printf("%-14s %s%s, %u of %u tries, at most %s\n", p->c->name, repro_end_name(p->last),
                 good ? ", as it should" : "", good ? p->good : p->tries - p->good, p->tries,
                 text_human_ms(p->ms, ms));
    if (!good)
        (void)printf("    WRONG: it should have %s\n", p->c->hangs ? "hung" : "passed");
    (void)fputs(buf_str(&p->text), stdout);
    (void)fflush(stdout);
}

/* ---- JSON ---- */

/* Lines of JSON objects become a list of them. */
static void put_events(struct buf *b, const char *lines)
{
    const char *comma = "";
    buf_putc(b, '[');
    for (const char *line = lines; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (json_check(line, n)) {
            buf_puts(b, comma);
            buf_add(b, line, n);
            comma = ",";
        }
        line += n + (line[n] == '\n');
    }
    buf_putc(b, ']');
}

static void put_try(struct report *p, const struct repro_result *r)
{
    struct buf *b = &p->out;
    buf_printf(b, "%s{\"end\":\"%s\",\"as_expected\":%s,\"ms\":%" PRIu64, p->tries > 0 ? "," : "",
               repro_end_name(r->end), is_good(p, r) ? "true" : "false", r->ms);
    if (r->end == REPRO_HUNG)
        buf_printf(b, ",\"child\":%d,\"parent\":%d,\"parent_threads\":%d", (int)r->child,
                   (int)r->parent, r->parent_threads);
    if (r->end == REPRO_FAILED)
        buf_printf(b, ",\"wait_status\":%d", r->status);
    buf_printf(b,
               ",\"fork_handlers_skipped\":%s,\"events\":", r->handlers_skipped ? "true" : "false");
    put_events(b, buf_str(&r->events));
    buf_puts(b, ",\"log\":");
    json_put_string_n(b, buf_str(&r->log), r->log.len);
    if (r->end == REPRO_HUNG)
        buf_printf(b, ",\"evidence\":%s", buf_str(&r->evidence));
    buf_putc(b, '}');
}

/* ---- both ---- */

void report_begin(struct report *p, const struct reproducer *r, const struct repro_arm *arm,
                  const struct repro_plan *plan, bool json)
{
    const char *method = arm->fork ? "fork" : "spawn";
    *p = (struct report){.json = json};
    if (json) {
        buf_printf(&p->out, "{\"name\":\"%s\",\"summary\":", r->name);
        json_put_string(&p->out, plan->summary);
        buf_printf(&p->out,
                   ",\"start_method\":\"%s\",\"backstop\":%s,\"jobs\":%" PRId64
                   ",\"samples\":%" PRId64 ",\"cases\":[",
                   method, arm->backstop ? "true" : "false", arm->jobs, arm->samples);
    } else {
        (void)printf("%s by %s%s: %s\n\n", r->name, method,
                     arm->backstop ? ", with GRPC_ENABLE_FORK_SUPPORT=1 GRPC_POLL_STRATEGY=poll"
                                   : "",
                     plan->summary);
        (void)fflush(stdout);
    }
}

void report_case(struct report *p, const struct repro_case *c)
{
    if (p->json) {
        buf_printf(&p->out, "%s{\"case\":", p->cases > 0 ? "," : "");
        json_put_string(&p->out, c->name);
        buf_puts(&p->out, ",\"about\":");
        json_put_string(&p->out, c->about);
        buf_printf(&p->out, ",\"expect\":\"%s\",\"tries\":[", c->hangs ? "hang" : "pass");
    }
    p->c = c;
    p->tries = p->good = 0;
    p->ms = 0;
    buf_clear(&p->text);
    put_lines(&p->text, c->about, NULL);
}

void report_try(struct report *p, const struct repro_result *r)
{
    bool good = is_good(p, r), first = p->tries == 0 || (!good && p->good == p->tries);
    if (p->json)
        put_try(p, r);
    if (first) { /* of its kind: the one to show */
        p->last = r->end;
        put_lines(&p->text, buf_str(&r->events), "\"child_start\"");
        put_how(&p->text, r);
        if (!good)
            put_lines(&p->text, last_lines(buf_str(&r->log)), NULL);
    }
    p->tries++;
    p->good += good;
    p->ms = r->ms > p->ms ? r->ms : p->ms;
}

void report_case_end(struct report *p)
{
    p->cases++;
    p->bad_cases += p->good < p->tries;
    if (p->json)
        buf_puts(&p->out, "]}");
    else
        show_case(p);
}

int report_end(struct report *p)
{
    bool good = p->bad_cases == 0 && p->cases > 0;
    if (p->json) {
        buf_printf(&p->out, "],\"ok\":%s}\n", good ? "true" : "false");
        if (p->out.failed) {
            cli_error("repro: not enough memory");
            return EXIT_UNMET;
        }
        (void)fputs(buf_str(&p->out), stdout);
    } else if (p->cases == 0) {
        (void)puts("There is nothing to learn from this combination.");
    } else if (good) {
        (void)puts("\nEvery case did what it should.");
    } else {
        (void)printf("\n%u of %u cases did not do what they should.\n", p->bad_cases, p->cases);
    }
    return good ? EXIT_OK : EXIT_UNMET;
}
