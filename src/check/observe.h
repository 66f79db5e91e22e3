/* What objects that are held tell those who watch: the lock-order checker and the contention profile.
 *
 * An object that a thread holds (lock, rlock, rwlock, gil) calls these from its out-of-line paths. While nobody watches they
 * are a relaxed load and a branch; inline paths go out of line by themselves when somebody does, since thrumi_mode is then
 * not 0. The pattern, as in sync/lock.c:
 *
 *     void thrumi_x_acquire_slow(thrum_x *x) {
 *       struct thrumi_acquire a = thrumi_acquire(x, THRUMI_HOLD_LOCK, __builtin_return_address(0), THRUMI_MAY_WAIT);
 *       thrumi_acquire_begins(&a);                      outside of the runtime: may print a report
 *       thrumi_enter();
 *       ...   thrumi_acquire_waits(&a);                 inside, no lock held, before the first time it queues
 *       ...   thrumi_acquire_ends(&a);                  inside, no lock held, as soon as it is the caller's
 *       thrumi_leave(thrumi_self());
 *     }
 *
 *     int thrumi_x_release_slow(thrum_x *x) {
 *       thrumi_enter();
 *       thrumi_release_ends(x, mark of the holder);     inside, no lock held, just before it lets go
 *
 * Not called when a try failed, when a wait ended by its deadline or a cancellation, or when an rlock is taken once more. Who
 * waits for a condition releases its lock before and acquires it after, and tells both. A lock that is handed over is
 * acquired by the one that gets it, when it goes on. A read-lock has many holders: each tells its own mark.
 *
 * An object that is destroyed is forgotten by thrumi_object_forget (sched/object.h). */
#ifndef THRUMI_OBSERVE_H
#define THRUMI_OBSERVE_H

#include <core/hooks.h>
#include <sched/sched.h>

enum thrumi_hold {
  THRUMI_HOLD_LOCK,
  THRUMI_HOLD_RLOCK,
  THRUMI_HOLD_READ,  /* of an rwlock */
  THRUMI_HOLD_WRITE, /* of an rwlock */
  THRUMI_HOLD_GIL,
};

/* How long the caller is ready to wait. MAY_WAIT: for ever, so that it can be part of a deadlock. TRIES: not at all, or until a
 * deadline, so that it cannot. */
enum thrumi_patience { THRUMI_MAY_WAIT, THRUMI_TRIES };

/* One acquire, on the stack of who acquires. */
struct thrumi_acquire {
  const void *object;
  uintptr_t site;                  /* the code that acquires: where the out-of-line entry returns to */
  uintptr_t blamed;                /* where the one that we first waited for had acquired it; 0 */
  struct thrumi_name_parts holder; /* that one's name, if it */
  bool holder_known;               /* was there */
  int64_t since;                   /* when the wait began; 0: there was none, or nobody watched */
  uint8_t hold;                    /* enum thrumi_hold */
  uint8_t patience;                /* enum thrumi_patience */
};

static inline struct thrumi_acquire thrumi_acquire(const void *object, enum thrumi_hold hold, void *site,
                                                   enum thrumi_patience patience) {
  return (struct thrumi_acquire){
      .object = object, .site = (uintptr_t)site, .hold = (uint8_t)hold, .patience = (uint8_t)patience};
}

static inline bool thrumi_is_watched(void) {
  return thrumi_unlikely(thrumi_has_mode((enum thrumi_mode)(THRUMI_MODE_CHECK | THRUMI_MODE_PROFILE)));
}

/* Or is traced, which wants to know of each acquire and release, and keeps nothing here. */
static inline bool thrumi_is_told(void) {
  return thrumi_unlikely(
      thrumi_has_mode((enum thrumi_mode)(THRUMI_MODE_CHECK | THRUMI_MODE_PROFILE | THRUMI_MODE_TRACE_LOCKS)));
}

/* observe.c; called while watched, or traced, only. */
void thrumi_observe_begins(struct thrumi_acquire *a);
void thrumi_observe_waits(struct thrumi_acquire *a);
void thrumi_observe_ends(struct thrumi_acquire *a);
void thrumi_observe_release(const void *object, uint32_t mark);

static inline void thrumi_acquire_begins(struct thrumi_acquire *a) {
  if (thrumi_is_watched()) thrumi_observe_begins(a);
}

static inline void thrumi_acquire_waits(struct thrumi_acquire *a) {
  if (thrumi_is_told() && !a->since) thrumi_observe_waits(a);
}

static inline void thrumi_acquire_ends(struct thrumi_acquire *a) {
  if (thrumi_is_told()) thrumi_observe_ends(a);
}

static inline void thrumi_release_ends(const void *object, uint32_t mark) {
  if (thrumi_is_told()) thrumi_observe_release(object, mark);
}

#endif
