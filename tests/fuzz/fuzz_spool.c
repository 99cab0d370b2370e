/* Any bytes as a spool; as they are, and each line with the checksum that it should have. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "executor/spool/spool.h"

static void read_all(const char *bytes, size_t n)
{
    struct spool_data d;
    if (spool_read(&d, bytes, n, NULL) == 0)
        spool_data_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_free) struct buf sealed = BUF_INIT;
    const char *bytes = (const char *)data, *end = bytes + size;
    read_all(bytes, size);
    for (const char *line = bytes, *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop != NULL ? stop : end;
        next = stop + 1;
        if (stop - line > 9)
            line += 9; /* the checksum of a seed */
        buf_printf(&sealed, "%08" PRIx32 " ", crc32c(line, (size_t)(stop - line)));
        buf_add(&sealed, line, (size_t)(stop - line));
        buf_putc(&sealed, '\n');
    }
    if (!sealed.failed && sealed.len > 0)
        read_all(sealed.data, sealed.len);
    return 0;
}
