/* A program that holds libthrum statically gets libthrum-dump loaded when it is installed, and no second libthrum
 * with it. */
#define _GNU_SOURCE 1
#include "../check.h"
#include <core/backtrace.h>
#include <dlfcn.h>

__attribute__((noinline)) static void static_function(void) { __asm__ volatile("nop"); }

int main(void) {
  CHECK(dlopen("libthrum-dump.so.0", RTLD_NOW | RTLD_NOLOAD) == NULL);
  const struct thrumi_backtracer *b = thrumi_backtracer_get();
  CHECK(b != &thrumi_backtracer_fallback);
  CHECK(b == thrumi_backtracer_get());
  CHECK(dlopen("libthrum-dump.so.0", RTLD_NOW | RTLD_NOLOAD) != NULL);
  CHECK(dlopen("libthrum.so.0", RTLD_NOW | RTLD_NOLOAD) == NULL);

  struct thrumi_frame frame;
  b->describe((uintptr_t)static_function, true, &frame);
  CHECK_STR(frame.function, "static_function");
  CHECK_HAS(frame.file, "loaded.c");
  CHECK(frame.line > 0);
  return 0;
}
