/* An event: a flag that threads wait for. All-zero is clear.
 *
 *     static thrum_event ready;
 *     thrum_event_wait(&ready);     // in who waits
 *     thrum_event_set(&ready);      // in whoever makes it true
 *
 * It stays set until somebody clears it, and who waits while it is set does not wait at all. A set frees every thread that
 * waits at that moment, even if the event is cleared before any of them runs.
 *
 * What a thread did before its set has happened for whoever returns from a wait after it. A set may be made in a signal
 * handler, whatever it has interrupted. What all objects have in common is said in sync.h. */
#ifndef THRUM_SYNC_EVENT_H
#define THRUM_SYNC_EVENT_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_event {
  uint64_t word; /* bits below, how often it was set above: see docs/design/sync.md */
} thrum_event;

enum { THRUMI_EVENT_SET = 1, THRUMI_EVENT_WAITERS = 2, THRUMI_EVENT_ROUND = 4 };

THRUM_API void thrumi_event_set_slow(thrum_event *event);
THRUM_API void thrumi_event_clear_slow(thrum_event *event);
THRUM_API void thrumi_event_wait_slow(thrum_event *event);
THRUM_API int thrumi_event_for_slow(thrum_event *event, thrum_duration timeout);

/* Whether it is set, at this moment. */
static inline bool thrum_event_is_set(const thrum_event *event) {
  return (__atomic_load_n(&event->word, __ATOMIC_ACQUIRE) & THRUMI_EVENT_SET) != 0;
}

static inline bool thrumi_event_plain(void) {
  return __builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0, 1);
}

/* What the word is after a set: one round later, unless it was set already. */
static inline uint64_t thrumi_event_after_set(uint64_t seen) {
  return seen & THRUMI_EVENT_SET ? seen : (seen | THRUMI_EVENT_SET) + THRUMI_EVENT_ROUND;
}

/* Sets it and lets all go that wait for it. Any thread may, and a signal handler. Does not switch (but for a preemption
 * that is due). Setting what is set changes nothing. */
static inline void thrum_event_set(thrum_event *event) {
  uint64_t seen = __atomic_load_n(&event->word, __ATOMIC_RELAXED);
  bool plain = thrumi_event_plain() && (seen & THRUMI_EVENT_WAITERS) == 0;
  if (!plain || !thrumi_exchange(&event->word, seen, thrumi_event_after_set(seen), __ATOMIC_RELEASE))
    thrumi_event_set_slow(event);
}

/* Clears it: who waits from now on waits for the next set. What was done before a set that this clear undoes has happened
 * for the caller. Any thread may, and a signal handler. Does not switch. */
static inline void thrum_event_clear(thrum_event *event) {
  if (thrumi_event_plain())
    __atomic_fetch_and(&event->word, ~(uint64_t)THRUMI_EVENT_SET, __ATOMIC_ACQ_REL);
  else
    thrumi_event_clear_slow(event);
}

/* Waits until it is set. Never fails. Switches; not a cancellation point: wait_for with THRUM_FOREVER is one. */
static inline void thrum_event_wait(thrum_event *event) {
  if (!thrumi_event_plain() || !thrum_event_is_set(event)) thrumi_event_wait_slow(event);
}

/* Waits for so long. 0: it is set, or was at some moment since it began to wait, whatever ended the wait; -ETIMEDOUT,
 * -ECANCELED. Switches; a cancellation point. */
static inline THRUM_MUST_CHECK int thrum_event_wait_for(thrum_event *event, thrum_duration timeout) {
  return thrumi_event_plain() && thrum_event_is_set(event) ? 0 : thrumi_event_for_slow(event, timeout);
}

/* As thrum_lock_set_name. */
static inline int thrum_event_set_name(thrum_event *event, const char *name) {
  return thrumi_object_name(event, name);
}

/* Need not be called. -EBUSY if threads wait for it, else 0. */
THRUM_API int thrum_event_destroy(thrum_event *event);

#ifdef __cplusplus
}
#endif
#endif
