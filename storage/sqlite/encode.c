#include <math.h>
#include <string.h>

#include "storage/sqlite/sqlite.h"

void encode_value(sqlite3_stmt *st, int i, double v)
{
    if (isfinite(v))
        (void)sqlite3_bind_double(st, i, v);
    else
        (void)sqlite3_bind_null(st, i);
    sql_bind_text(st, i + 1,
                  isfinite(v) ? "FINITE"
                  : isnan(v)  ? "NAN"
                  : v > 0     ? "INF_POS"
                              : "INF_NEG");
}

bool decode_value(sqlite3_stmt *st, int i, double *out)
{
    const char *type = sql_text(st, i + 1);
    if (strcmp(type, "FINITE") == 0) {
        *out = sqlite3_column_double(st, i);
        return sqlite3_column_type(st, i) != SQLITE_NULL;
    }
    if (strcmp(type, "INF_POS") == 0)
        *out = INFINITY;
    else if (strcmp(type, "INF_NEG") == 0)
        *out = -INFINITY;
    else if (strcmp(type, "NAN") == 0)
        *out = NAN;
    else
        return false;
    return true;
}

void encode_time(sqlite3_stmt *st, int i, int64_t utc_us, char text[static CLOCK_TEXT_MAX])
{
    sql_bind_text(st, i, utc_us != 0 ? clock_sql(utc_us, text) : NULL);
}
