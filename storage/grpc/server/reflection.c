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

static uint64_t take_varint(ProtobufCBinaryData *m)
{
    uint64_t v = 0;
    for (int shift = 0; m->len > 0 && shift < 64; shift += 7) {
        v |= (uint64_t)(*m->data & 0x7f) << shift;
        m->len--;
        if ((*m->data++ & 0x80) == 0)
            break;
    }
    return v;
}

/* Takes the next field that holds bytes off a descriptor, which has no others but numbers. Returns
 * its number; 0 at the end. */
static unsigned take_bytes(ProtobufCBinaryData *m, ProtobufCBinaryData *field)
{
    enum { BYTES = 2 };
    while (m->len > 0) {
        uint64_t tag = take_varint(m), n = take_varint(m);
        if ((tag & 7) != BYTES || n > m->len)
            continue;
        *field = (ProtobufCBinaryData){.len = n, .data = m->data};
        m->len -= n;
        m->data += n;
        return (unsigned)(tag >> 3);
    }
    return 0;
}

/* What a descriptor names: its first field, in each kind of them. */
static ProtobufCBinaryData name_of(ProtobufCBinaryData descriptor)
{
    ProtobufCBinaryData name = {0};
    (void)take_bytes(&descriptor, &name);
    return name;
}

/* What descriptors in descriptor.proto hold, by the field they hold it in. */
enum kind { NOTHING, NAMED /* and holds no more */, MESSAGE, SERVICE, A_FILE, KINDS };

/* clang-format off */
static const unsigned char parts[KINDS][9] = {
    [A_FILE] = {[4] = MESSAGE, [5] = NAMED /* enum */, [6] = SERVICE},
    [MESSAGE] = {[2] = NAMED /* field */, [3] = MESSAGE, [4] = NAMED /* enum */, [8] = NAMED /* oneof */},
    [SERVICE] = {[2] = NAMED /* method */},
};
/* clang-format on */

/* Whether the descriptor holds what a symbol says: a name, and behind a dot what that holds. */
static bool holds(ProtobufCBinaryData descriptor, enum kind kind, const char *symbol)
{
    ProtobufCBinaryData part;
    size_t n = strcspn(symbol, ".");
    for (unsigned field; (field = take_bytes(&descriptor, &part)) != 0;) {
        enum kind found = field < ARRAY_LEN(parts[kind]) ? parts[kind][field] : NOTHING;
        ProtobufCBinaryData name = found != NOTHING ? name_of(part) : (ProtobufCBinaryData){0};
        if (n > 0 && name.len == n && memcmp(name.data, symbol, n) == 0)
            return symbol[n] == '\0' || holds(part, found, symbol + n + 1);
    }
    return false;
}

static bool has_symbol(size_t file, const char *symbol)
{
    size_t n = strlen(files[file].package);
    return strncmp(symbol, files[file].package, n) == 0 &&
           holds(only_file(files[file].set, *files[file].n), A_FILE, symbol + n);
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
        if ((symbol != NULL && has_symbol(i, symbol)) ||
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
