/* Any lines as a command line: settings, then `--`, then the command. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/fuzz/spec_use.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    const char *words[WORDS_MAX];
    size_t n = 0, settings = WORDS_MAX;
    char *rest = text;
    for (char *word; n < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;) {
        if (strcmp(word, "--") == 0 && settings == WORDS_MAX)
            settings = n;
        else
            words[n++] = word;
    }
    settings = settings < n ? settings : n;
    spec_use(&(struct spec_source){
        .settings = words,
        .n_settings = settings,
        .command = words + settings,
        .n_command = n - settings,
    });
    return 0;
}
