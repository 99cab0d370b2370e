/* A time that is read and written as Optuna does is read as the same time. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/sqlite/sqlite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[CLOCK_TEXT_MAX];
    int64_t us, again;
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    copy[size] = '\0';
    /* clock_sql pads years to four digits from 1000 on */
    if (decode_time(copy, &us) && us > -30610224000000000)
        assert(decode_time(clock_sql(us, text), &again) && again == us);
    free(copy);
    return 0;
}
