/* Calls a fuzz target without libFuzzer: `program [INPUTS [SEED]]`. */
#include "fuzz.h"

#include <stdlib.h>

enum { LONGEST = 600 };

static uint64_t next(uint64_t *state) { /* xorshift64* (Vigna 2016) */
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(0x2545f4914f6cdd1d);
}

int main(int argc, char **argv) {
  long inputs = argc > 1 ? atol(argv[1]) : 3000;
  uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 20;
  for (long i = 0; i < inputs; i++) {
    uint8_t data[LONGEST];
    size_t size = next(&state) % LONGEST;
    for (size_t j = 0; j < size; j++) data[j] = (uint8_t)(next(&state) >> 56);
    CHECK_EQ(LLVMFuzzerTestOneInput(data, size), 0);
  }
  return 0;
}
