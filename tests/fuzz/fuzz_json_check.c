/* Whatever jansson reads, json_check takes: a text that was stored can be read again. (It takes
 * more: NaN and Infinity, duplicate keys, numbers out of range.) */
#include <assert.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* json_check stops at 512 levels, jansson at 2048. */
static bool deep(const char *text, size_t n)
{
    size_t open = 0;
    for (size_t i = 0; i < n; i++)
        open += text[i] == '[' || text[i] == '{';
    return open >= 500;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    if (memchr(text, '\0', size) != NULL) /* jansson lets one stand at the end */
        return 0;
    bool taken = json_check(text, size);
    json_t *value = json_read(text, size, NULL);
    assert(value == NULL || taken || deep(text, size));
    json_t *from_python = json_read_python(text, size, NULL); /* reads more, and the same */
    assert(value == NULL || json_equal(value, from_python));
    json_decref(from_python);
    json_decref(value);
    return 0;
}
