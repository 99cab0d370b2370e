/* Random numbers: xoshiro256++ (Blackman & Vigna, 2019, public domain algorithm), seeded by
 * splitmix64. A stream is a value: equal seeds give equal streams on every machine. */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* Mixes two numbers into a seed: seeds of trials are rng_mix(study seed, trial number), so they do
 * not depend on the order in which trials finish. */
uint64_t rng_mix(uint64_t a, uint64_t b);
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, 1), 53 bits. */
double rng_unit(struct rng *r);
/* Uniform in 0 … n-1 without bias; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* Standard normal (Marsaglia's polar method). */
double rng_normal(struct rng *r);
