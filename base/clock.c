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

static int split(int64_t utc_us, time_t *seconds)
{
    int64_t us = utc_us % 1000000;
    int64_t s = utc_us / 1000000;
    if (us < 0) {
        us += 1000000;
        s--;
    }
    *seconds = (time_t)s;
    return (int)us;
}

static char *put_sql(const struct tm *tm, int us, char out[static CLOCK_TEXT_MAX])
{
    size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%d %H:%M:%S", tm);
    (void)snprintf(out + n, CLOCK_TEXT_MAX - n, ".%06d", us);
    return out;
}

char *clock_sql(int64_t utc_us, char out[static CLOCK_TEXT_MAX])
{
    struct tm tm;
    time_t seconds;
    int us = split(utc_us, &seconds);
    return put_sql(gmtime_r(&seconds, &tm), us, out);
}

char *clock_local(int64_t utc_us, char out[static CLOCK_TEXT_MAX])
{
    struct tm tm;
    time_t seconds;
    int us = split(utc_us, &seconds);
    return put_sql(localtime_r(&seconds, &tm), us, out);
}

bool clock_read_local(const char *text, int64_t *utc_us)
{
    struct tm tm = {.tm_isdst = -1};
    int64_t us = 0;
    const char *p = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    if (p == NULL || *p++ != '.' || *p == '\0')
        return false;
    for (int64_t unit = 100000; *p >= '0' && *p <= '9'; p++, unit /= 10)
        us += (*p - '0') * unit;
    if (*p != '\0' || tm.tm_year < 0) /* before 1900 is nobody's trial */
        return false;
    *utc_us = (int64_t)mktime(&tm) * 1000000 + us;
    return true;
}

char *clock_rfc3339(int64_t utc_us, char out[static CLOCK_TEXT_MAX])
{
    struct tm tm;
    time_t seconds;
    int us = split(utc_us, &seconds);
    (void)gmtime_r(&seconds, &tm);
    size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, CLOCK_TEXT_MAX - n, ".%03dZ", us / 1000);
    return out;
}
