/* The evidence for people: what a person with a terminal wants first stands first. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/evidence/doc.h"
#include "executor/evidence/evidence.h"

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static bool flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static void put_notes(struct buf *b, const json_t *object, const char *indent)
{
    size_t i;
    const json_t *note;
    json_array_foreach(json_object_get(object, "notes"), i, note)
        buf_printf(b, "%snote: %s\n", indent, json_string_value(note));
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void put_stack(struct buf *b, const json_t *frames)
{
    size_t i;
    const json_t *f;
    json_array_foreach(frames, i, f)
    {
        const char *function = doc_get(f, "function");
        buf_printf(b, "      #%-2zu %s", i, function[0] != '\0' ? function : "?");
        if (function[0] != '\0')
            buf_printf(b, "+%#" PRIx64, (uint64_t)number(f, "offset"));
        buf_printf(b, "  %s  %s\n", last_part(doc_get(f, "file")), doc_get(f, "pc"));
    }
}

static void put_futex(struct buf *b, const json_t *futex)
{
    if (futex == NULL)
        return;
    buf_printf(b, ", waits %s for futex %s (%s)",
               flag(futex, "timed") ? "a limited time" : "for ever", doc_get(futex, "addr"),
               flag(futex, "private") ? "of its own process" : "shared");
    if (flag(futex, "taken_lock"))
        buf_puts(b, ", a lock that is taken");
    if (json_object_get(futex, "lost_owner") != NULL)
        buf_printf(b, " by thread %" PRId64 ", which does not exist here",
                   number(futex, "lost_owner"));
}

static void put_thread(struct buf *b, const json_t *t)
{
    buf_printf(b, "    thread %" PRId64 " %s: state %s", number(t, "tid"), doc_get(t, "name"),
               doc_get(t, "state"));
    if (doc_get(t, "wchan")[0] != '\0' && strcmp(doc_get(t, "wchan"), "0") != 0)
        buf_printf(b, " in %s", doc_get(t, "wchan"));
    buf_printf(b, ", %" PRId64 " ms of CPU", number(t, "cpu_ms"));
    put_futex(b, json_object_get(t, "futex"));
    buf_putc(b, '\n');
    if (doc_get(t, "stands")[0] != '\0')
        buf_printf(b, "      stands %s\n", doc_get(t, "stands"));
    put_stack(b, json_object_get(t, "stack"));
}

static void put_python(struct buf *b, const json_t *python)
{
    size_t i, k;
    const json_t *t, *f;
    if (python == NULL)
        return;
    buf_printf(b, "    Python %s, by %s\n", doc_get(python, "version"), doc_get(python, "by"));
    put_notes(b, python, "      ");
    json_array_foreach(json_object_get(python, "threads"), i, t)
    {
        buf_printf(b, "      thread %" PRId64 "%s\n", number(t, "tid"),
                   flag(t, "of_parent") ? " (its number before the fork)" : "");
        json_array_foreach(json_object_get(t, "frames"), k, f)
            buf_printf(b, "        %s (%s:%" PRId64 ")\n", doc_get(f, "function"),
                       doc_get(f, "file"), number(f, "line"));
    }
}

static void put_head(struct buf *b, const json_t *p)
{
    buf_printf(b, "process %" PRId64 ": %s\n", number(p, "pid"),
               doc_get(p, "command")[0] != '\0' ? doc_get(p, "command") : doc_get(p, "name"));
    buf_printf(b, "    state %s, parent %" PRId64, doc_get(p, "state"), number(p, "ppid"));
    if (flag(p, "forked_without_exec"))
        buf_printf(b, " (forked without exec; the parent has %" PRId64 " threads)",
                   number(p, "parent_threads"));
    buf_printf(b,
               ", %" PRId64 " ms of CPU, %" PRId64 " MiB, %zu threads, %" PRId64 " descriptors\n",
               number(p, "cpu_ms"), number(p, "rss_kib") / 1024,
               json_array_size(json_object_get(p, "threads")), number(p, "n_fds"));
    put_notes(b, p, "    ");
}

static void put_process(struct buf *b, const json_t *p)
{
    size_t i;
    const json_t *t;
    put_head(b, p);
    put_python(b, json_object_get(p, "python"));
    json_array_foreach(json_object_get(p, "threads"), i, t) put_thread(b, t);
    buf_putc(b, '\n');
}

static void put_log(struct buf *b, const json_t *doc, const char *name)
{
    const json_t *lines = json_object_get(json_object_get(doc, "log"), name), *line;
    size_t i;
    if (json_array_size(lines) == 0)
        return;
    buf_printf(b, "the end of %s:\n", name);
    json_array_foreach(lines, i, line) buf_printf(b, "    %s\n", json_string_value(line));
    buf_putc(b, '\n');
}

static void put_fork(struct buf *b, const json_t *fork)
{
    size_t i;
    const json_t *from = json_object_get(fork, "from"), *frame;
    const char *at = doc_get(from, "at");
    buf_printf(b, "fork (%s): %s, process %" PRId64 ", with %" PRId64 " threads (%s)%s%s\n",
               doc_get(fork, "how"), doc_get(fork, "command"), number(fork, "pid"),
               number(fork, "threads"), doc_get(fork, "others"), at[0] != '\0' ? ", at " : "", at);
    json_array_foreach(json_object_get(from, "python"), i, frame)
        buf_printf(b, "    %s\n", json_string_value(frame));
    json_array_foreach(json_object_get(from, "stack"), i, frame)
        buf_printf(b, "    #%-2zu %s\n", i, json_string_value(frame));
}

void evidence_put_text(struct buf *b, const json_t *doc)
{
    const json_t *verdict = json_object_get(doc, "verdict"), *p;
    size_t i;
    if (json_object_get(doc, "trial") != NULL)
        buf_printf(b, "trial %" PRId64 " of study %s\n", number(doc, "trial"),
                   doc_get(doc, "study"));
    if (json_object_get(doc, "reason") != NULL)
        buf_printf(b, "%s: silent for %" PRId64 " ms\n", doc_get(doc, "reason"),
                   number(doc, "idle_ms"));
    buf_printf(b, "%s\nfork deadlock: %s%s%s\n", doc_get(doc, "time"), doc_get(verdict, "kind"),
               doc_get(verdict, "why")[0] != '\0' ? ": " : "", doc_get(verdict, "why"));
    put_notes(b, doc, "");
    json_array_foreach(json_object_get(doc, "forks"), i, p) put_fork(b, p);
    buf_putc(b, '\n');
    json_array_foreach(json_object_get(doc, "processes"), i, p) put_process(b, p);
    put_log(b, doc, "stdout");
    put_log(b, doc, "stderr");
}
