/* When an event was: a stamp of the processor's counter, which a drain converts to the monotonic clock.
 *
 * Reading the counter costs 10 ns where the clock costs 25. It is used where the kernel's own clock is that counter (the clock source `tsc`
 * on x86-64, which the kernel chooses only if it runs at one rate on all CPUs alike; always on aarch64). Elsewhere a stamp is a reading of
 * the clock. Which of the two it is, is settled when the first recording starts.
 *
 * Order. The counter may be read ahead of earlier instructions, by as long as one of them waits for memory. That must not put what a
 * thread saw behind what it did then: so stamps of events that follow from what another worker did (RUN, for one, from its UNPARK) are
 * ordered: they wait for all loads before. Those of causes need not: the store that others see is made by a locked instruction behind
 * them, which retires after they were read.
 *
 * IO needs no order: the system call that told of it lies between.
 *
 * Conversion. Two readings of both, apart in time, give a line; a stamp between them is on it, one a little outside is taken to be. The
 * next line begins where the last one ended: what one CPU stamped first is earlier in ns, too. */
#ifndef THRUMI_TRACE_CLOCK_H
#define THRUMI_TRACE_CLOCK_H

#include <core/event.h>
#include <core/atomic.h>
#include <os/os.h>

/* Both clocks at one moment. */
struct thrumi_tick {
  uint64_t stamp;
  int64_t now;
};

struct thrumi_line {
  struct thrumi_tick from, to;
};

extern bool thrumi_counts_ticks; /* stamps are of the counter */

void thrumi_ticks_start(void); /* settles it; once, before the first stamp */
struct thrumi_tick thrumi_tick(void);

/* ns a tick. */
static inline double thrumi_rate(const struct thrumi_line *line) {
  uint64_t ticks = line->to.stamp - line->from.stamp;
  return ticks ? (double)(line->to.now - line->from.now) / (double)ticks : 0;
}

static inline int64_t thrumi_at_rate(const struct thrumi_tick *from, double rate, uint64_t stamp) {
  return from->now + (int64_t)((double)(int64_t)(stamp - from->stamp) * rate);
}

static inline int64_t thrumi_to_ns(const struct thrumi_line *line, uint64_t stamp) {
  return thrumi_at_rate(&line->from, thrumi_rate(line), stamp);
}

/* By kind: whether it follows from what was seen. */
#define THRUMI_ORDERED \
  (UINT64_C(1) << THRUMI_EVENT_RUN | UINT64_C(1) << THRUMI_EVENT_REGAIN | \
   UINT64_C(1) << THRUMI_EVENT_ACQUIRE | UINT64_C(1) << THRUMI_EVENT_QUEUE_GET)

static inline uint64_t thrumi_counter(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

static inline void thrumi_await_loads(void) {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#else
  __asm__ volatile("isb" : : : "memory");
#endif
}

static inline uint64_t thrumi_stamp(bool ordered) {
  if (thrumi_unlikely(!thrumi_counts_ticks)) return (uint64_t)thrumi_os.now();
  if (ordered) thrumi_await_loads();
  return thrumi_counter();
}

#endif
