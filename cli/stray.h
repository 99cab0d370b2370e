/* The command of a sweep whose `--` was forgotten, among the words of a command line. */
#pragma once

#include "cli/options.h"

/* For cli_usage: the first word that is neither a setting, a parameter nor a spec file. */
size_t stray_command(const struct cli_words *words);
/* Whether the word is name=value, or a parameter that lacks its '=' (x:float:0..1), and not a file:
 * ./a=b is one. */
bool stray_is_setting(const char *word);
