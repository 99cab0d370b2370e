/* Any text as a condition: parsed, bound to some names, evaluated; binding never changes the truth.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trials/cond.h"
#include "trials/space.h"

static bool all_names(void *ctx, const char *name, struct value *out)
{
    (void)ctx;
    switch (name[0] % 6) {
    case 0:
        *out = (struct value){.kind = VALUE_INT, .i = 3};
        return true;
    case 1:
        *out = (struct value){.kind = VALUE_TEXT, .s = "dart"};
        return true;
    case 2:
        *out = (struct value){.kind = VALUE_REAL, .d = 0.5};
        return true;
    case 3:
        *out = (struct value){.kind = VALUE_BOOL, .b = true};
        return true;
    case 4:
        *out = (struct value){.kind = VALUE_NULL};
        return true;
    default:
        return false;
    }
}

static bool some_names(void *ctx, const char *name, struct value *out)
{
    return strlen(name) % 2 == 0 && all_names(ctx, name, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct cond *c;
    struct err err = {0};
    if (cond_parse(&c, text, &err) == 0) {
        enum cond_truth truth;
        bool before = cond_eval(c, all_names, NULL);
        assert(cond_bind(c, some_names, NULL, NULL, &truth, NULL) == 0);
        assert(cond_eval(c, all_names, NULL) == before);
        assert(truth == COND_OPEN || (truth == COND_TRUE) == before);
        cond_destroy(c);
    } else {
        assert(err.code == ERR_INVALID && strncmp(err.msg, "column ", 7) == 0);
    }
    free(text);
    return 0;
}
