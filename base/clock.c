#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_mono_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail on Linux */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000u;
}

int64_t clock_utc_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int split(int64_t utc_us, struct tm *tm)
{
    int64_t us = utc_us % 1000000;
    int64_t s = utc_us / 1000000;
    if (us < 0) {
        us += 1000000;
        s--;
    }
    time_t t = (time_t)s;
    (void)gmtime_r(&t, tm);
    return (int)us;
}

char *clock_sql(int64_t utc_us, char out[static CLOCK_TEXT_MAX])
{
    struct tm tm;
    int us = split(utc_us, &tm);
    size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm);
    (void)snprintf(out + n, CLOCK_TEXT_MAX - n, ".%06d", us);
    return out;
}

char *clock_rfc3339(int64_t utc_us, char out[static CLOCK_TEXT_MAX])
{
    struct tm tm;
    int us = split(utc_us, &tm);
    size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, CLOCK_TEXT_MAX - n, ".%03dZ", us / 1000);
    return out;
}
