/* Shared by the files that turn a document into a spec; not for users of spec.h. */
#pragma once

#include "base/buf.h"
#include "base/pool.h"
#include "base/yaml.h"
#include "trials/spec.h"

/* ---- mistakes ---- */

struct problems {
    struct buf text; /* a line each */
    struct err first;
    unsigned n;
};
#define PROBLEMS_MAX 10

/* "where: path: message"; path may be "". What was said already is not repeated. */
void problem_at(struct problems *p, const struct yaml_node *at, const char *path, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));
/* The same at the key of a pair. */
void problem_key(struct problems *p, const struct yaml_pair *at, const char *path, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
/* "at path: unknown key 'k', did you mean …" or what is expected instead. */
void problem_unknown(struct problems *p, const struct yaml_pair *at, const char *path,
                     const char *const *known, size_t n_known);
/* The known word that was meant: misspelt, or what other tools call it. NULL: none. */
const char *spec_meant(const char *word, const char *const *known, size_t n_known);

/* ---- the document ---- */

struct matrix_key {
    const char *name;
    struct yaml_node *const *values; /* scalars */
    size_t n;
};

struct env_var {
    const char *name, *value;
};

struct spec_doc {
    struct pool *pool;
    const char *origin;  /* file name, or "command line" */
    bool from_file;      /* and not from the command line alone */
    const char *stem;    /* study name when none is given */
    const char *storage; /* the store, likewise; NULL: the key's default */
    struct yaml_node *root;
    struct matrix_key *matrix;
    size_t n_matrix;
    struct env_var *env;
    size_t n_env;
    size_t n_cells;
    struct buf notes;
};

/* Puts the settings, options and command of src into the document's tree. */
int spec_apply(struct spec_doc *doc, const struct spec_source *src, struct problems *p);
/* Whether text is a compact parameter ("float:…", "int:…", "choice:…"). */
bool spec_is_param_text(const char *text);
/* Whether text is none, but was probably meant to be: "flot:0..1", "0..1". */
bool spec_is_mistyped_param(const char *text);

/* ---- one cell ---- */

struct spec_reader {
    const struct spec_doc *doc;
    struct pool *pool; /* of the spec */
    struct problems *problems;
    struct buf *notes;       /* NULL: not wanted */
    struct spec *spec;       /* being filled */
    struct yaml_node **cell; /* [doc->n_matrix], the matrix values */
    struct yaml_node *root; /* the document with ${…} replaced, except in run.command and run.env */
    const char **never;     /* names of parameters that this cell can never activate */
    size_t n_never;
    bool no_memory;
};

/* Notes what is allowed but looks like a mistake. */
void spec_note(struct spec_reader *r, const struct yaml_node *at, const char *path,
               const char *what);

/* A copy of the document with ${matrix.…} and declared ${VAR} replaced; mistakes are noted and keep
 * their text. NULL when out of memory. */
struct yaml_node *spec_substitute(struct spec_reader *r);
/* What a reference outside of parameters stands for, or NULL: "matrix.crypto", "STORAGE_URL". */
const char *spec_reference(const struct spec_reader *r, const char *name);
/* The end of "unknown name": how to get it right, never NULL. */
const char *spec_reference_hint(const struct spec_reader *r, const char *name);

/* Fills r->spec; r->root becomes the substituted tree. -ERR_NOMEM or 0; mistakes go to r->problems.
 */
int spec_read(struct spec_reader *r);

/* Readers of the parts that have a form of their own; node is not NULL. */
void spec_read_space(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_sampler(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_pruner(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_on_stall(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_retry(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_classify(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_command(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_env(struct spec_reader *r, const struct yaml_node *node, const char *path);
void spec_read_folds(struct spec_reader *r, const struct yaml_node *node, const char *path);
/* One parameter's distribution from its mapping, or from its compact text; false when a mistake was
 * noted (or r->no_memory). *d needs dist_free either way. */
bool spec_read_dist(struct spec_reader *r, const struct yaml_node *map, const char *path,
                    struct dist *d);
bool spec_read_compact(struct spec_reader *r, const struct yaml_node *n, const char *path,
                       struct dist *d);
/* Notes what is wrong with a spec_is_mistyped_param. */
void spec_refuse_mistyped(struct spec_reader *r, const struct yaml_node *n, const char *path);
/* The condition of the parameter at index in the space mapping. *out stays NULL when it always
 * holds; *never says that it cannot hold in this cell. */
bool spec_read_when(struct spec_reader *r, const struct yaml_node *space, size_t index,
                    const char *path, const struct yaml_node *n, struct cond **out, bool *never);
/* The cell's value of "factor" or "matrix.factor", or NULL. */
const struct yaml_node *spec_matrix_value(const struct spec_reader *r, const char *name);
/* Checks what no single key shows, and fills what depends on other keys. */
void spec_finish(struct spec_reader *r);
void spec_finish_run(struct spec_reader *r);
void spec_finish_fallback(struct spec_reader *r);

/* The value that the trial has for fixed value i. */
const struct value *spec_fixed_value(const struct spec *s, const struct spec_trial *t, size_t i);

/* ---- values ---- */

bool spec_is_scalar(const struct yaml_node *n);
/* From a scalar node; text is the pool's copy. */
struct value spec_value(const struct yaml_node *n);
/* Compiles the list of texts (argv) or the mapping (environment). */
struct spec_template *spec_template_argv(struct spec_reader *r, const struct yaml_node *list,
                                         const char *path);
struct spec_template *spec_template_env(struct spec_reader *r, const struct yaml_node *map,
                                        const char *path);
/* Whether it names the parameter, an index into the space. t may be NULL. */
bool spec_template_uses(const struct spec_template *t, size_t param);
