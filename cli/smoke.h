/* One trial for real, in a store and a directory of its own: does the command start, does its
 * result arrive? */
#pragma once

#include "trials/spec.h"

/* Runs one trial of the spec and tells how it went on stdout. Changes *s: budget, store and
 * directory. Returns an exit_code: EXIT_OK when the trial completed. */
int smoke_run(struct spec *s);
