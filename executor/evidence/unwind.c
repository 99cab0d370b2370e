/* forkless-dump: names the frames of the stacks in a snapshot (snapshot.h), which stands as stdin,
 * on stdout: lines of fields with tabs between them,
 *
 *   process PID
 *   thread TID
 *   frame PC OFFSET FUNCTION FILE     from the innermost to the outermost; FUNCTION may be empty
 *
 * and `end` as the last one. It is a program of its own because it reads files of others with
 * libdw: what crashes or hangs here is not forkless. It needs no permission to look at anybody. */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/evidence/snapshot.h"

#define MAX_FRAMES 256u
/* The program counter is one of DWARF's registers, or it is not. */
#if defined(__aarch64__)
#define DWARF_REGS SNAP_PC
#else
#define DWARF_REGS SNAP_REGS
#endif
#define LAST_RESORT_S 30u /* nobody waits for us so long */

static const char *snap; /* the whole snapshot */
static size_t snap_len;

/* The record at *at, its data in *data; *at moves on. false at the end, or when it is cut. */
static bool next_record(size_t *at, struct snap_record *r, const char **data)
{
    if (snap_len - *at < sizeof(*r))
        return false;
    memcpy(r, snap + *at, sizeof(*r));
    if (r->len > snap_len - *at - sizeof(*r))
        return false;
    *data = snap + *at + sizeof(*r);
    *at += sizeof(*r) + (size_t)r->len;
    return true;
}

/* Where the records of the process at hand lie. */
struct process {
    size_t from, to;
    size_t hint;   /* the record that was read last: its neighbour is often next */
    size_t thread; /* the record of the thread to be given next */
    Elf *vdso;
    char *vdso_image;
};

static bool memory_at(const struct process *p, size_t from, size_t to, uint64_t addr,
                      Dwarf_Word *word, size_t *found)
{
    struct snap_record r;
    const char *data;
    for (size_t at = from; at < to;) {
        size_t self = at;
        if (!next_record(&at, &r, &data))
            return false;
        if (r.kind != SNAP_MEMORY || addr < r.addr || addr - r.addr >= r.len)
            continue;
        size_t have = (size_t)(r.len - (addr - r.addr));
        size_t n = have < sizeof(*word) ? have : sizeof(*word);
        memcpy(word, data + (addr - r.addr), n);
        *found = self;
        /* a word may lie across two pages */
        Dwarf_Word rest = 0;
        size_t other;
        if (n < sizeof(*word)) {
            if (!memory_at(p, at, to, addr + n, &rest, &other))
                return false;
            memcpy((char *)word + n, &rest, sizeof(*word) - n);
        }
        return true;
    }
    return false;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
    struct process *p = arg;
    (void)dwfl;
    return memory_at(p, p->hint, p->to, addr, result, &p->hint) ||
           memory_at(p, p->from, p->to, addr, result, &p->hint);
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
    struct process *p = arg;
    struct snap_record r;
    const char *data;
    (void)dwfl;
    if (*thread_arg == NULL)
        p->thread = p->from;
    while (p->thread < p->to && next_record(&p->thread, &r, &data)) {
        if (r.kind == SNAP_THREAD && r.len == sizeof(struct snap_regs)) {
            *thread_arg = (void *)(uintptr_t)data;
            p->hint = p->thread;
            return r.id;
        }
    }
    return 0;
}

static bool set_registers(Dwfl_Thread *thread, void *thread_arg)
{
    struct snap_regs regs;
    memcpy(&regs, thread_arg, sizeof(regs));
    for (int i = 0; i < SNAP_REGS; i++) {
        Dwarf_Word v = regs.v[i];
        if (!(regs.known & 1ull << i))
            continue;
        if (i >= DWARF_REGS)
            dwfl_thread_state_register_pc(thread, v);
        else if (!dwfl_thread_state_registers(thread, i, 1, &v))
            return false;
    }
    return true;
}

/* --- files ---------------------------------------------------------------------------------------
 */

static Elf *vdso_elf(struct process *p, Dwarf_Addr base)
{
    size_t size = 0;
    struct snap_record r;
    const char *data;
    for (size_t at = p->from; p->vdso == NULL && at < p->to && next_record(&at, &r, &data);) {
        if (r.kind != SNAP_MEMORY || r.addr != base + size)
            continue;
        char *image = realloc(p->vdso_image, size + (size_t)r.len);
        if (image == NULL)
            break;
        memcpy(image + size, data, (size_t)r.len);
        p->vdso_image = image;
        size += (size_t)r.len;
    }
    if (p->vdso == NULL && size > 0)
        p->vdso = elf_memory(p->vdso_image, size);
    return p->vdso;
}

static struct process *current;

static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
                    char **file, Elf **elf)
{
    (void)mod;
    (void)userdata;
    *elf = NULL;
    if (strncmp(name, "[vdso", 5) == 0) {
        *elf = vdso_elf(current, base);
        return -1;
    }
    if (name[0] != '/')
        return -1;
    /* a device may wait for ever, or do something, when it is opened */
    struct stat st;
    int fd = stat(name, &st) == 0 && S_ISREG(st.st_mode) ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        *file = strdup(name);
    return fd;
}

/* Separate debug files would cost seconds, and perhaps a network. */
static int no_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
                        const char *file, const char *link, GElf_Word crc, char **out)
{
    (void)mod;
    (void)userdata;
    (void)name;
    (void)base;
    (void)file;
    (void)link;
    (void)crc;
    (void)out;
    return -1;
}

/* --- frames --------------------------------------------------------------------------------------
 */

struct frames {
    Dwfl *dwfl;
    unsigned n;
};

static void put_field(const char *text)
{
    (void)putchar('\t');
    for (; *text != '\0'; text++)
        (void)putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static int put_frame(Dwfl_Frame *frame, void *arg)
{
    struct frames *f = arg;
    Dwarf_Addr pc;
    bool innermost;
    if (!dwfl_frame_pc(frame, &pc, &innermost) || pc == 0)
        return DWARF_CB_ABORT;
    Dwarf_Addr at = innermost ? pc : pc - 1; /* the call, not what follows it */
    Dwfl_Module *mod = dwfl_addrmodule(f->dwfl, at);
    GElf_Off offset = 0;
    GElf_Sym sym;
    const char *function =
        mod != NULL ? dwfl_module_addrinfo(mod, at, &offset, &sym, NULL, NULL, NULL) : NULL;
    const char *file =
        mod != NULL ? dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    (void)printf("frame\t%#" PRIx64 "\t%#" PRIx64, (uint64_t)pc, (uint64_t)(offset + (pc - at)));
    put_field(function != NULL ? function : "");
    put_field(file != NULL ? file : "");
    (void)putchar('\n');
    return ++f->n < MAX_FRAMES ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static int put_thread(Dwfl_Thread *thread, void *arg)
{
    struct frames f = {.dwfl = arg};
    (void)printf("thread\t%d\n", (int)dwfl_thread_tid(thread));
    (void)dwfl_thread_getframes(thread, put_frame, &f); /* as far as it comes */
    (void)fflush(stdout);
    return DWARF_CB_OK;
}

static void put_process(const struct snap_record *head, const char *maps, struct process *p)
{
    static const Dwfl_Callbacks callbacks = {.find_elf = find_elf, .find_debuginfo = no_debuginfo};
    static const Dwfl_Thread_Callbacks threads = {.next_thread = next_thread,
                                                  .memory_read = read_memory,
                                                  .set_initial_registers = set_registers};
    Dwfl *dwfl = dwfl_begin(&callbacks);
    FILE *text = fmemopen((void *)(uintptr_t)maps, (size_t)head->len, "r");
    current = p;
    (void)printf("process\t%d\n", (int)head->id);
    if (dwfl != NULL && text != NULL && dwfl_linux_proc_maps_report(dwfl, text) == 0 &&
        dwfl_report_end(dwfl, NULL, NULL) == 0 &&
        dwfl_attach_state(dwfl, NULL, head->id, &threads, p))
        (void)dwfl_getthreads(dwfl, put_thread, dwfl);
    if (text != NULL)
        (void)fclose(text);
    dwfl_end(dwfl);
    if (p->vdso != NULL)
        (void)elf_end(p->vdso);
    free(p->vdso_image);
    current = NULL;
}

static bool load(void)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) < 0 || st.st_size <= 0)
        return false;
    snap_len = (size_t)st.st_size;
    snap = mmap(NULL, snap_len, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
    return snap != MAP_FAILED;
}

int main(void)
{
    const struct rlimit no_core = {0, 0};
    struct snap_record r;
    const char *data;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)alarm(LAST_RESORT_S);
    if (!load()) {
        (void)fputs("forkless-dump: started by forkless, not by hand\n", stderr);
        return 2;
    }
    for (size_t at = 0; next_record(&at, &r, &data);) {
        struct process p = {.from = at, .to = at};
        struct snap_record inner;
        const char *skipped;
        if (r.kind != SNAP_PROCESS)
            continue;
        for (size_t end = at; next_record(&end, &inner, &skipped) && inner.kind != SNAP_PROCESS;)
            p.to = end;
        p.hint = p.from;
        put_process(&r, data, &p);
    }
    (void)puts("end");
    return fflush(stdout) == 0 ? 0 : 1;
}
