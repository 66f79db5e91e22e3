#include <core/atomic.h>
#include <stddef.h>
#include <trace/strings.h>

enum { NEIGHBOURS = 32 };

static _Atomic(const char *) strings[THRUMI_STRINGS];

uint32_t thrumi_string_number(const char *text) {
  if (!text) return 0;
  uint32_t at = (uint32_t)((uint64_t)(uintptr_t)text * UINT64_C(0x9e3779b97f4a7c15) >> 52);
  for (uint32_t i = 0; i < NEIGHBOURS; i++, at = (at + 1) % THRUMI_STRINGS) {
    const char *seen = thrumi_load(&strings[at]);
    if (!seen && thrumi_cas(&strings[at], &seen, text)) return at + 1;
    if (seen == text) return at + 1;
  }
  return 0;
}

const char *thrumi_string(uint32_t number) {
  return number && number <= THRUMI_STRINGS ? thrumi_load(&strings[number - 1]) : NULL;
}
