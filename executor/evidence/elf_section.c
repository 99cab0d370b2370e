#include "executor/evidence/elf_section.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAX_SECTIONS 4096u
#define MAX_SEGMENTS 256u

static bool read_at(int fd, uint64_t at, void *out, size_t n)
{
    return at <= INT64_MAX - n && pread(fd, out, n, (off_t)at) == (ssize_t)n;
}

static bool is_native(const Elf64_Ehdr *e)
{
    return memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 && e->e_ident[EI_CLASS] == ELFCLASS64 &&
           e->e_shentsize == sizeof(Elf64_Shdr) && e->e_phentsize == sizeof(Elf64_Phdr) &&
           e->e_shnum > 0 && e->e_shnum < MAX_SECTIONS && e->e_shstrndx < e->e_shnum &&
           e->e_phnum < MAX_SEGMENTS;
}

static bool find_lowest(int fd, const Elf64_Ehdr *e, uint64_t *lowest)
{
    for (unsigned i = 0; i < e->e_phnum; i++) {
        Elf64_Phdr p;
        if (!read_at(fd, e->e_phoff + i * sizeof(p), &p, sizeof(p)))
            return false;
        if (p.p_type == PT_LOAD) { /* they stand in ascending order */
            *lowest = p.p_vaddr - p.p_offset;
            return true;
        }
    }
    return false;
}

static bool find_section(int fd, const Elf64_Ehdr *e, const char *name, uint64_t *vaddr)
{
    Elf64_Shdr names, s;
    char text[64];
    size_t n = strlen(name) + 1;
    if (n > sizeof(text) ||
        !read_at(fd, e->e_shoff + e->e_shstrndx * sizeof(names), &names, sizeof(names)))
        return false;
    for (unsigned i = 0; i < e->e_shnum; i++) {
        if (!read_at(fd, e->e_shoff + i * sizeof(s), &s, sizeof(s)))
            return false;
        if (read_at(fd, names.sh_offset + s.sh_name, text, n) && memcmp(text, name, n) == 0) {
            *vaddr = s.sh_addr;
            return true;
        }
    }
    return false;
}

bool elf_section(const char *path, const char *name, uint64_t *vaddr, uint64_t *lowest)
{
    Elf64_Ehdr e;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && read_at(fd, 0, &e, sizeof(e)) && is_native(&e) &&
           find_lowest(fd, &e, lowest) && find_section(fd, &e, name, vaddr);
}
