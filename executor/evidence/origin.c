#include "executor/evidence/origin.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/evidence/doc.h"
#include "executor/evidence/python.h"
#include "executor/evidence/snapshot.h"

#define MAX_FRAMES 16u /* told, of Python's and of native ones: the row has room for them */

struct origin {
    pid_t pid, tid;
    int copy; /* a snapshot in memory; -1: none */
    json_t *doc;
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* --- Python -----------------------------------------------------------------------------------
 */

/* Python's own modules fork for others. */
static bool is_of_python(const char *file)
{
    return file[0] == '<' ||
           (strstr(file, "/lib/python3.") != NULL && strstr(file, "-packages/") == NULL);
}

static void put_python_frame(json_t *list, const json_t *frame, char *text, size_t n)
{
    (void)snprintf(text, n, "%s:%d in %s", doc_get(frame, "file"),
                   (int)json_integer_value(json_object_get(frame, "line")),
                   doc_get(frame, "function"));
    if (json_array_size(list) < MAX_FRAMES)
        doc_add_text(list, text);
}

static void take_python(struct origin *o)
{
    size_t i;
    const json_t *frame;
    bool told = false;
    char text[600];
    AUTO_JSON json_t *frames = json_array();
    python_put_thread(frames, o->pid, o->tid);
    if (json_array_size(frames) == 0)
        return;
    json_t *list = json_array();
    json_array_foreach(frames, i, frame)
    {
        put_python_frame(list, frame, text, sizeof(text));
        if (i == 0 || (!told && !is_of_python(doc_get(frame, "file"))))
            doc_text(o->doc, "at", text);
        told = told || !is_of_python(doc_get(frame, "file"));
    }
    (void)json_object_set_new(o->doc, "python", list);
}

/* --- native -----------------------------------------------------------------------------------
 */

static void copy_stack(struct origin *o)
{
    struct snap_result r;
    o->copy = memfd_create("forkless-origin", MFD_CLOEXEC);
    if (o->copy >= 0 && snapshot_take_held(o->copy, o->pid, o->tid, &r) == 0)
        return;
    cleanup_close(&o->copy);
    o->copy = -1;
    char note[160];
    (void)snprintf(note, sizeof(note), "no stack: %s%s",
                   r.sys != 0 ? strerror(r.sys) : "it cannot be read",
                   r.sys != 0 ? snapshot_hint() : "");
    doc_text(o->doc, "note", note);
}

/* The C library's way into the call: nobody looks for it. */
static bool is_way_in(const struct frame *f)
{
    static const char *const functions[] = {"fork", "_Fork", "__fork", "__libc_fork", "syscall"};
    if (f->function[0] == '\0' || fnmatch("libc[.-]*", last_part(f->file), 0) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (strcmp(f->function, functions[i]) == 0)
            return true;
    }
    return false;
}

void origin_put_names(struct origin *o, const struct stacks *names)
{
    const struct stack *stack = stacks_find(names, o->pid, o->tid);
    bool told = json_object_get(o->doc, "at") != NULL;
    char text[600];
    if (stack == NULL) {
        doc_text(o->doc, "note", "no stack: it was not named in time");
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < stack->n; i++) {
        const struct frame *f = &stacks_frames(names, stack)[i];
        (void)snprintf(text, sizeof(text), "%s in %s", f->function[0] != '\0' ? f->function : "?",
                       f->file[0] != '\0' ? last_part(f->file) : "?");
        if (i < MAX_FRAMES)
            doc_add_text(list, text);
        if (!told && !is_way_in(f)) {
            doc_text(o->doc, "at", text);
            told = true;
        }
    }
    (void)json_object_set_new(o->doc, "stack", list);
}

bool origin_lacks_names(const struct origin *o)
{
    return o != NULL && o->copy >= 0 && json_object_get(o->doc, "stack") == NULL;
}

int origin_copy(const struct origin *o)
{
    return origin_lacks_names(o) ? fcntl(o->copy, F_DUPFD_CLOEXEC, 0) : -1;
}

void origin_find_names(int copy, uint64_t deadline_ms, struct stacks *out)
{
    struct err err;
    (void)stacks_name(copy, deadline_ms, out, &err); /* what came counts */
}

/* --- both -------------------------------------------------------------------------------------
 */

struct origin *origin_take(pid_t pid, pid_t tid)
{
    struct origin *o = malloc(sizeof(*o));
    json_t *doc = json_object();
    if (o == NULL || doc == NULL) {
        free(o);
        json_decref(doc);
        return NULL;
    }
    *o = (struct origin){.pid = pid, .tid = tid, .copy = -1, .doc = doc};
    copy_stack(o);
    if (o->copy >= 0)
        take_python(o);
    return o;
}

void origin_free(struct origin *o)
{
    if (o == NULL)
        return;
    cleanup_close(&o->copy);
    json_decref(o->doc);
    free(o);
}

const json_t *origin_doc(const struct origin *o)
{
    return o != NULL ? o->doc : NULL;
}

const char *origin_at(const struct origin *o)
{
    return o != NULL ? doc_get(o->doc, "at") : "";
}
