/* The layout that CPython 3.13 writes down for debuggers (_Py_DebugOffsets, at the beginning of the
 * section .PyRuntime) is a row of 64-bit words, which differs from version to version. 3.11
 * and 3.12 write none down; theirs is known, is the same in all their releases, and is checked
 * before it is believed. Whatever is read may be half changed or nonsense: each count has a limit,
 * each address is only ever read. */
#include "executor/evidence/python.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/evidence/elf_section.h"
#include "executor/evidence/tool.h"
#include "executor/evidence/waiting.h"
#include "executor/proc.h"
#include "executor/spawn.h"

#define MAX_INTERPRETERS 16
#define MAX_THREADS 256
#define MAX_FRAMES 200
#define MAX_TEXT 400u         /* characters of a name */
#define MAX_LINETABLE 65536u  /* bytes */
#define MAX_OFFSET (1u << 20) /* of a field */
#define MAPS_LIMIT (1u << 20)
#define TOOL_OUTPUT (4u << 20)

/* What is needed of the words. */
enum field {
    RUNTIME_INTERPRETERS,
    INTERPRETER_NEXT,
    INTERPRETER_THREADS,
    THREAD_NEXT,
    THREAD_INTERPRETER,
    THREAD_FRAME, /* the frame, or what knows it: see via */
    THREAD_NATIVE_ID,
    FRAME_PREVIOUS,
    FRAME_CODE,
    FRAME_INSTRUCTION,
    FRAME_OWNER,
    CODE_FILE,
    CODE_NAME,
    CODE_LINES,
    CODE_FIRST_LINE,
    CODE_BYTES,
    BYTES_SIZE,
    BYTES_DATA,
    TEXT_STATE,
    TEXT_LENGTH,
    TEXT_ASCII, /* size of the head of an ASCII text */
    FIELDS,
};

enum { WORDS = 160 };

struct layout {
    unsigned version; /* major << 8 | minor */
    unsigned char word[FIELDS];
};

/* clang-format off */
static const struct layout layouts[] = {
    {0x030d, {[RUNTIME_INTERPRETERS] = 5, [INTERPRETER_NEXT] = 8, [INTERPRETER_THREADS] = 9,
              [THREAD_NEXT] = 21, [THREAD_INTERPRETER] = 22, [THREAD_FRAME] = 23, [THREAD_NATIVE_ID] = 25,
              [FRAME_PREVIOUS] = 29, [FRAME_CODE] = 30, [FRAME_INSTRUCTION] = 31, [FRAME_OWNER] = 33,
              [CODE_FILE] = 35, [CODE_NAME] = 37, [CODE_LINES] = 38, [CODE_FIRST_LINE] = 39, [CODE_BYTES] = 43,
              [BYTES_SIZE] = 65, [BYTES_DATA] = 66,
              [TEXT_STATE] = 68, [TEXT_LENGTH] = 69, [TEXT_ASCII] = 70}},
};

/* Offsets, not words. Up to 3.12 a thread knows its frame by way of another structure. */
static const struct known {
    unsigned version;
    bool via;
    uint64_t via_frame; /* the frame in that structure */
    uint64_t wide;      /* what the head of a text that is not ASCII has more */
    uint64_t at[FIELDS];
} known[] = {
    {0x030b, true, 8, 24,
     {[RUNTIME_INTERPRETERS] = 40, [INTERPRETER_NEXT] = 0, [INTERPRETER_THREADS] = 16,
      [THREAD_NEXT] = 8, [THREAD_INTERPRETER] = 16, [THREAD_FRAME] = 56, [THREAD_NATIVE_ID] = 160,
      [FRAME_PREVIOUS] = 48, [FRAME_CODE] = 32, [FRAME_INSTRUCTION] = 56, [FRAME_OWNER] = 69,
      [CODE_FILE] = 112, [CODE_NAME] = 128, [CODE_LINES] = 136, [CODE_FIRST_LINE] = 72, [CODE_BYTES] = 184,
      [BYTES_SIZE] = 16, [BYTES_DATA] = 32,
      [TEXT_STATE] = 32, [TEXT_LENGTH] = 16, [TEXT_ASCII] = 48}},
    {0x030c, true, 0, 16,
     {[RUNTIME_INTERPRETERS] = 40, [INTERPRETER_NEXT] = 0, [INTERPRETER_THREADS] = 72,
      [THREAD_NEXT] = 8, [THREAD_INTERPRETER] = 16, [THREAD_FRAME] = 56, [THREAD_NATIVE_ID] = 144,
      [FRAME_PREVIOUS] = 8, [FRAME_CODE] = 0, [FRAME_INSTRUCTION] = 56, [FRAME_OWNER] = 70,
      [CODE_FILE] = 112, [CODE_NAME] = 128, [CODE_LINES] = 136, [CODE_FIRST_LINE] = 68, [CODE_BYTES] = 192,
      [BYTES_SIZE] = 16, [BYTES_DATA] = 32,
      [TEXT_STATE] = 32, [TEXT_LENGTH] = 16, [TEXT_ASCII] = 40}},
};
/* clang-format on */

/* Who owns a frame: from this on it is none of Python code. */
#define OWNED_BY_C 3

struct python {
    pid_t pid;
    uint64_t runtime; /* address */
    uint64_t version; /* PY_VERSION_HEX, as far as it is known */
    bool described;   /* by itself */
    bool via;         /* see struct known */
    uint64_t via_frame, wide;
    uint64_t at[FIELDS];
};

static uint64_t read_word(const struct python *py, uint64_t addr)
{
    uint64_t v = 0;
    return addr != 0 && memory_read(py->pid, addr, &v, sizeof(v)) ? v : 0;
}

static uint64_t field_of(const struct python *py, uint64_t object, enum field f)
{
    return object != 0 ? read_word(py, object + py->at[f]) : 0;
}

/* --- text ----------------------------------------------------------------------------------------
 */

static void put_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_putc(b, (char)c);
    } else if (c < 0x800) {
        buf_putc(b, (char)(0xc0 | c >> 6));
        buf_putc(b, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_putc(b, (char)(0xe0 | c >> 12));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(b, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_putc(b, (char)(0xf0 | (c >> 18 & 7)));
        buf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(b, (char)(0x80 | (c & 0x3f)));
    }
}

/* A str: its state says how wide a character is, and whether all are ASCII. */
static void put_str(struct buf *b, const struct python *py, uint64_t object)
{
    unsigned char data[MAX_TEXT * 4];
    uint32_t state = (uint32_t)field_of(py, object, TEXT_STATE);
    uint64_t length = field_of(py, object, TEXT_LENGTH);
    uint32_t kind = state >> 2 & 7;
    bool compact = state >> 5 & 1, ascii = state >> 6 & 1;
    if (!compact || length == 0 || (kind != 1 && kind != 2 && kind != 4))
        return;
    size_t n = (size_t)(length < MAX_TEXT ? length : MAX_TEXT);
    uint64_t at = object + py->at[TEXT_ASCII] + (ascii ? 0 : py->wide);
    if (!memory_read(py->pid, at, data, n * kind))
        return;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = data[i];
        if (kind == 2) {
            uint16_t half;
            memcpy(&half, data + 2 * i, sizeof(half));
            c = half;
        } else if (kind == 4) {
            memcpy(&c, data + 4 * i, sizeof(c));
        }
        put_utf8(b, c);
    }
    if (length > n)
        buf_puts(b, "…");
}

/* --- lines ---------------------------------------------------------------------------------------
 */

struct table {
    const unsigned char *p, *end;
};

static unsigned next_byte(struct table *t)
{
    return t->p < t->end ? *t->p++ : 0;
}

static unsigned next_varint(struct table *t)
{
    unsigned byte = next_byte(t), v = byte & 63;
    for (unsigned shift = 6; (byte & 64) && shift < 30; shift += 6) {
        byte = next_byte(t);
        v |= (byte & 63) << shift;
    }
    return v;
}

static int next_signed(struct table *t)
{
    unsigned v = next_varint(t);
    return v & 1 ? -(int)(v >> 1) : (int)(v >> 1);
}

/* The line of the unit-th code unit: Objects/locations.md of CPython describes the table. */
static int find_line(struct table t, int first, uint64_t unit)
{
    int line = first;
    uint64_t at = 0;
    while (t.p < t.end) {
        unsigned head = next_byte(&t), code = head >> 3 & 15;
        bool none = code == 15;
        if (code == 14) {
            line += next_signed(&t);
            for (int i = 0; i < 3; i++)
                (void)next_varint(&t);
        } else if (code == 13) {
            line += next_signed(&t);
        } else if (code >= 10 && code <= 12) {
            line += (int)code - 10;
            t.p += 2;
        } else if (!none) {
            t.p += 1;
        }
        at += (head & 7) + 1;
        if (unit < at)
            return none ? 0 : line;
    }
    return 0;
}

static int line_of(const struct python *py, uint64_t code, uint64_t instruction)
{
    uint64_t object = field_of(py, code, CODE_LINES), size = field_of(py, object, BYTES_SIZE);
    uint64_t begin = code + py->at[CODE_BYTES];
    int32_t first = (int32_t)field_of(py, code, CODE_FIRST_LINE);
    if (object == 0 || size == 0 || size > MAX_LINETABLE || instruction < begin)
        return first;
    AUTO_FREE unsigned char *data = malloc((size_t)size);
    if (data == NULL || !memory_read(py->pid, object + py->at[BYTES_DATA], data, (size_t)size))
        return first;
    int line = find_line((struct table){data, data + size}, first, (instruction - begin) / 2);
    return line > 0 ? line : first;
}

/* --- frames and threads --------------------------------------------------------------------------
 */

static void put_frame(json_t *frames, const struct python *py, uint64_t frame)
{
    struct buf name = BUF_INIT, file = BUF_INIT;
    uint64_t code = field_of(py, frame, FRAME_CODE);
    json_t *f = json_object();
    put_str(&name, py, field_of(py, code, CODE_NAME));
    put_str(&file, py, field_of(py, code, CODE_FILE));
    doc_text(f, "function", name.len > 0 ? name.data : "?");
    doc_text(f, "file", buf_str(&file));
    doc_int(f, "line", line_of(py, code, field_of(py, frame, FRAME_INSTRUCTION)));
    (void)json_array_append_new(frames, f);
    buf_free(&name);
    buf_free(&file);
}

static uint64_t innermost_frame(const struct python *py, uint64_t thread)
{
    uint64_t frame = field_of(py, thread, THREAD_FRAME);
    return py->via && frame != 0 ? read_word(py, frame + py->via_frame) : frame;
}

static void put_frames(json_t *frames, const struct python *py, uint64_t thread)
{
    uint64_t frame = innermost_frame(py, thread);
    for (int i = 0; frame != 0 && i < MAX_FRAMES; i++) {
        char owner = OWNED_BY_C;
        if (!memory_read(py->pid, frame + py->at[FRAME_OWNER], &owner, 1))
            break;
        if (owner < OWNED_BY_C)
            put_frame(frames, py, frame);
        frame = field_of(py, frame, FRAME_PREVIOUS);
    }
}

static void put_thread(void *ctx, const struct python *py, uint64_t thread)
{
    json_t *threads = ctx, *t = json_object(), *frames = json_array();
    uint64_t tid = field_of(py, thread, THREAD_NATIVE_ID);
    struct proc_stat st;
    doc_int(t, "tid", (int64_t)tid);
    if (tid == 0 || tid > INT32_MAX || !proc_read_thread_stat(py->pid, (pid_t)tid, &st))
        doc_flag(t, "of_parent", true); /* fork copied what is known of it, not the thread */
    put_frames(frames, py, thread);
    (void)json_object_set_new(t, "frames", frames);
    (void)json_array_append_new(threads, t);
}

struct wanted {
    pid_t tid;
    json_t *frames;
};

static void put_wanted(void *ctx, const struct python *py, uint64_t thread)
{
    const struct wanted *w = ctx;
    if (field_of(py, thread, THREAD_NATIVE_ID) == (uint64_t)w->tid)
        put_frames(w->frames, py, thread);
}

static void each_thread(const struct python *py,
                        void (*visit)(void *ctx, const struct python *py, uint64_t thread),
                        void *ctx)
{
    uint64_t interpreter = field_of(py, py->runtime, RUNTIME_INTERPRETERS);
    for (int i = 0; interpreter != 0 && i < MAX_INTERPRETERS; i++) {
        uint64_t thread = field_of(py, interpreter, INTERPRETER_THREADS);
        for (int k = 0; thread != 0 && k < MAX_THREADS; k++) {
            visit(ctx, py, thread);
            thread = field_of(py, thread, THREAD_NEXT);
        }
        interpreter = field_of(py, interpreter, INTERPRETER_NEXT);
    }
}

/* --- finding the runtime -------------------------------------------------------------------------
 */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_python(const char *path)
{
    const char *name = last_part(path);
    return strncmp(name, "libpython3.", 11) == 0 || strncmp(name, "python", 6) == 0;
}

/* Takes the words over if they are what is known. */
static bool read_layout(struct python *py, uint64_t addr)
{
    static const char cookie[8] = {'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y'};
    uint64_t words[WORDS];
    if (!memory_read(py->pid, addr, words, sizeof(words)) ||
        memcmp(words, cookie, sizeof(cookie)) != 0)
        return false;
    py->runtime = addr;
    py->version = words[1];
    py->described = true;
    py->wide = 2 * sizeof(uint64_t); /* the length in UTF-8, and where that is */
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        if (layouts[i].version != (words[1] >> 16 & 0xffff))
            continue;
        for (int f = 0; f < FIELDS; f++) {
            py->at[f] = words[layouts[i].word[f]];
            if (py->at[f] > MAX_OFFSET)
                return false;
        }
        return true;
    }
    return false;
}

/* "3.11" from /usr/bin/python3.11 or libpython3.11.so.1.0, as major << 8 | minor; 0: no such name.
 * A debug build (python3.11d) has other structures. */
static unsigned named_version(const char *path)
{
    unsigned major, minor;
    char next = '\0';
    const char *at = strstr(last_part(path), "python");
    if (at == NULL || sscanf(at, "python%u.%u%c", &major, &minor, &next) < 2 || next == 'd' ||
        major > 255 || minor > 255)
        return 0;
    return major << 8 | minor;
}

/* Believes the known layout of a version if its first thread is one of its first interpreter. */
static bool know_layout(struct python *py, uint64_t addr, const char *file)
{
    unsigned version = named_version(file);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].version != version)
            continue;
        py->runtime = addr;
        py->version = (uint64_t)version << 16;
        py->described = false;
        py->via = known[i].via;
        py->via_frame = known[i].via_frame;
        py->wide = known[i].wide;
        memcpy(py->at, known[i].at, sizeof(py->at));
        uint64_t interpreter = field_of(py, addr, RUNTIME_INTERPRETERS);
        uint64_t thread = field_of(py, interpreter, INTERPRETER_THREADS);
        return interpreter != 0 && field_of(py, thread, THREAD_INTERPRETER) == interpreter;
    }
    return false;
}

/* From the first mapping of each file that may be Python's. */
static bool find_runtime(struct python *py)
{
    char path[64];
    AUTO_FREE char *maps = malloc(MAPS_LIMIT);
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)py->pid);
    if (maps == NULL || proc_read(path, maps, MAPS_LIMIT) <= 0)
        return false;
    char *rest;
    for (char *line = strtok_r(maps, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        uint64_t start, offset, vaddr, lowest;
        const char *file = strchr(line, '/');
        if (file != NULL && is_python(file) &&
            sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, &start, &offset) == 2 && offset == 0 &&
            elf_section(file, ".PyRuntime", &vaddr, &lowest) &&
            (read_layout(py, start + vaddr - lowest) ||
             know_layout(py, start + vaddr - lowest, file)))
            return true;
    }
    return false;
}

void python_put_frames(json_t *process, pid_t pid)
{
    struct python py = {.pid = pid};
    char version[32];
    if (!find_runtime(&py))
        return;
    json_t *o = json_object(), *threads = json_array();
    int n = snprintf(version, sizeof(version), "%u.%u", (unsigned)(py.version >> 24 & 0xff),
                     (unsigned)(py.version >> 16 & 0xff));
    if (py.described)
        (void)snprintf(version + n, sizeof(version) - (size_t)n, ".%u",
                       (unsigned)(py.version >> 8 & 0xff));
    doc_text(o, "version", version);
    doc_text(o, "by", py.described ? "its debug offsets" : "the layout of that version");
    each_thread(&py, put_thread, threads);
    (void)json_object_set_new(o, "threads", threads);
    (void)json_object_set_new(process, "python", o);
}

void python_put_thread(json_t *frames, pid_t pid, pid_t tid)
{
    struct python py = {.pid = pid};
    struct wanted w = {tid, frames};
    if (find_runtime(&py))
        each_thread(&py, put_wanted, &w);
}

/* --- other versions
 * ----------------------------------------------------------------------------------
 */

/* The version of a Python among the libraries; 0: none. */
static unsigned old_version(const json_t *process)
{
    size_t i;
    const json_t *library;
    json_array_foreach(json_object_get(process, "libraries"), i, library)
    {
        const char *path = json_string_value(library);
        if (path != NULL && is_python(path) && named_version(path) != 0)
            return named_version(path);
    }
    return 0;
}

static void put_tool_thread(json_t *threads, const json_t *said)
{
    json_t *t = json_object(), *frames = json_array();
    size_t i;
    const json_t *f;
    doc_int(t, "tid", json_integer_value(json_object_get(said, "os_thread_id")));
    json_array_foreach(json_object_get(said, "frames"), i, f)
    {
        json_t *frame = json_object();
        doc_text(frame, "function", doc_get(f, "name"));
        doc_text(frame, "file", doc_get(f, "filename"));
        doc_int(frame, "line", json_integer_value(json_object_get(f, "line")));
        (void)json_array_append_new(frames, frame);
    }
    (void)json_object_set_new(t, "frames", frames);
    (void)json_array_append_new(threads, t);
}

static void run_py_spy(json_t *o, char *program, pid_t pid, uint64_t deadline_ms)
{
    char number[16];
    struct buf out = BUF_INIT;
    struct err err;
    size_t i;
    const json_t *thread;
    (void)snprintf(number, sizeof(number), "%d", (int)pid);
    char *argv[] = {
        program, (char *)"dump", (char *)"--nonblocking", (char *)"--json", (char *)"--pid", number,
        NULL};
    int rc = tool_run(argv, -1, deadline_ms, TOOL_OUTPUT, &out, &err);
    AUTO_JSON json_t *said = rc == 0 ? json_read(buf_str(&out), out.len, NULL) : NULL;
    json_t *threads = json_array();
    json_array_foreach(said, i, thread) put_tool_thread(threads, thread);
    if (json_array_size(threads) == 0)
        doc_note(o, "py-spy told nothing%s%s", rc < 0 ? ": " : "", rc < 0 ? err.msg : "");
    (void)json_object_set_new(o, "threads", threads);
    buf_free(&out);
}

void python_put_others(json_t *process, pid_t pid, uint64_t deadline_ms)
{
    char version[16];
    AUTO_FREE char *program = NULL;
    unsigned number = old_version(process);
    if (json_object_get(process, "python") != NULL || number == 0)
        return;
    json_t *o = json_object();
    (void)snprintf(version, sizeof(version), "%u.%u", number >> 8, number & 0xff);
    doc_text(o, "version", version);
    doc_text(o, "by", "py-spy");
    if (spawn_resolve(&program, "py-spy", NULL, NULL) < 0)
        doc_note(o,
                 "no Python frames: the memory of Python %s is not known here, and py-spy is not "
                 "installed",
                 version);
    else
        run_py_spy(o, program, pid, deadline_ms);
    (void)json_object_set_new(process, "python", o);
}
