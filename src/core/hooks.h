/* Where later modules plug into the scheduler, which never calls up by name.
 *
 * Each is NULL until its module sets it, before the first use of that module. */
#ifndef THRUMI_HOOKS_H
#define THRUMI_HOOKS_H

#include <core/event.h>
#include <core/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <thrum/base.h>

struct thrumi_thread;
struct thrumi_selectable;

/* One of the objects that a thread holds, as far as those who watch know. */
struct thrumi_watched_hold {
  const void *object;
  const char *what; /* "an rlock" */
  uintptr_t site;   /* where it was acquired */
  bool to_read;
};

struct thrumi_hooks {
  /* The netpoller; set while others run, poll last. poll waits up to `timeout` ns (-1: for ever) for descriptors and wakes their threads; returns how
   * many it woke. pending says how many threads wait for descriptors. */
  int (*_Atomic poll)(int64_t timeout);
  size_t (*_Atomic poll_pending)(void);
  void (*_Atomic poll_interrupt)(void); /* makes a poll that waits return; async-signal-safe */
  void (*poll_fork)(void);              /* in the child of a fork */
  void (*signal_fork)(void);            /* the same for signals that are caught */
  void (*resolve_fork)(void);           /* and for look-ups of names */

  /* The choice of what runs next among n ready threads (0: the oldest); for controlled schedules. */
  size_t (*choose)(size_t n);

  /* Those who watch locks (check/observe.h): in the child of a fork; what they know of an object; the end. */
  void (*watch_fork)(void);
  uintptr_t (*watch_site)(const void *object); /* where it was acquired first; 0: not known */
  void (*watch_forget)(const void *object);
  uint32_t (*watch_held)(struct thrumi_thread *t, struct thrumi_watched_hold *out,
                         uint32_t room); /* how many */
  void (*watch_end)(void);               /* the program ends, and the environment asked for a profile */

  /* The inspect socket: in the child of a fork; and the program ends. */
  void (*_Atomic inspect_fork)(void);
  void (*_Atomic inspect_end)(void);

  /* Futures as cases of a select (queue/selectable.h); and executors in the child of a fork. */
  const struct thrumi_selectable *_Atomic case_future;
  void (*_Atomic executor_fork)(void);
  /* The program ends. `waits`: for all threads, so those that wait for tasks are to end; else they are not to be named. Outside. */
  void (*_Atomic executor_end)(bool waits);

  /* The same as executor_end, for executors of processes. */
  void (*_Atomic process_pool_end)(bool waits);

  /* Processes: in the child of a fork; and the program ends: `waits`: for all that are no daemons. Outside. */
  void (*_Atomic process_fork)(void);
  void (*_Atomic process_end)(bool waits);

  /* Scopes: a thread of one whose threads are restarted has returned: true: it calls its function again; a thread that has opened
   * scopes or pushed clean-up handlers ends by thrum_exit. Both outside. */
  bool (*_Atomic scope_restarts)(struct thrumi_thread *t, intptr_t result);
  void (*_Atomic scope_exit)(struct thrumi_thread *t);

  /* A trace event; called only while thrumi_mode has THRUMI_MODE_TRACE, inside. As in core/event.h, but for: a PARK's `detail`, a
   * `const char *`; a RUN's and a LEASE's, one more than the number of the worker that it is about, where the caller has another one or
   * none. `stamp`: when it was, from trace_stamp; 0: now. */
  void (*trace)(enum thrumi_event_kind kind, uint64_t thread, uint64_t object, uint64_t detail,
                uint64_t stamp);
  uint64_t (*trace_stamp)(void);
  void (*trace_fork)(void); /* in the child of a fork */
  void (*trace_end)(void);  /* the program ends, and who it waits for has ended. Outside. */
};

extern struct thrumi_hooks thrumi_hooks;

/* What is switched on beyond plain running. One relaxed load in each fast path; non-zero goes out of line. */
enum thrumi_mode {
  THRUMI_MODE_TRACE = 1,
  THRUMI_MODE_CHECK = 2, /* the order of locks */
  THRUMI_MODE_EXPLORE = 4,
  THRUMI_MODE_PROFILE = 8,       /* who waits for locks */
  THRUMI_MODE_TRACE_LOCKS = 16,  /* beside TRACE: each acquire and release */
  THRUMI_MODE_TRACE_QUEUES = 32, /* beside TRACE: each put and get */
};
extern uint32_t thrumi_mode THRUM_API;

static inline bool thrumi_has_mode(enum thrumi_mode mode) {
  return __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) & (uint32_t)mode;
}

static inline void thrumi_trace(enum thrumi_event_kind kind, uint64_t thread, uint64_t object,
                                uint64_t detail) {
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE)))
    thrumi_hooks.trace(kind, thread, object, detail, 0);
}

/* Sets the hooks of tracing that nobody has set, and switches it on if the environment, where it may be asked, wants that. Called by the
 * start of the runtime, outside, before anybody else is in it; defined in src/trace. */
void thrumi_trace_begin(bool ask_environment);

#endif
