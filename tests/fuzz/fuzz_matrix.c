/* Any bytes as a matrix file: whatever is accepted may be read from end to end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trials/xgboost/matrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes the compiler really read. */
static void read_one(float v)
{
    __asm__ volatile("" : : "g"(v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct matrix m;
    /* an exact copy, so that one byte too many is noticed; the checksum is made right, as nobody
     * could guess it */
    uint8_t *copy = NULL;
    if (posix_memalign((void **)&copy, 64, size > 0 ? size : 1) != 0)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    struct matrix_header *h = (struct matrix_header *)(void *)copy;
    if (size >= sizeof(*h) && h->meta_at <= size && h->meta_bytes <= size - h->meta_at)
        h->checksum = matrix_checksum(h, copy + h->meta_at);
    if (matrix_view(&m, copy, size, NULL) == 0) {
        for (size_t i = 0; i < m.rows * m.cols; i++)
            read_one(m.x[i]);
        for (size_t i = 0; i < m.rows; i++)
            read_one(m.label[i]);
        for (size_t i = 0; i < m.cols; i++)
            read_one((float)strlen(matrix_feature(&m, i)));
        matrix_close(&m);
    }
    free(copy);
    return 0;
}
