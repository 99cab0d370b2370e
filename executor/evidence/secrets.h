/* Keeping secrets out of what is written down about others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Whether the name of an environment variable says that its value is a secret. */
bool secret_variable(const char *name);

/* Appends text with *** in place of what reads like a secret: the password of a URL, what follows
 * `password=`, `--token `, `"api_key": ` and the like, `Bearer …`, curl's `-u user:…`, and tokens
 * that begin as their issuers' do (ghp_…, sk-…, AKIA…, eyJ…, xoxb-…). */
void secret_mask(struct buf *out, const char *text);

/* Adds the value of an environment variable to out: as secret_mask, but a URL's user part is all up
 * to the last @. */
void secret_mask_variable(struct buf *out, const char *value);
/* The same for words that each end in a NUL, as in /proc/PID/cmdline; a space stands between them.
 * words[n] is a NUL too. */
void secret_mask_words(struct buf *out, const char *words, size_t n);
