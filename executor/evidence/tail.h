/* The end of a trial's logs. */
#pragma once

#include "executor/evidence/doc.h"

/* Adds "log": the last lines of stdout.log and stderr.log in the directory, without secrets. */
void tail_put_logs(json_t *doc, int dir);

/* Adds "forks": the last records of the fork guard in the directory (forks.jsonl). */
void tail_put_forks(json_t *doc, int dir);
