#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

void cli_error(const char *fmt, ...)
{
    bool colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL;
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "%sforkless:%s ", colour ? "\033[31m" : "", colour ? "\033[0m" : "");
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
}
