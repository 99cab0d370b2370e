/* A spec file t.yaml in a directory of the test's own, which is also the working directory. */
#pragma once

#include "trials/spec.h"

void spec_file_setup(void);
void spec_file_teardown(void);
/* Returns the file's path. */
const char *spec_file_write(const char *text);
/* Fails the test with the mistakes when the text is no good spec. */
struct spec_doc *spec_file_load(const char *text);
