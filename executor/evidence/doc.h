/* Building the evidence as a JSON document. What cannot be put in for lack of memory is missing. */
#pragma once

#include <stdint.h>

#include "base/json.h"

/* Text of others: cleaned (text_clean), so that neither JSON nor a terminal is hurt. */
void doc_text(json_t *object, const char *key, const char *text);
void doc_add_text(json_t *array, const char *text);
void doc_int(json_t *object, const char *key, int64_t v);
void doc_flag(json_t *object, const char *key, bool v);
/* A note for people in the document's or a process's "notes". */
void doc_note(json_t *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Text of a key; "" when there is none. */
const char *doc_get(const json_t *object, const char *key);
