/* Distribution JSON comes from databases that others write. What is read must be written so that it
 * reads back equal. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "trials/space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct dist d, again;
    if (dist_read_json(&d, (const char *)data, size, &err) < 0)
        return 0;
    struct buf b = BUF_INIT;
    dist_put_json(&b, &d);
    assert(dist_read_json(&again, buf_str(&b), b.len, &err) == 0);
    assert(dist_compatible(&d, &again) && d.low == again.low && d.step == again.step);
    assert(d.high == again.high || (d.step > 0 && again.high < d.high));
    (void)dist_single(&d);
    buf_clear(&b);
    dist_put_value_json(&b, &d, d.kind == DIST_CHOICE ? 0 : d.low);
    buf_free(&b);
    dist_free(&again);
    dist_free(&d);
    return 0;
}
