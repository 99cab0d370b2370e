/* What one model trains on in one trial: its rows, after the factor's work on their labels.
 *
 * Everything is learned inside the training part: the out-of-fold probabilities that judge a label,
 * and the scores that a calibrator learns from, come from models of neighbouring blocks of the
 * training rows with the folds' embargo between them. No validation row is ever looked at. */
#pragma once

#include "trials/objectives/calibration.h"
#include "trials/xgboost/session.h"

struct lesson {
    uint32_t *row; /* [n] rows of the data that are trained on, in order */
    float *label;  /* [n] discrete: cleaned, never smoothed */
    float *weight; /* [n]; NULL: all 1 */
    float *target; /* [n] what training sees; NULL: the labels */
    size_t n;
    uint32_t *all;   /* [n_all] the rows before cleaning, for a calibrator; NULL: row */
    float *given;    /* [n_all] their labels as they were; NULL: label */
    uint32_t *place; /* [n] of the rows in all, ascending; NULL: each its own index */
    size_t n_all;
    struct part own;          /* the matrix, where the session's cannot be used */
    const struct part *train; /* &own or the session's */
};

/* What confident learning did to a training part, by given label. */
struct cleaning {
    size_t rows[2], issues[2]; /* in the part; suspect before the cap */
    size_t touched[2];         /* left out, weighed down or relabelled */
};

/* Makes the lesson of the ranges. shared: the session's matrix of them, made already; NULL: make
 * one. *found is set where the trial cleans labels. *out is finished with lesson_finish, also when
 * this fails. *fail: the class of a numerical failure, else untouched.
 * Errors: those of XGBoost and confident_find; ERR_INVALID for too few rows. */
int lesson_make(struct lesson *out, const struct session *s, const struct trial_conf *conf,
                const struct range *ranges, int n_ranges, const struct part *shared,
                struct cleaning *found, enum fail_class *fail, struct err *err);
void lesson_finish(struct lesson *l);
/* Whether the trial trains on other labels, weights or rows than the session's. */
bool lesson_is_own(const struct trial_conf *conf);

/* Learns the trial's calibration from out-of-fold scores of models of `rounds` rounds: models learn
 * from cleaned labels, the calibrator from all rows with the labels that they had, for it is about
 * what happens, noise included.
 * *fail: FAIL_CALIBRATION when the labels break the contract; as lesson_make's. */
int lesson_calibrate(struct calibrator *out, const struct lesson *l, const struct session *s,
                     const struct trial_conf *conf, int64_t rounds, enum fail_class *fail,
                     struct err *err);
/* score [n] out: log-odds of prob [n], which are clipped to what a float tells from 0 and 1. */
void lesson_scores(const float *prob, size_t n, float *score);
