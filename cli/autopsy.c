#include "cli/autopsy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "executor/evidence/doc.h"

/* Threads that are told. */
enum { SHOWN = 5 };

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The innermost named frame outside the C library: who waits, not how. */
static void put_place(json_t *out, const json_t *thread)
{
    size_t i;
    const json_t *frame;
    json_array_foreach(json_object_get(thread, "stack"), i, frame)
    {
        AUTO(buf_free) struct buf place = BUF_INIT;
        const char *function = doc_get(frame, "function"),
                   *file = last_part(doc_get(frame, "file"));
        if (function[0] == '\0' || strncmp(file, "libc.so", 7) == 0)
            continue;
        buf_printf(&place, "%.90s (%s)", function, file);
        doc_text(out, "at", buf_str(&place));
        return;
    }
}

static void put_wait(json_t *out, const json_t *futex)
{
    char text[100];
    const json_t *owner = json_object_get(futex, "lost_owner");
    if (owner != NULL) {
        (void)snprintf(text, sizeof(text), "a lock of thread %" PRId64 ", which it does not have",
                       (int64_t)json_integer_value(owner));
        doc_text(out, "waits_for", text);
    } else if (json_is_true(json_object_get(futex, "taken_lock"))) {
        doc_text(out, "waits_for", "a lock that is taken");
    }
}

/* Its stack, as signs: what it stands in is one pattern of it, the files say whose handler that is.
 */
static void note_signs(struct autopsy *a, const json_t *thread)
{
    size_t i;
    const json_t *frame;
    buf_printf(&a->stands, "%s\n", doc_get(thread, "stands"));
    json_array_foreach(json_object_get(thread, "stack"), i, frame)
        buf_printf(&a->stands, "%s\n", last_part(doc_get(frame, "file")));
}

static void look_at_thread(struct autopsy *a, json_t *standing, const json_t *process,
                           const json_t *thread, bool named)
{
    const char *stands = doc_get(thread, "stands");
    if (named)
        note_signs(a, thread);
    if (json_array_size(standing) >= SHOWN)
        return;
    AUTO_JSON json_t *o = json_object();
    if (stands[0] != '\0')
        doc_text(o, "stands", stands);
    put_wait(o, json_object_get(thread, "futex"));
    if (json_object_size(o) == 0)
        return; /* nothing is known of it, or it waits as any thread may */
    put_place(o, thread);
    doc_int(o, "pid", json_integer_value(json_object_get(process, "pid")));
    doc_int(o, "tid", json_integer_value(json_object_get(thread, "tid")));
    (void)json_array_append(standing, o);
}

/* Threads of children made by fork, and of the process that the verdict names. */
static void look_at_process(struct autopsy *a, json_t *standing, const json_t *process,
                            json_int_t named)
{
    size_t i;
    const json_t *thread;
    bool is_named = json_integer_value(json_object_get(process, "pid")) == named;
    if (!is_named && !json_is_true(json_object_get(process, "forked_without_exec")))
        return;
    json_array_foreach(json_object_get(process, "threads"), i, thread)
        look_at_thread(a, standing, process, thread, is_named);
}

/* The Python package that forks: the most special one in any stack. */
static void look_for_forker(struct autopsy *a, json_t *found, const json_t *process)
{
    size_t i, k;
    const json_t *thread, *frame;
    json_array_foreach(json_object_get(json_object_get(process, "python"), "threads"), i, thread)
    {
        json_array_foreach(json_object_get(thread, "frames"), k, frame)
        {
            AUTO(buf_free) struct buf at = BUF_INIT;
            const struct forker *f = forker_find(doc_get(frame, "file"));
            bool told = a->forker == f && json_object_get(found, "forked_by") != NULL;
            if (f == NULL || told || (a->forker != NULL && a->forker < f))
                continue;
            a->forker = f;
            buf_printf(&at, "%s:%" PRId64 " %s", doc_get(frame, "file"),
                       (int64_t)json_integer_value(json_object_get(frame, "line")),
                       doc_get(frame, "function"));
            doc_text(found, "forked_by", buf_str(&at));
        }
    }
}

const struct forker *autopsy_forker(const json_t *from)
{
    size_t i;
    const json_t *frame;
    const struct forker *found = NULL;
    json_array_foreach(json_object_get(from, "python"), i, frame)
    {
        AUTO(buf_free) struct buf file = BUF_INIT; /* "…/filter.py:12 in f" */
        const char *text = json_is_string(frame) ? json_string_value(frame) : "";
        buf_add(&file, text, strcspn(text, ":"));
        const struct forker *f = forker_find(buf_str(&file));
        if (f != NULL && (found == NULL || f < found))
            found = f;
    }
    return found;
}

static void put_log(struct buf *b, const json_t *log, const char *name)
{
    size_t i;
    const json_t *line;
    json_array_foreach(json_object_get(log, name), i, line)
        buf_printf(b, "%s\n", json_is_string(line) ? json_string_value(line) : "");
}

void autopsy_take(struct autopsy *out, const json_t *doc, const struct forker *known)
{
    size_t i;
    const json_t *process, *verdict = json_object_get(doc, "verdict");
    *out = (struct autopsy){.forker = known};
    if (!json_is_object(doc))
        return;
    out->found = json_object();
    doc_text(out->found, "verdict", doc_get(verdict, "kind"));
    if (doc_get(verdict, "why")[0] != '\0')
        doc_text(out->found, "why", doc_get(verdict, "why"));
    json_t *standing = json_array();
    (void)json_object_set_new(out->found, "standing", standing);
    buf_printf(&out->stands, "%s\n", doc_get(verdict, "why"));
    json_array_foreach(json_object_get(doc, "processes"), i, process)
    {
        look_at_process(out, standing, process,
                        json_integer_value(json_object_get(verdict, "pid")));
        look_for_forker(out, out->found, process);
    }
    put_log(&out->log, json_object_get(doc, "log"), "stdout");
    put_log(&out->log, json_object_get(doc, "log"), "stderr");
}

void autopsy_read(struct autopsy *out, const char *dir, const struct forker *known)
{
    AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/evidence.json", dir) < 0)
        path = NULL;
    AUTO_JSON json_t *doc = path != NULL ? json_read_file(path, NULL) : NULL;
    autopsy_take(out, doc, known);
    if (out->found != NULL)
        doc_text(out->found, "file", path);
}

void autopsy_free(struct autopsy *a)
{
    json_decref(a->found);
    buf_free(&a->stands);
    buf_free(&a->log);
}
