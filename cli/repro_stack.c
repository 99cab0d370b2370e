/* Where a hung child stands, out of its evidence: the short form for a terminal. */
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/repro_report.h"

enum { FRAMES = 14 };

/* Names of C++ can fill a screen. */
#define NAME "%.90s"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* The object of a list whose key is this number. */
static json_t *find(json_t *list, const char *key, json_int_t number)
{
    json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        if (json_integer_value(json_object_get(item, key)) == number)
            return item;
    }
    return NULL;
}

static void put_line(struct buf *b, const char *first, const char *between, const char *second)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    buf_printf(&line, NAME "%s%s", first, between, second);
    if (!line.failed)
        buf_printf(b, "      %s\n", text_clean(line.data)); /* names of others */
}

static void put_native(struct buf *b, json_t *thread)
{
    json_t *frame;
    size_t i;
    int shown = 0;
    if (*text_of(thread, "stands") != '\0')
        put_line(b, "stands ", "", text_of(thread, "stands"));
    json_array_foreach(json_object_get(thread, "stack"), i, frame)
    {
        const char *file = strrchr(text_of(frame, "file"), '/');
        if (*text_of(frame, "function") != '\0' && shown++ < FRAMES)
            put_line(b, text_of(frame, "function"), "  ", file != NULL ? file + 1 : "");
    }
}

static void put_python(struct buf *b, json_t *process)
{
    json_t *frame, *threads = json_object_get(json_object_get(process, "python"), "threads");
    size_t i;
    int shown = 0;
    json_array_foreach(json_object_get(json_array_get(threads, 0), "frames"), i, frame)
    {
        const char *file = strrchr(text_of(frame, "file"), '/');
        if (shown++ < FRAMES)
            put_line(b, text_of(frame, "function"), "  ", file != NULL ? file + 1 : "");
    }
}

void report_put_stack(struct buf *b, const struct repro_result *r)
{
    AUTO_JSON json_t *doc = json_read(buf_str(&r->evidence), r->evidence.len, NULL);
    json_t *process = find(json_object_get(doc, "processes"), "pid", r->child);
    put_python(b, process);
    put_native(b, find(json_object_get(process, "threads"), "tid", r->child));
}
