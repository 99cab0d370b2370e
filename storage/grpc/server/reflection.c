#include "storage/grpc/server/reflection.h"

#include <string.h>

#include "base/cleanup.h"
#include "storage/grpc/server/descriptors.h"
#include "storage/grpc/wire.h"
#include <reflection.pb-c.h>

typedef Grpc__Reflection__V1alpha__ServerReflectionResponse response;

static const struct {
    const char *package; /* with a dot behind */
    const char *file;
    const char *service;
    const unsigned char *set; /* a FileDescriptorSet of one file */
    const size_t *n;
} files[] = {
    {"optuna.", "api.proto", "optuna.StorageService", descriptor_api, &descriptor_api_size},
    {"forkless.", "batch.proto", "forkless.Storage", descriptor_batch, &descriptor_batch_size},
    {"grpc.health.v1.", "health.proto", "grpc.health.v1.Health", descriptor_health,
     &descriptor_health_size},
    {"grpc.reflection.v1alpha.", "reflection.proto", "grpc.reflection.v1alpha.ServerReflection",
     descriptor_reflection, &descriptor_reflection_size},
};

/* The FileDescriptorProto in a set that holds one: what follows its tag and length. */
static ProtobufCBinaryData only_file(const unsigned char *set, size_t n)
{
    size_t at = 1;
    while ((set[at++] & 0x80) != 0)
        ;
    return (ProtobufCBinaryData){.len = n - at, .data = (uint8_t *)set + at};
}

static void put_error(response *r, Grpc__Reflection__V1alpha__ErrorResponse *e, int code,
                      const char *message)
{
    e->error_code = code;
    e->error_message = (char *)message;
    r->message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    r->error_response = e;
}

/* The answers' parts live in the function that packs them, as its copy of the answer does. */
static void pack_services(response r, struct buf *reply)
{
    Grpc__Reflection__V1alpha__ListServiceResponse list =
        GRPC__REFLECTION__V1ALPHA__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1alpha__ServiceResponse names[ARRAY_LEN(files)];
    Grpc__Reflection__V1alpha__ServiceResponse *pointers[ARRAY_LEN(files)];
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        grpc__reflection__v1alpha__service_response__init(&names[i]);
        names[i].name = (char *)files[i].service;
        pointers[i] = &names[i];
    }
    list.n_service = ARRAY_LEN(files);
    list.service = pointers;
    r.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    r.list_services_response = &list;
    wire_pack(reply, &r);
}

static void pack_file(response r, const char *symbol, const char *name, struct buf *reply)
{
    Grpc__Reflection__V1alpha__FileDescriptorResponse f =
        GRPC__REFLECTION__V1ALPHA__FILE_DESCRIPTOR_RESPONSE__INIT;
    Grpc__Reflection__V1alpha__ErrorResponse none = GRPC__REFLECTION__V1ALPHA__ERROR_RESPONSE__INIT;
    ProtobufCBinaryData bytes;
    put_error(&r, &none, 5 /* NOT_FOUND */, "there is no such file or symbol here");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if ((symbol != NULL && strncmp(symbol, files[i].package, strlen(files[i].package)) == 0) ||
            (name != NULL && strcmp(name, files[i].file) == 0)) {
            bytes = only_file(files[i].set, *files[i].n);
            f.n_file_descriptor_proto = 1;
            f.file_descriptor_proto = &bytes;
            r.message_response_case =
                GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
            r.file_descriptor_response = &f;
        }
    }
    wire_pack(reply, &r);
}

int reflection_answer(const void *request, size_t n, struct buf *reply, struct err *err)
{
    AUTO(pool_destroy_p) struct pool *pool = pool_create();
    Grpc__Reflection__V1alpha__ServerReflectionRequest *q = NULL;
    response r = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1alpha__ErrorResponse e = GRPC__REFLECTION__V1ALPHA__ERROR_RESPONSE__INIT;
    if (pool == NULL)
        return err_set(err, ERR_NOMEM, "a request");
    int rc = wire_unpack(&q, &grpc__reflection__v1alpha__server_reflection_request__descriptor,
                         pool, request, n, err);
    if (rc < 0)
        return rc;
    r.valid_host = q->host;
    r.original_request = q;
    switch (q->message_request_case) {
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        pack_services(r, reply);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        pack_file(r, NULL, q->file_by_filename, reply);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        pack_file(r, q->file_containing_symbol, NULL, reply);
        break;
    default:
        put_error(&r, &e, 12 /* UNIMPLEMENTED */, "proto3 has no extensions");
        wire_pack(reply, &r);
    }
    return reply->failed ? err_set(err, ERR_NOMEM, "a reply") : 0;
}
