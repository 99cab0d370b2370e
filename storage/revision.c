#include "storage/revision.h"

#include <string.h>

#include "base/cleanup.h"

const char *revision_advice(const char *revision)
{
    static const char *const older[] = {"v0.9.0.a", "v1.2.0.a", "v1.3.0.a", "v2.4.0.a",
                                        "v2.6.0.a", "v3.0.0.a", "v3.0.0.b", "v3.0.0.c"};
    if (strcmp(revision, REVISION_3_0) == 0)
        return "update it with `forkless db upgrade`, it takes a moment";
    for (size_t i = 0; i < ARRAY_LEN(older); i++) {
        if (strcmp(revision, older[i]) == 0)
            return "update it with `optuna storage upgrade --storage URL`";
    }
    return "no Optuna up to 5.0 knows it, perhaps a newer one does";
}
