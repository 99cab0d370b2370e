/* What a trial leaves behind: model.ubj, which Python's xgboost loads, and model.json beside it,
 * which says how to feed it (features in order, codes of categories) and how to read what it says.
 */
#pragma once

#include "trials/xgboost/boost.h"

/* Writes b's model of its best round into dir, each file all or nothing, and durable. calibrator:
 * of its probabilities; CALIBRATE_NONE where there is none. */
int model_save(const struct session *s, const struct trial_conf *conf, const struct boost *b,
               const struct calibrator *calibrator, const char *dir, struct err *err);
