/* Small text helpers shared by the parsers: numbers, durations, sizes, did-you-mean. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole string as a finite or infinite double in C/JSON form ("1e-4", "-3", ".5", "inf", "nan");
 * false when anything is left over or it is empty. Locale-independent. */
bool text_double(const char *s, double *out);
/* Whole string as a decimal integer; false on overflow or leftovers. */
bool text_int(const char *s, int64_t *out);
/* "90", "90s", "5m", "2h", "1d", "250ms", "1.5h" to milliseconds; a bare number is seconds. */
bool text_duration_ms(const char *s, uint64_t *out);
/* "512", "8GiB", "3G", "100MB", "64KiB" to bytes (K, M, G, T are binary with or without "i"; KB, MB
 * … decimal). */
bool text_size_bytes(const char *s, uint64_t *out);
/* The shortest text that reads back as the same double, as Python's repr writes it: "0.1", "1e-05",
 * "2.0", "inf", "nan". Returns out. */
#define TEXT_DOUBLE_MAX 48
char *text_from_double(double v, char out[static TEXT_DOUBLE_MAX]);
/* The candidate closest to word by edit distance, or NULL when none is near enough to suggest. */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);
/* "3m 20s", "1.2 s", "2h 05m": for people. Returns out. */
char *text_human_ms(uint64_t ms, char out[static 32]);
/* Length in bytes (1-4) of the UTF-8 sequence at text, or 0 when there is none. */
size_t text_utf8_len(const char *text, size_t n);
/* Takes out, in place, what could steer a terminal: C0 controls, DEL, C1 (as UTF-8 too) and bytes
 * that are no UTF-8 become '?', line ends and tabs a space. For text of others. Returns text. */
char *text_clean(char *text);
/* Copies a URL with the password of `scheme://user:password@host`, and of `?password=`, written as
 * ***. Returns out. */
char *text_mask_url(const char *url, char *out, size_t size);
