/* CRC-32C (Castagnoli): tells a record that was torn or damaged from a whole one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of n bytes. The polynomial is 0x1EDC6F41, reflected, with all bits inverted before and after
 * (RFC 3720, section 12.1). */
uint32_t crc32c(const void *bytes, size_t n);
