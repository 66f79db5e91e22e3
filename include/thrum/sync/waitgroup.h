/* A wait group: a count of things to be done, and threads that wait until it is 0.
 *
 *     static thrum_waitgroup jobs;            // all-zero: nothing to be done
 *     thrum_waitgroup_add(&jobs, 1);          // before the job starts, by who starts it
 *     thrum_waitgroup_done(&jobs);            // when it has been done, by who did it
 *     thrum_waitgroup_wait(&jobs);            // in who needs all of them
 *
 * When the count becomes 0 every thread goes that waits at that moment, even if the next add comes before any of them runs.
 * It can then be used again. Add before the job starts, not in the job: a wait in between would not know of it.
 *
 * What a thread did before its done has happened for whoever returns from the wait. What all objects have in common is said
 * in sync.h. */
#ifndef THRUM_SYNC_WAITGROUP_H
#define THRUM_SYNC_WAITGROUP_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_waitgroup {
  uint64_t word; /* the count below, bits above: see docs/design/sync.md */
} thrum_waitgroup;

#define THRUM_WAITGROUP_MAX INT32_MAX /* the largest count there is */
#define THRUMI_WAITGROUP_WAITERS (UINT64_C(1) << 32)

THRUM_API void thrumi_waitgroup_add_slow(thrum_waitgroup *group, int n);
THRUM_API void thrumi_waitgroup_wait_slow(thrum_waitgroup *group);
THRUM_API int thrumi_waitgroup_for_slow(thrum_waitgroup *group, thrum_duration timeout);

/* How much is to be done, at this moment. */
static inline int thrum_waitgroup_count(const thrum_waitgroup *group) {
  return (int)(uint32_t)__atomic_load_n(&group->word, __ATOMIC_ACQUIRE);
}

/* Adds n, which may be negative. A count below 0 or above THRUM_WAITGROUP_MAX aborts and names the group and the thread: what
 * waits for it would go too soon, or never. Does not switch. */
static inline void thrum_waitgroup_add(thrum_waitgroup *group, int n) {
  uint64_t seen = __atomic_load_n(&group->word, __ATOMIC_RELAXED);
  int64_t count = (int64_t)(uint32_t)seen + n;
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0 &&
               (seen & THRUMI_WAITGROUP_WAITERS) == 0 && count >= 0 && count <= THRUM_WAITGROUP_MAX;
  if (!plain || !thrumi_exchange(&group->word, seen, seen + (uint64_t)(int64_t)n, __ATOMIC_ACQ_REL))
    thrumi_waitgroup_add_slow(group, n);
}

/* One thing has been done. The same as add(-1). */
static inline void thrum_waitgroup_done(thrum_waitgroup *group) { thrum_waitgroup_add(group, -1); }

static inline bool thrumi_waitgroup_is_empty(const thrum_waitgroup *group) {
  return __builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0, 1) &&
         thrum_waitgroup_count(group) == 0;
}

/* Waits until the count is 0. Never fails. Switches; not a cancellation point: wait_for with THRUM_FOREVER is one. */
static inline void thrum_waitgroup_wait(thrum_waitgroup *group) {
  if (!thrumi_waitgroup_is_empty(group)) thrumi_waitgroup_wait_slow(group);
}

/* Waits for so long. 0: the count is 0, or was at some moment since it began to wait, whatever ended the wait; -ETIMEDOUT,
 * -ECANCELED. Switches; a cancellation point. */
static inline THRUM_MUST_CHECK int thrum_waitgroup_wait_for(thrum_waitgroup *group, thrum_duration timeout) {
  return thrumi_waitgroup_is_empty(group) ? 0 : thrumi_waitgroup_for_slow(group, timeout);
}

/* As thrum_lock_set_name. */
static inline int thrum_waitgroup_set_name(thrum_waitgroup *group, const char *name) {
  return thrumi_object_name(group, name);
}

/* Need not be called. -EBUSY if threads wait for it, else 0. A group whose count is not 0, and not waited for, may go. */
THRUM_API int thrum_waitgroup_destroy(thrum_waitgroup *group);

#ifdef __cplusplus
}
#endif
#endif
