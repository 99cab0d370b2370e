/* The end of a trial's logs. */
#pragma once

#include "executor/evidence/doc.h"

/* Adds "log": the last lines of stdout.log and stderr.log in the directory, without secrets. */
void tail_put_logs(json_t *doc, int dir);
