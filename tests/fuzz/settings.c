/* The environment: whatever it says, each setting is in its range, and what cannot be right is told in one line. */
#include "fuzz.h"

#include <core/settings.h>
#include <stdlib.h>

static size_t told;

static void note(const char *text, size_t length) {
  CHECK(length > 0 && text[length - 1] == '\n');
  CHECK(!memchr(text, '\n', length - 1));
  told++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[] = {"THRUM_WORKERS",        "THRUM_INTERVAL", "THRUM_STACK",
                                      "THRUM_KERNEL_THREADS", "THRUM_CHECK",    "THRUM_PROFILE",
                                      "THRUM_STATS"};
  char text[128];
  struct decisions d = {data, data + size};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t length = decide(&d) % sizeof text;
    for (size_t j = 0; j < length; j++) text[j] = (char)decide(&d);
    text[length] = 0;
    if (length % 16 == 1)
      snprintf(text, sizeof text, "%llu%.3s", (unsigned long long)decide_u64(&d), &"kms"[length % 3]);
    setenv(names[i], text, 1);
  }
  struct thrumi_settings s;
  thrumi_settings_default(&s);
  told = 0;
  thrumi_settings_environment(&s, note);
  CHECK(told <= sizeof names / sizeof *names);
  CHECK(s.workers >= 1 && s.workers <= THRUMI_WORKERS_MAX);
  CHECK(s.kernel_threads >= THRUMI_KERNEL_THREADS_MIN && s.kernel_threads <= THRUMI_KERNEL_THREADS_MAX);
  CHECK(s.interval >= THRUMI_INTERVAL_MIN && s.interval <= THRUMI_INTERVAL_MAX);
  CHECK(s.stack_size >= THRUMI_STACK_SIZE_MIN && s.stack_size <= THRUMI_STACK_SIZE_MAX);
  return 0;
}
