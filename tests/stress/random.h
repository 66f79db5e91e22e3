/* Numbers that look random, from a seed that is told so that a run can be made again (SplitMix64, Steele and others 2014). */
#ifndef TESTS_STRESS_RANDOM_H
#define TESTS_STRESS_RANDOM_H

#include <stdint.h>

static inline uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

static inline uint64_t draw_any(uint64_t *seed) { return mix(*seed += UINT64_C(0x9e3779b97f4a7c15)); }

static inline int draw(uint64_t *seed, int below) { return (int)(draw_any(seed) % (uint64_t)below); }

#endif
