#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

void cli_error(const char *fmt, ...)
{
    bool colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL;
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    (void)fprintf(stderr, "%sforkless:%s %s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
                  text != NULL ? text_clean(text) : "out of memory");
}
