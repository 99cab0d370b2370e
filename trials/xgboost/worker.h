/* The three ways the program runs. Each returns its exit code. */
#pragma once

#include "trials/xgboost/channel.h"
#include "trials/xgboost/session.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_BAD_INPUT = 2 };

/* The exit code of a failure: EXIT_BAD_INPUT when settings, data or a path are wrong. */
int exit_code(const struct err *err);

/* Under an executor: the trial named by the environment, then every further one it sends. */
int worker_run(struct channel *c, const char *config_path, int threads);

/* By hand: one trial, its metrics as `name=value` lines on stdout. params is taken; model_dir may
 * be NULL. */
int by_hand_run(const char *config_path, json_t *params, uint32_t seed, const char *model_dir,
                int threads);

/* Reads and checks the data, makes the matrix, says what it found in one line of JSON on stdout. */
int prepare_run(const char *config_path, int threads);
