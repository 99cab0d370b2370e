#include <string.h>

#include "storage/grpc/server/server.h"
#include <health.pb-c.h>

int health_status(const struct proxy *p, const char *service)
{
    if (service[0] != '\0' && strcmp(service, "optuna.StorageService") != 0)
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    return p->stopping ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
                       : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}
