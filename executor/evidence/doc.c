#include "executor/evidence/doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static json_t *clean(const char *text)
{
    AUTO_FREE char *copy = strdup(text);
    return copy != NULL ? json_string(text_clean(copy)) : NULL;
}

void doc_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, clean(text));
}

void doc_add_text(json_t *array, const char *text)
{
    (void)json_array_append_new(array, clean(text));
}

void doc_int(json_t *object, const char *key, int64_t v)
{
    (void)json_object_set_new(object, key, json_integer(v));
}

void doc_flag(json_t *object, const char *key, bool v)
{
    (void)json_object_set_new(object, key, json_boolean(v));
}

void doc_note(json_t *object, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_t *notes = json_object_get(object, "notes");
    if (notes == NULL) {
        notes = json_array();
        (void)json_object_set_new(object, "notes", notes);
    }
    doc_add_text(notes, text);
}

const char *doc_get(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}
