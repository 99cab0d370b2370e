/* Any bytes as a file of prices: either a matrix that opens, or an error with a message. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trials/xgboost/bars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct matrix_origin origin = {1, 2, 3};
    struct bars_conf conf = {
        .prices = {.windows = {2, 3}, .n_windows = 2, .horizon = 1, .threshold = 0.01},
        .newest_first = size % 2 == 1,
    };
    struct err err = {0};
    int fd = memfd_create("matrix", MFD_CLOEXEC);
    int rc = bars_convert_text(&conf, "f.csv", (const char *)data, size, &origin, fd, &err);
    assert(rc == 0 || (err.msg[0] != '\0' && rc == -(int)err.code));
    if (rc == 0) {
        struct matrix m;
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        rc = matrix_open(&m, path, &err);
        assert(rc == 0 && m.gain != NULL);
        matrix_close(&m);
    }
    (void)close(fd);
    return 0;
}
