/* Parameters of the functions of bench/quality, in short. */
#pragma once

#define N(a) (sizeof(a) / sizeof((a)[0]))
/* clang-format off */
#define FLOAT(n, low, high) WHEN_FLOAT(n, low, high, NULL)
#define LOG(n, low, high) WHEN_LOG(n, low, high, NULL)
#define STEP(n, low, high, step)                                                                   \
    {n, "{\"type\":\"float\",\"low\":" #low ",\"high\":" #high ",\"step\":" #step "}", NULL}
#define INT(n, low, high) WHEN_INT(n, low, high, NULL)
#define INTLOG(n, low, high) WHEN_INTLOG(n, low, high, NULL)
#define CHOICE(n, list) WHEN_CHOICE(n, list, NULL)

#define WHEN_FLOAT(n, low, high, when)                                                             \
    {n, "{\"type\":\"float\",\"low\":" #low ",\"high\":" #high "}", when}
#define WHEN_LOG(n, low, high, when)                                                               \
    {n, "{\"type\":\"float\",\"low\":" #low ",\"high\":" #high ",\"log\":true}", when}
#define WHEN_INT(n, low, high, when)                                                               \
    {n, "{\"type\":\"int\",\"low\":" #low ",\"high\":" #high "}", when}
#define WHEN_INTLOG(n, low, high, when)                                                            \
    {n, "{\"type\":\"int\",\"low\":" #low ",\"high\":" #high ",\"log\":true}", when}
#define WHEN_CHOICE(n, list, when)                                                                 \
    {n, "{\"type\":\"categorical\",\"choices\":[" list "]}", when}
/* clang-format on */
