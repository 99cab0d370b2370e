#include "storage/times.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar: whole 400-year eras, then the
 * day in a year that begins in March, so that the leap day is its last. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* n digits at *p, followed by one of the characters in `after` unless that is "". */
static bool digits(const char **p, int n, const char *after, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        *out = *out * 10 + (**p - '0');
    }
    if (*after == '\0')
        return true;
    return **p != '\0' && strchr(after, *(*p)++) != NULL;
}

bool decode_time(const char *text, int64_t *utc_us)
{
    int year, month, day, hour, minute, second;
    const char *p = text;
    if (text == NULL) {
        *utc_us = 0;
        return true;
    }
    if (!digits(&p, 4, "-", &year) || !digits(&p, 2, "-", &month) || !digits(&p, 2, " T", &day) ||
        !digits(&p, 2, ":", &hour) || !digits(&p, 2, ":", &minute) || !digits(&p, 2, "", &second))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t us = 0;
    if (*p == '.') {
        int64_t unit = 100000;
        for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
            us += (*p - '0') * unit;
    }
    if (*p == 'Z')
        p++;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * INT64_C(3600) +
                      minute * INT64_C(60) + second;
    *utc_us = seconds * 1000000 + us;
    return *p == '\0';
}

void times_complete(struct trial *t)
{
    int64_t now = clock_utc_us();
    if (t->start_us == 0 && t->state != TRIAL_WAITING)
        t->start_us = t->complete_us != 0 ? t->complete_us : now;
    if (!trial_state_finished(t->state))
        t->complete_us = 0;
    else if (t->complete_us == 0)
        t->complete_us = now;
}
