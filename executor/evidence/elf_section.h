/* Where a section of an ELF file lies in a process that has mapped it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* *vaddr: of the section; *lowest: of the file's first byte in memory; both as linked. The file is
 * somebody else's: anything in it may be wrong. */
bool elf_section(const char *path, const char *name, uint64_t *vaddr, uint64_t *lowest);
