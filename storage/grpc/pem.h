/* Certificates and keys. */
#pragma once

#include "base/err.h"

#define PEM_CERTIFICATE "-----BEGIN CERTIFICATE"
#define PEM_KEY "PRIVATE KEY-----"

/* Reads a PEM file that holds the marker. *out is the caller's to free, a key with pem_key_free.
 * Errors: ERR_IO, ERR_NOTFOUND and kin of the system, ERR_INVALID (no marker), ERR_NOMEM. */
int pem_read(char **out, const char *path, const char *marker, struct err *err);
/* Erases it too. For AUTO. */
void pem_key_free(char **text);
