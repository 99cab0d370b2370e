/* The two clocks: monotonic for deadlines, UTC for what is stored and logged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: compare and subtract only. */
uint64_t clock_mono_ms(void);
/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ns(void);
/* Microseconds since 1970-01-01 UTC. */
int64_t clock_utc_us(void);

#define CLOCK_TEXT_MAX 33
/* "YYYY-MM-DD HH:MM:SS.ffffff", UTC: the form in which Optuna stores times. Returns out. */
char *clock_sql(int64_t utc_us, char out[static CLOCK_TEXT_MAX]);
/* The same as local time, and back: how Optuna's proxy sends them. False: no such time. */
char *clock_local(int64_t utc_us, char out[static CLOCK_TEXT_MAX]);
bool clock_read_local(const char *text, int64_t *utc_us);
/* "YYYY-MM-DDTHH:MM:SS.mmmZ": RFC 3339 for log lines. Returns out. */
char *clock_rfc3339(int64_t utc_us, char out[static CLOCK_TEXT_MAX]);
