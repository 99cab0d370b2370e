/* One study of the sweep in numbers: what it has, what is under way, what it still wants. */
#pragma once

#include "executor/sweep.h"

struct sw_study {
    struct sw_study_conf conf;
    struct sw_counts counts; /* as the store last said */
    bool opened;
    int64_t attempts;  /* made so far, by earlier runs and this one */
    int64_t hangs;     /* of them: stalled, deadlocked or out of time */
    int claiming;      /* slots that ask, or hold one */
    int running;       /* slots that run a trial of it */
    int saving;        /* outcomes on their way to the store */
    int saving_good;   /* of them: counting towards the target */
    uint64_t again_ms; /* no claim before this */
    bool brisk;        /* the last trial was short */
    bool any_good;     /* a trial has counted: no flapping any more */
    int flaps;         /* failures in a row from the start, all of flap_class */
    enum fail_class flap_class;
};

/* Trials that count towards the target. */
int64_t sw_study_good(const struct sw_study *st);
/* Trials that are asked for, held, run, or on their way to the store. */
int64_t sw_study_under_way(const struct sw_study *st);
bool sw_study_met(const struct sw_study *st);
/* Nothing is under way, and nothing will be. */
bool sw_study_over(const struct sw_study *st);
/* Whether to ask the store for a trial now. */
bool sw_study_wants(const struct sw_study *st, uint64_t now_ms);

/* The store has counted what there was before. */
void sw_study_open(struct sw_study *st, const struct sw_counts *counts, int64_t attempts);
/* A trial that runs has ended: its outcome goes to the store. */
void sw_study_ended(struct sw_study *st, enum trial_state state, enum fail_class fail);
/* A claimed trial will not start: it goes back to the store. */
void sw_study_returned(struct sw_study *st);
/* The store has taken what went there; what it counts then is noted by the caller. */
void sw_study_saved(struct sw_study *st, enum trial_state state);
/* How many trials from the start have failed like this one, it included; 0: it says nothing about
 * the trials, or one was good. */
int sw_study_flaps(struct sw_study *st, enum trial_state state, enum fail_class fail);
/* Ended because nothing went on. */
bool sw_is_hang(enum fail_class fail);
