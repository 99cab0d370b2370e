#include "storage/grpc/local.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

static bool is_loopback_v4(const char *address)
{
    char host[INET_ADDRSTRLEN];
    struct in_addr a;
    size_t n = strcspn(address, ":");
    if (n >= sizeof(host))
        return false;
    memcpy(host, address, n);
    host[n] = '\0';
    return inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

bool address_is_local(const char *address)
{
    static const char *const local[] = {"[::1]:", "localhost:", "unix:", "unix-abstract:"};
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        if (strncmp(address, local[i], strlen(local[i])) == 0)
            return true;
    }
    return is_loopback_v4(address);
}

bool address_is_complete(const char *address)
{
    int64_t port;
    const char *colon = strrchr(address, ':');
    if (strncmp(address, "unix:", 5) == 0 || strncmp(address, "unix-abstract:", 14) == 0)
        return colon[1] != '\0';
    return colon != NULL && colon != address && text_int(colon + 1, &port) && port >= 0 &&
           port <= 65535;
}
