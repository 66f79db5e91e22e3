/* A watch is a value that threads look at, and wait for to change.
 *
 *     static struct config now = {...};
 *     static thrum_watch config = THRUM_WATCH_INIT(&now);
 *     thrum_watch_set(&config, &changed);                             // in who changes it
 *
 *     uint64_t seen;                                                  // in each who uses it
 *     thrum_watch_get(&config, &mine, &seen);
 *     while (thrum_watch_wait(&config, &mine, &seen) == 0) apply(&mine);
 *
 * Only the newest value counts: who is late sees it and none of those between. Each set makes another version, also one of the
 * same value; the version of the first value is 0. A reader is nothing but the version that it has seen, in a variable of its
 * own: any number of them may come and go.
 *
 * The value lies in the caller's memory, and is the watch's from then on; all calls copy it. After thrum_watch_close sets say -EPIPE; waits
 * give what the reader has not seen yet, and then say -EPIPE; gets go on. For the rest a watch is a broadcast (broadcast.h) that
 * keeps one item: who may use it, what is seen by whom, -EINVAL, forks. */
#ifndef THRUM_WATCH_H
#define THRUM_WATCH_H

#include <thrum/broadcast.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_watch {
  thrum_broadcast thrumi;
} thrum_watch;

/* With a pointer to the memory of the value, which holds the first one. */
#define THRUM_WATCH_INIT(p) \
  { \
    { 0, {0}, (p), sizeof *(p), 1 } \
  }

/* The same. -EINVAL: no memory, or a size of 0. */
static inline int thrum_watch_init(thrum_watch *w, void *value, size_t size) {
  return thrum_broadcast_init(&w->thrumi, value, size, 1);
}

/* Makes a copy of *p the value, and lets all go that wait. 0, -EPIPE, -EINVAL. No cancellation point. */
#define thrum_watch_set(w, p) thrum_broadcast_put_sized(&(w)->thrumi, p, sizeof *(p))

/* Copies the value to *p, and its version to *seen unless that is NULL. 0 or -EINVAL. No cancellation point. */
#define thrum_watch_get(w, p, seen) thrum_watch_get_sized(w, p, sizeof *(p), seen)
THRUM_API int thrum_watch_get_sized(thrum_watch *w, void *value, size_t size, uint64_t *seen);

/* Waits for a version newer than *seen, and copies it and its value. 0, -EPIPE, -ECANCELED, -EINVAL (also: *seen is more
 * than ever was set); of the timed form -ETIMEDOUT, of the other one -EAGAIN. With an error nothing was done. Switches; a
 * cancellation point, also if it need not wait; the try form is none. */
#define thrum_watch_wait(w, p, seen) thrum_watch_wait_sized(w, p, sizeof *(p), seen, THRUM_FOREVER)
#define thrum_watch_wait_for(w, p, seen, timeout) thrum_watch_wait_sized(w, p, sizeof *(p), seen, timeout)
#define thrum_watch_try_wait(w, p, seen) thrum_watch_try_wait_sized(w, p, sizeof *(p), seen)

static inline THRUM_MUST_CHECK int thrum_watch_wait_sized(thrum_watch *w, void *value, size_t size,
                                                          uint64_t *seen, thrum_duration timeout) {
  int64_t skipped = thrum_broadcast_get_sized(&w->thrumi, seen, value, size, timeout);
  return skipped < 0 ? (int)skipped : 0;
}

static inline THRUM_MUST_CHECK int thrum_watch_try_wait_sized(thrum_watch *w, void *value, size_t size,
                                                              uint64_t *seen) {
  int64_t skipped = thrum_broadcast_try_get_sized(&w->thrumi, seen, value, size);
  return skipped < 0 ? (int)skipped : 0;
}

/* The version at this moment. */
static inline uint64_t thrum_watch_version(const thrum_watch *w) {
  return thrum_broadcast_subscribe(&w->thrumi);
}

/* No more sets. May be repeated. 0, or -EINVAL: not initialised. */
static inline int thrum_watch_close(thrum_watch *w) { return thrum_broadcast_close(&w->thrumi); }
static inline bool thrum_watch_is_closed(const thrum_watch *w) {
  return thrum_broadcast_is_closed(&w->thrumi);
}

/* As thrum_lock_set_name. */
static inline int thrum_watch_set_name(thrum_watch *w, const char *name) {
  return thrum_broadcast_set_name(&w->thrumi, name);
}

/* Leaves *w all-zero. Nobody may be in a call with it. -EBUSY: threads wait for it; nothing was done. Need not be called. */
static inline int thrum_watch_destroy(thrum_watch *w) { return thrum_broadcast_destroy(&w->thrumi); }

#ifdef __cplusplus
}
#endif
#endif
