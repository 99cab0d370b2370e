#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

bool cli_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fd) && (no == NULL || *no == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

void cli_error(const char *fmt, ...)
{
    bool colour = cli_colour(STDERR_FILENO);
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    (void)fprintf(stderr, "%sforkless:%s %s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
                  text != NULL ? text_clean(text) : "out of memory");
}
