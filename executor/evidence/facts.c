#include "executor/evidence/facts.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "executor/evidence/secrets.h"
#include "executor/evidence/waiting.h"
#include "executor/proc.h"

#define MAX_FDS 256u
#define MAX_LIBRARIES 512u
#define FILE_LIMIT (1u << 20)

static void first_line(json_t *object, const char *key, pid_t pid, pid_t tid, const char *file)
{
    char path[96], text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, file);
    if (proc_read(path, text, sizeof(text)) <= 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    doc_text(object, key, text);
}

static void put_waiting(json_t *thread, pid_t pid, pid_t tid)
{
    struct waiting w;
    pid_t owner;
    waiting_read(pid, tid, &w);
    doc_flag(thread, "endless", w.endless);
    if (!w.futex)
        return;
    char addr[24];
    json_t *futex = json_object();
    (void)snprintf(addr, sizeof(addr), "%#llx", (unsigned long long)w.addr);
    doc_text(futex, "addr", addr);
    doc_flag(futex, "private", w.is_private);
    doc_flag(futex, "timed", w.timed);
    doc_flag(futex, "taken_lock", waiting_for_lock(pid, &w));
    if (waiting_orphaned(pid, &w, &owner))
        doc_int(futex, "lost_owner", owner);
    (void)json_object_set_new(thread, "futex", futex);
}

static void put_thread(void *ctx, pid_t pid, pid_t tid)
{
    json_t *threads = ctx, *thread = json_object();
    struct proc_stat st;
    doc_int(thread, "tid", tid);
    first_line(thread, "name", pid, tid, "comm");
    if (proc_read_thread_stat(pid, tid, &st)) {
        doc_text(thread, "state", (char[]){st.state, '\0'});
        doc_int(thread, "cpu_ms", (int64_t)proc_ticks_ms(st.ticks));
    }
    first_line(thread, "wchan", pid, tid, "wchan");
    first_line(thread, "syscall", pid, tid, "syscall");
    put_waiting(thread, pid, tid);
    (void)json_array_append_new(threads, thread);
}

static void put_fds(json_t *process, pid_t pid)
{
    char dir[64], path[PATH_MAX], to[PATH_MAX];
    (void)snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
    DIR *d = opendir(dir);
    json_t *fds = json_object();
    size_t n = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        struct buf masked = BUF_INIT;
        if (!isdigit((unsigned char)e->d_name[0]) || n++ >= MAX_FDS)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        ssize_t len = readlink(path, to, sizeof(to) - 1);
        to[len > 0 ? len : 0] = '\0';
        secret_mask(&masked, to);
        doc_text(fds, e->d_name, buf_str(&masked));
        buf_free(&masked);
    }
    if (d != NULL)
        (void)closedir(d);
    doc_int(process, "n_fds", (int64_t)n);
    (void)json_object_set_new(process, "fds", fds);
}

json_t *facts_read(pid_t pid)
{
    struct proc_stat st, parent;
    if (!proc_read_stat(pid, &st))
        return NULL;
    json_t *p = json_object(), *threads = json_array();
    doc_int(p, "pid", pid);
    doc_int(p, "ppid", st.ppid);
    first_line(p, "name", pid, pid, "comm");
    doc_text(p, "state", (char[]){st.state, '\0'});
    doc_flag(p, "forked_without_exec", (st.flags & PROC_FORKED_NO_EXEC) != 0);
    if (st.ppid > 0 && proc_read_stat(st.ppid, &parent))
        doc_int(p, "parent_threads", parent.threads);
    doc_int(p, "cpu_ms", (int64_t)proc_ticks_ms(st.ticks));
    (void)json_object_set_new(p, "threads", threads);
    proc_each_thread(pid, put_thread, threads);
    put_fds(p, pid);
    return p;
}

/* --- what needs the process's memory map ---------------------------------------------------------
 */

static char *read_whole(pid_t pid, const char *name, ssize_t *n)
{
    char path[64];
    char *text = malloc(FILE_LIMIT);
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    *n = text != NULL ? proc_read(path, text, FILE_LIMIT) : -1;
    return text;
}

static void put_command(json_t *process, pid_t pid)
{
    ssize_t n;
    AUTO_FREE char *words = read_whole(pid, "cmdline", &n);
    struct buf masked = BUF_INIT;
    if (n > 0)
        secret_mask_words(&masked, words, (size_t)n);
    doc_text(process, "command", buf_str(&masked));
    buf_free(&masked);
}

static void put_link(json_t *process, const char *key, pid_t pid)
{
    char path[64], to[PATH_MAX];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, key);
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    if (n <= 0)
        return;
    to[n] = '\0';
    doc_text(process, key, to);
}

static void put_memory(json_t *process, pid_t pid)
{
    static const struct {
        const char *line, *key;
    } rows[] = {{"\nVmRSS:", "rss_kib"}, {"\nVmHWM:", "peak_rss_kib"}, {"\nVmSwap:", "swap_kib"}};
    ssize_t n;
    AUTO_FREE char *text = read_whole(pid, "status", &n);
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(rows); i++) {
        const char *at = strstr(text, rows[i].line);
        if (at != NULL)
            doc_int(process, rows[i].key, strtoll(at + strlen(rows[i].line), NULL, 10));
    }
}

static void put_variable(json_t *environment, char *entry)
{
    struct buf masked = BUF_INIT;
    char *value = strchr(entry, '=');
    if (value == NULL || value == entry)
        return;
    *value++ = '\0';
    text_clean(entry);
    if (secret_variable(entry) && value[0] != '\0')
        buf_puts(&masked, "***");
    else
        secret_mask_variable(&masked, value);
    doc_text(environment, entry, buf_str(&masked));
    buf_free(&masked);
}

static void put_environment(json_t *process, pid_t pid)
{
    ssize_t n;
    AUTO_FREE char *all = read_whole(pid, "environ", &n);
    json_t *environment = json_object();
    for (ssize_t i = 0; i < n;) {
        ssize_t next = i + (ssize_t)strlen(all + i) + 1;
        put_variable(environment, all + i);
        i = next;
    }
    (void)json_object_set_new(process, "environment", environment);
}

static bool contains(const json_t *array, const char *text)
{
    size_t n = json_array_size(array);
    return n > 0 && strcmp(json_string_value(json_array_get(array, n - 1)), text) == 0;
}

/* Files from which code is mapped. */
static void put_libraries(json_t *process, pid_t pid)
{
    ssize_t n;
    AUTO_FREE char *maps = read_whole(pid, "maps", &n);
    json_t *libraries = json_array();
    char *rest;
    for (char *line = n > 0 ? strtok_r(maps, "\n", &rest) : NULL;
         line != NULL && json_array_size(libraries) < MAX_LIBRARIES;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *file = strchr(line, '/'), *rights = strchr(line, ' ');
        if (file != NULL && rights != NULL && strlen(rights) > 4 && rights[3] == 'x' &&
            !contains(libraries, file))
            doc_add_text(libraries, file);
    }
    (void)json_object_set_new(process, "libraries", libraries);
}

void facts_read_more(json_t *process, pid_t pid)
{
    put_command(process, pid);
    put_link(process, "exe", pid);
    put_link(process, "cwd", pid);
    put_memory(process, pid);
    put_libraries(process, pid);
    put_environment(process, pid);
}
