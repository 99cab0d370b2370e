/* The descriptors of api.proto, batch.proto, health.proto and reflection.proto, each a
 * FileDescriptorSet of that one file; made by the build. */
#pragma once

#include <stddef.h>

extern const unsigned char descriptor_api[], descriptor_batch[], descriptor_health[],
    descriptor_reflection[];
extern const size_t descriptor_api_size, descriptor_batch_size, descriptor_health_size,
    descriptor_reflection_size;
