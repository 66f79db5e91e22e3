#include <fcntl.h>
#include <string.h>
#include <trace/clock.h>
#include <unistd.h>

enum { TRIES = 5 };
#define SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

bool thrumi_counts_ticks;

static bool is_clock_source(const char *name) {
  char text[32];
  int fd = open(SOURCE, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = thrumi_os.read(fd, text, sizeof text);
  close(fd);
  size_t length = strlen(name);
  return n > (ssize_t)length && memcmp(text, name, length) == 0 && text[length] == '\n';
}

/* Who has replaced the clock wants to see its own. */
void thrumi_ticks_start(void) {
  bool real = thrumi_os.now == thrumi_os_linux.now;
#if defined(__x86_64__)
  thrumi_counts_ticks = real && is_clock_source("tsc");
#else
  thrumi_counts_ticks = real && is_clock_source("arch_sys_counter");
#endif
}

/* The clock is read between two readings of the counter: of a few tries the one that was disturbed least. */
struct thrumi_tick thrumi_tick(void) {
  struct thrumi_tick best = {0};
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < TRIES && least; i++) {
    uint64_t before = thrumi_stamp(true);
    int64_t now = thrumi_os.now();
    uint64_t apart = thrumi_stamp(true) - before;
    if (apart >= least) continue;
    least = apart;
    best = (struct thrumi_tick){before + apart / 2, now};
  }
  if (!thrumi_counts_ticks) best.stamp = (uint64_t)best.now;
  return best;
}
