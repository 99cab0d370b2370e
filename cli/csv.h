/* A study's trials as comma-separated values (RFC 4180), columns as in Optuna's trials_dataframe.
 */
#pragma once

#include "cli/reading.h"

/* Writes them to stdout. */
int csv_trials(const struct reading *r, struct err *err);
