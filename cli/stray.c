#include "cli/stray.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executor/spawn.h"
#include "trials/spec.h"

bool stray_is_setting(const char *word)
{
    size_t n = strcspn(word, "=/");
    return word[n] == '=' || spec_lacks_equals(word);
}

static bool ends_with(const char *word, const char *suffix)
{
    size_t n = strlen(word), k = strlen(suffix);
    return n > k && strcmp(word + n - k, suffix) == 0;
}

/* A file in the working directory is a spec, unless it is called by its path and may be run. */
static bool is_program(const char *word)
{
    AUTO_FREE char *path = NULL;
    if (ends_with(word, ".yaml") || ends_with(word, ".yml") || ends_with(word, ".json"))
        return false;
    if (ends_with(word, ".py") || ends_with(word, ".sh"))
        return true;
    return (strchr(word, '/') != NULL || access(word, F_OK) < 0) &&
           spawn_resolve(&path, word, NULL, NULL) == 0;
}

size_t stray_command(const struct cli_words *words)
{
    bool file = words->n > 0 && !stray_is_setting(words->v[0]);
    for (size_t i = 0; i < words->n; i++) {
        if (!stray_is_setting(words->v[i]) && (!file || is_program(words->v[i])))
            return i;
    }
    return words->n;
}
