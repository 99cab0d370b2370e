/* A spec told to people and to programs. */
#pragma once

#include "base/buf.h"
#include "trials/spec.h"

/* Appends what will happen, in lines with a label each; bold labels with `colour`. */
void describe_spec(struct buf *b, const struct spec_doc *doc, const struct spec *s, bool colour);
/* Appends the spec as one JSON object: passwords masked, distributions as Optuna writes them. */
void describe_spec_json(struct buf *b, const struct spec *s);
/* Appends a word as a shell would read it: quoted unless it is plain. */
void describe_word(struct buf *b, const char *word);
/* Appends argv as a shell would read it. */
void describe_argv(struct buf *b, const struct spec_strings *argv);
