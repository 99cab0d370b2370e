/* What the commands that read a store share: which file, which study, and how a trial is told. They
 * open it read-only and hold no lock, so they work while a sweep runs. */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "storage/storage.h"

struct reading {
    const char *storage; /* set by READING_STORAGE; NULL: the default */
    struct store *store;
    char url[512];            /* for people: without its password */
    int64_t study;            /* valid when one was picked */
    char *name;               /* owned */
    enum direction direction; /* of the first objective */
    size_t n_objectives;
};

void reading_close(struct reading *r);
#define AUTO_READING AUTO(reading_close)

/* The option --storage, for r's command. */
#define READING_STORAGE(r)                                                                         \
    {                                                                                              \
        .name = "storage", .arg = "URL", .text = &(r)->storage,                                    \
        .help = "the file (default: $FORKLESS_STORAGE, $OPTUNA_STORAGE, ./forkless.db)"            \
    }

enum reading_words {
    READING_NONE,        /* no word, no study is picked */
    READING_STUDY,       /* [STUDY]: the only one when it is not named */
    READING_ALL,         /* [STUDY]: none is picked when it is not named */
    READING_TRIAL_STUDY, /* TRIAL [STUDY]; TRIAL is the caller's to read */
};

/* How each of these commands begins: parses the command line, opens the store, picks the study.
 * Returns CLI_GO_ON, or an exit_code after it said why. *args is the caller's to free. */
int reading_begin(struct reading *r, const struct cli_usage *usage, int argc, char **argv,
                  enum reading_words words, struct cli_args *args);
/* Opens r's store for reading and picks no study. As reading_begin. */
int reading_open(struct reading *r);
/* The same store again, for writing: a store that is not there was refused by reading_open, so that
 * none is made in a wrong directory. As reading_begin. */
int reading_reopen(struct reading *r);
/* Opens a store for writing that must be there already; *out is the caller's. Errors: as
 * store_open. */
int reading_open_existing(struct store **out, const char *url, struct err *err);
/* Opens the store of the url and picks the study of the name. As reading_begin. */
int reading_open_study(struct reading *r, const char *url, const char *name);
/* The study's run directory (its attribute forkless:dir); the caller's to free. As reading_open. */
int reading_run_dir(const struct reading *r, char **out);
/* Reports an error of the store; the exit_code for it. */
int reading_failed(const struct err *err);

/* The JSON text of an attribute, or NULL. */
const char *trial_attr_find(const struct trial_attr *attrs, size_t n, const char *key);
/* Its text when it is a JSON string; out stays empty when it is not there. */
void trial_attr_text(const struct trial_attr *attrs, size_t n, const char *key, struct buf *out);
/* Appends "eta=0.1 max_depth=6": floats with six digits. */
void trial_params_text(const struct trial *t, struct buf *out);
/* Milliseconds from start to end, or till now while it runs; 0 when it has not started. */
uint64_t trial_duration_ms(const struct trial *t);

/* A finite number in its shortest form, else the string "inf", "-inf" or "nan". */
void json_put_value(struct buf *b, double v);
/* JSON text as Python writes it; its bare NaN and Infinity become the strings above. */
void json_put_python(struct buf *b, const char *json);
/* A trial as one JSON object; all: with distributions' values, steps and attributes. */
void json_put_trial(struct buf *b, const struct trial *t, bool all);
