/* A trial that was run with other values than it was asked for: its fallback ladder, for people. */
#pragma once

#include "base/buf.h"
#include "trials/trial.h"

/* Appends "step 2, rolled back: asked for focal_gamma=4.0 objective=nothing"; nothing for a trial
 * that was run as it was asked for. t needs its system attributes. */
void fallen_put(struct buf *b, const struct trial *t);
