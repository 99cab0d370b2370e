#include "storage/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

/* Loading it again gives the same one. */
static int load(const struct store_module **out, const char *name, struct err *err)
{
    AUTO_FREE char *path = NULL;
    char file[64];
    (void)snprintf(file, sizeof(file), "storage-%s.so", name);
    int rc = own_find(&path, file, R_OK, err);
    if (rc == -ERR_NOTFOUND)
        return err_set(err, ERR_UNSUPPORTED,
                       "this forkless was installed without its %s storage: %s is missing", name,
                       file);
    if (rc < 0)
        return rc;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return err_set(err, ERR_UNSUPPORTED, "the %s storage cannot be loaded: %.300s", name,
                       dlerror());
    const struct store_module *m = dlsym(handle, "forkless_store_module");
    if (m == NULL || strcmp(m->build, STORE_MODULE_BUILD) != 0 ||
        m->ops_size != sizeof(struct store_ops))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s belongs to another build of forkless: install both anew", path);
    *out = m;
    return 0;
}

int module_open(struct store **out, const char *name, const char *url,
                const struct store_opts *opts, struct err *err)
{
    const struct store_module *m = NULL;
    int rc = load(&m, name, err);
    return rc < 0 ? rc : m->open(out, url, opts, err);
}
