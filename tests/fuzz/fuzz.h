/* A fuzz target: a function that is called with one input after the other, and fails loudly when something is wrong.
 *
 * In a build by `./dev fuzz` libFuzzer calls it and looks for inputs that reach new code; in all others tests/fuzz/random.c calls it
 * with some thousand inputs made by chance, the same ones each time. The input is read as a list of decisions. */
#ifndef THRUM_TESTS_FUZZ_H
#define THRUM_TESTS_FUZZ_H

#include "../check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decisions {
  const uint8_t *at, *end;
};

static inline bool any_left(const struct decisions *d) { return d->at < d->end; }

/* 0 at the end of the input. */
static inline uint8_t decide(struct decisions *d) { return (uint8_t)(any_left(d) ? *d->at++ : 0); }

static inline uint64_t decide_u64(struct decisions *d) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | decide(d);
  return value;
}

#endif
