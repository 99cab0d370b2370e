/* Any bytes as YAML: a tree that is whole, or one clear error. */
#include <assert.h>
#include <stdint.h>

#include "base/yaml.h"

static void walk(const struct yaml_node *n)
{
    assert((n->kind == YAML_LIST || n->kind == YAML_MAP) == (n->text == NULL));
    for (size_t i = 0; n->kind == YAML_LIST && i < n->n; i++)
        walk(n->items[i]);
    for (size_t i = 0; n->kind == YAML_MAP && i < n->n; i++) {
        assert(yaml_find(n, n->pairs[i].key) == &n->pairs[i]); /* keys are unique */
        walk(n->pairs[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_node *root;
    struct err err = {0};
    struct pool *pool = pool_create();
    if (yaml_parse(&root, pool, "x.yaml", (const char *)data, size, &err) == 0)
        walk(root);
    else
        assert(err.code == ERR_INVALID && err.msg[0] != '\0');
    pool_destroy(pool);
    return 0;
}
