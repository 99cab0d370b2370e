/* What evidence is made of and others have written: what forkless-dump says, ELF files, text with
 * secrets in it. The first byte says which. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/evidence/elf_section.h"
#include "executor/evidence/patterns.h"
#include "executor/evidence/secrets.h"

static void parse(char *text)
{
    struct stacks s = {0};
    (void)stacks_parse(&s, text);
    for (size_t i = 0; i < s.n; i++)
        (void)pattern_find(stacks_frames(&s, &s.v[i]), s.v[i].n);
    stacks_free(&s);
}

static void find_section(const char *data, size_t n)
{
    char path[64];
    uint64_t vaddr, lowest;
    AUTO_CLOSE int fd = memfd_create("elf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    (void)elf_section(path, ".PyRuntime", &vaddr, &lowest);
}

static void mask(const char *text, size_t n)
{
    struct buf once = BUF_INIT, words = BUF_INIT;
    secret_mask(&once, text);
    secret_mask_variable(&once, text);
    secret_mask_words(&words, text, n);
    (void)secret_variable(text);
    buf_free(&once);
    buf_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO_FREE char *text = n > 0 ? strndup((const char *)data + 1, n - 1) : NULL;
    if (text == NULL)
        return 0;
    if (data[0] == 'e')
        find_section((const char *)data + 1, n - 1);
    else if (data[0] == 'd')
        parse(text);
    else
        mask(text, strlen(text));
    return 0;
}
