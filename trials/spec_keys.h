/* The table of all keys: what the parser accepts and what docs/spec.md says are this one list. */
#pragma once

#include "trials/spec_read.h"

enum key_type {
    KEY_SECTION,  /* a mapping of further keys */
    KEY_TEXT,     /* const char *; one of `words` if there are any */
    KEY_WORD,     /* one of words: an enum that counts them from 1 */
    KEY_FLAG,     /* bool */
    KEY_INT,      /* int64_t */
    KEY_COUNT,    /* unsigned */
    KEY_REAL,     /* double */
    KEY_DURATION, /* uint64_t, milliseconds */
    KEY_SIZE,     /* uint64_t, bytes */
    KEY_PATH,     /* const char *; true: the path in `when_true`, false: none */
    KEY_TEXTS,    /* list of text, or one text; not stored */
    KEY_MAP,      /* mapping of scalars and lists; not stored */
    KEY_OWN,      /* read by `read`, described by `form` */
    KEY_LATER,    /* known, and refused in this version unless "off" */
};

#define NO_FIELD ((size_t)-1)

struct spec_key {
    const char *path;
    enum key_type type;
    size_t offset;      /* in struct spec, or NO_FIELD */
    const char *preset; /* the default in YAML; NULL: none */
    const char *doc;    /* what it means; for KEY_LATER what happens instead */
    double min, max;    /* of numbers; both 0: any */
    const char *zero;   /* the word for 0: "off", "auto"; NULL: none */
    const char *const *words;
    const char *when_true;
    const char *form; /* the type as the reference shows it */
    void (*read)(struct spec_reader *r, const struct yaml_node *node, const char *path);
    const char *shown; /* the default as the reference shows it, where `preset` cannot say it */
    enum { ALWAYS, XGBOOST_ONLY, COMMAND_ONLY } group;
};

extern const struct spec_key spec_keys[];
extern const size_t n_spec_keys;

/* NULL when there is no such key. */
const struct spec_key *spec_key_find(const char *path);
/* The names right below the section ("" for the top). */
size_t spec_key_children(const char *section, const char **names, size_t max);
