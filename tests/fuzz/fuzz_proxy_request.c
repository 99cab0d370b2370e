/* Requests come from anybody who can connect: the first byte picks the method, the rest is the
 * message. Whatever it is, the store goes on as if nothing had been. */
#include <assert.h>
#include <stdint.h>

#include "storage/grpc/service.h"
#include "storage/grpc/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store with something to hit. */
static struct store *open_store(void)
{
    static struct store *s;
    const enum direction up = DIRECTION_MAXIMIZE;
    int64_t study;
    if (s != NULL)
        return s;
    assert(store_open(&s, ":memory:", NULL, NULL) == 0);
    assert(store_study_create(s, "a", &up, 1, &study, NULL) == 0);
    assert(store_trial_create(s, study, NULL, NULL, NULL, NULL) == 0);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *s = open_store();
    struct buf reply = BUF_INIT;
    struct err err = {0};
    if (size == 0)
        return 0;
    /* what one input wrote shall not meet the next */
    assert(store_begin(s, NULL) == 0);
    int rc = service_answer(s, (enum wire_method)(data[0] % WIRE_METHODS), data + 1, size - 1,
                            &reply, &err);
    assert(rc == 0 || (err.msg[0] != '\0' && status_of_error(err.code) != 0));
    store_rollback(s);
    buf_free(&reply);
    return 0;
}
