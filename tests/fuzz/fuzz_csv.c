/* Any bytes as a CSV file: either a matrix that opens, or an error with a message. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trials/xgboost/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *categorical[] = {"c"}, *missing[] = {"NA", "-1"};
    static const struct table_conf conf = {
        .path = "f.csv",
        .label = "y",
        .categorical = {categorical, 1},
        .missing = {missing, 2},
    };
    static const struct matrix_origin origin = {1, 2, 3};
    struct err err = {0};
    int fd = memfd_create("matrix", MFD_CLOEXEC);
    int rc = table_convert_text(&conf, (const char *)data, size, &origin, fd, &err);
    assert(rc == 0 || (err.msg[0] != '\0' && rc == -(int)err.code));
    if (rc == 0) {
        struct matrix m;
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        rc = matrix_open(&m, path, &err);
        assert(rc == 0);
        matrix_close(&m);
    }
    (void)close(fd);
    return 0;
}
