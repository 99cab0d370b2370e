#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/cli.h"

const char *cli_default_storage(void)
{
    const char *const urls[] = {getenv("FORKLESS_STORAGE"), getenv("OPTUNA_STORAGE")};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        if (urls[i] != NULL && *urls[i] != '\0')
            return urls[i];
    }
    return "sqlite:///forkless.db";
}
