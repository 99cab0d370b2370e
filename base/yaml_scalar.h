/* Scalars of the YAML 1.2 core schema. */
#pragma once

#include "base/yaml.h"

/* Sets kind and value from n->text as an untagged plain scalar. */
void yaml_scalar_resolve(struct yaml_node *n);
/* Applies an explicit tag (!!str, !!int, …; "!" means text). False when unknown or when the text is
 * not of that type. */
bool yaml_scalar_tag(struct yaml_node *n, const char *tag);
