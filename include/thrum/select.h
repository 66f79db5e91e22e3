/* Select waits for several things at once, of which exactly one happens.
 *
 *     thrum_case c[] = {thrum_case_get(&jobs, &job), thrum_case_put(&log, &line), thrum_case_after(THRUM_S(1))};
 *     switch (thrum_select(c, 3)) {
 *     case 0: if (c[0].status == -EPIPE) ...      // jobs is shut down and empty; else job was got
 *
 * A case is ready when its call would not have to wait: a get when there is an item or a putter waits, a put when there
 * is room or a getter waits, either also when its queue is shut down, and then it does nothing and has the status
 * -EPIPE. If several are ready, one of them is chosen at random, each as likely as the others. The case whose index is
 * returned has happened, once; of the others nothing has.
 *
 * A queue may be in several cases, to put and to get alike; a select never meets itself. A queue that is NULL makes a case
 * that never happens, and so does a case of all zeroes. Without any that can happen a select waits until it is cancelled.
 *
 * A select with a PRIORITY queue that is ready waits while others are at that queue's items, also in its try and timed forms (see
 * queue.h). There is no case for a thrum_timer or a thrum_ticker: thrum_case_at and _after are for times, and a callback or a
 * thread that waits for ticks can put into a queue.
 *
 * Cases may be used again for the next select; thrum_case_after counts from each anew. A case must not be used by two
 * threads at the same time, nor moved while a select waits. Cost: O(n log n) steps in the number of cases that wait. */
#ifndef THRUM_SELECT_H
#define THRUM_SELECT_H

#include <thrum/queue.h>
#include <thrum/sync/event.h>
#include <thrum/thread.h>
#include <thrum/watch.h>

#ifdef __cplusplus
extern "C" {
#endif

enum thrumi_case_kind {
  THRUMI_CASE_NEVER,
  THRUMI_CASE_PUT,
  THRUMI_CASE_GET,
  THRUMI_CASE_AT,
  THRUMI_CASE_AFTER,
  THRUMI_CASE_THREAD,
  THRUMI_CASE_EVENT,
  THRUMI_CASE_BROADCAST,
  THRUMI_CASE_FD,
  THRUMI_CASE_SIGNAL,
  THRUMI_CASE_CHILD,
  THRUMI_CASE_FUTURE,
  THRUMI_CASE_KINDS
};

typedef struct thrum_case {
  uint32_t kind; /* enum thrumi_case_kind */
  int status;    /* of the one that happened: 0 or a negative errno */
  void *object;
  void *item;
  size_t size;
  int64_t value;
  uint64_t thrumi[18];
} thrum_case;

static inline thrum_case thrumi_case(enum thrumi_case_kind kind, void *object, void *item, size_t size,
                                     int64_t value) {
  thrum_case c = {(uint32_t)kind, 0, object, item, size, value, {0}};
  return c;
}

static inline thrum_case thrumi_case_put(thrum_queue *q, const void *item, size_t size) {
  return thrumi_case(q ? THRUMI_CASE_PUT : THRUMI_CASE_NEVER, q, (void *)(uintptr_t)item, size, 0);
}

static inline thrum_case thrumi_case_get(thrum_queue *q, void *item, size_t size) {
  return thrumi_case(q ? THRUMI_CASE_GET : THRUMI_CASE_NEVER, q, item, size, 0);
}

/* Puts a copy of *p, as it is when the select begins; gets the next item into *p. */
#define thrum_case_put(q, p) thrumi_case_put(q, p, sizeof *(p))
#define thrum_case_get(q, p) thrumi_case_get(q, p, sizeof *(p))

/* Happens at that time, or so long after the select began. */
static inline thrum_case thrum_case_at(thrum_time when) { return thrumi_case(THRUMI_CASE_AT, 0, 0, 0, when); }
static inline thrum_case thrum_case_after(thrum_duration span) {
  return thrumi_case(THRUMI_CASE_AFTER, 0, 0, 0, span);
}

/* Happens when the thread has ended; its handle stays valid. Status: 0; -ESRCH: a stale handle; -EDEADLK: the caller;
 * -EINVAL: a foreign thread. */
static inline thrum_case thrum_case_thread(thrum_thread t) {
  return thrumi_case(THRUMI_CASE_THREAD, 0, 0, 0, (int64_t)t.value);
}

/* Happens when the event is set, also if it is cleared right after. It stays as it is. */
static inline thrum_case thrum_case_event(thrum_event *event) {
  return thrumi_case(event ? THRUMI_CASE_EVENT : THRUMI_CASE_NEVER, event, 0, 0, 0);
}

/* Happens when a get of the item *next would not have to wait; nothing is got. Status: 0, -EPIPE or -EINVAL, as that get's. For
 * a watch: when there is a version newer than *seen. The number stays as it is until the select has ended. */
static inline thrum_case thrum_case_broadcast(thrum_broadcast *b, const uint64_t *next) {
  return thrumi_case(b ? THRUMI_CASE_BROADCAST : THRUMI_CASE_NEVER, b, (void *)(uintptr_t)next, 0, 0);
}
static inline thrum_case thrum_case_watch(thrum_watch *w, const uint64_t *seen) {
  return thrum_case_broadcast(w ? &w->thrumi : 0, seen);
}

/* Happens when the descriptor can be read (there is something, or the end, or an error), or written, as poll(2) says; nothing is
 * transferred. A thread that waits for the same may be faster: so the call that follows may have to wait after all, and is best
 * made in its try form or with a timeout. What a thrum_reader has taken already makes its descriptor not readable: look at
 * thrum_reader_buffered first. Status: 0; -EBADF: not open, or closed by thrum_close; -ENOMEM, -ENOSPC: the
 * kernel has no room for one more to be watched. */
static inline thrum_case thrum_case_readable(int fd) {
  return thrumi_case(THRUMI_CASE_FD, 0, 0, 0x2001 /* POLLIN, POLLRDHUP */, fd);
}
static inline thrum_case thrum_case_writable(int fd) {
  return thrumi_case(THRUMI_CASE_FD, 0, 0, 0x0004 /* POLLOUT */, fd);
}

/* Happens when the signal comes, or has come, and takes that one delivery, as thrum_signal_wait does (io/signal.h); thrum
 * catches it from then on. Status: 0; -EINVAL: it cannot be caught; -EMFILE, -ENFILE: no descriptor is to be had. */
static inline thrum_case thrum_case_signal(int signo) {
  return thrumi_case(THRUMI_CASE_SIGNAL, 0, 0, 0, signo);
}

/* Happens when the child has ended, and reaps it: *status, unless NULL, is what waitpid(2) says. Status: 0; -ECHILD: no child, or
 * reaped already; -EINVAL: not above 0; -ENOSYS or -EPERM: this kernel (before 5.3), or a filter of system calls,
 * has no descriptors of processes: thrum_child_wait needs none; -EMFILE, -ENFILE. */
static inline thrum_case thrum_case_child(pid_t child, int *status) {
  return thrumi_case(THRUMI_CASE_CHILD, 0, status, 0, child);
}

/* Waits until one of n cases has happened, and returns its index. Switches; a cancellation point.
 * -ECANCELED. -EINVAL: a case that cannot be (a size that is not its queue's, a queue that is not initialised), more than
 * INT_MAX, or none where there should be some. -ENOMEM: no memory for an item to be put. With an error nothing has happened. */
THRUM_API int thrum_select(thrum_case *cases, size_t n);

/* The same for so long: also -ETIMEDOUT. */
THRUM_API THRUM_MUST_CHECK int thrum_select_for(thrum_case *cases, size_t n, thrum_duration timeout);

/* The same without waiting: -EAGAIN if none is ready. No cancellation point.
 * None is ready means: at one moment of the call, also while items move from queue to queue. Of descriptors and signals
 * only as long as no other thread takes what is there. The same holds of thrum_select_for with a timeout of 0 or less.
 * While the call looks, its puts and gets are offered to others, as those of a thread that waits. */
THRUM_API THRUM_MUST_CHECK int thrum_try_select(thrum_case *cases, size_t n);

#ifdef __cplusplus
}
#endif
#endif
