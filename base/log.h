/* Events: one JSON object a line on stderr, `{"ts":…,"level":…,"event":…,…}`, at most 16 KiB
 * (longer lines are split by container runtimes). One log_event of up to 4096 bytes is one
 * write(2), so lines never interleave. A reader that stops reading stops nobody: events are dropped
 * meanwhile, and counted in `events_dropped`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
    enum { LOG_F_INT, LOG_F_REAL, LOG_F_TEXT, LOG_F_BOOL, LOG_F_JSON } kind;
    const char *key;
    union {
        int64_t i;
        double d;
        const char *s; /* NULL is written as null; LOG_F_JSON: put in as it is */
        bool b;
    };
};

/* clang-format off */
#define LOG_INT(k, v)  ((struct log_field){.kind = LOG_F_INT,  .key = (k), .i = (int64_t)(v)})
#define LOG_REAL(k, v) ((struct log_field){.kind = LOG_F_REAL, .key = (k), .d = (v)})
#define LOG_TEXT(k, v) ((struct log_field){.kind = LOG_F_TEXT, .key = (k), .s = (v)})
#define LOG_FLAG(k, v) ((struct log_field){.kind = LOG_F_BOOL, .key = (k), .b = (v)})
#define LOG_RAW(k, v)  ((struct log_field){.kind = LOG_F_JSON, .key = (k), .s = (v)})
/* clang-format on */

/* Where the lines go: fd 2 and LOG_INFO until said otherwise; fd -1 drops everything. */
void log_setup(int fd, enum log_level least);

/* log_event(LOG_INFO, "trial_end", LOG_INT("trial", 7), LOG_TEXT("class", "oom")); */
#define log_event(level, event, ...)                                                               \
    log_event_fields(level, event, (const struct log_field[]){__VA_ARGS__},                        \
                     sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_event_fields(enum log_level level, const char *event, const struct log_field *fields,
                      unsigned n);
