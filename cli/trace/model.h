/* What a trace says, whole and in memory: for pages, text and tables. (The Chrome and Perfetto exports do without: they turn events
 * into rows as they come, see chronicle.h.)
 *
 * Times are the trace's own: monotonic clock, ns. Threads, strings and workers are numbers that index arrays. What the trace does
 * not say is left out: a thread whose state is not known has no interval for that time.
 *
 * A thread's intervals follow each other: on a worker (RUN) until it gives that up or loses it; wanting one (READY); parked
 * until somebody wakes it (BLOCKED); in a call of the kernel's that blocks, its worker gone to others (CALL). A foreign thread runs
 * on NO_WORKER. */
#ifndef THRUM_TRACE_MODEL_H
#define THRUM_TRACE_MODEL_H

#include "../command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  NO_WORKER = 0xffff,  /* in place of a worker */
  NOBODY = 0xffffffff, /* in place of a thread: a timer, the poller, a stranger, or not known */
};

enum state { STATE_RUN, STATE_READY, STATE_BLOCKED, STATE_CALL, STATES };

/* How a run ended. Of a READY interval: how the run before it ended; OPEN where it was born. */
enum reason {
  REASON_OPEN, /* it had not when the trace did, or that is not known */
  REASON_YIELD,
  REASON_PREEMPT,
  REASON_PARK,
  REASON_CALL,
  REASON_END,
  REASONS,
};

struct interval {
  int64_t from, to; /* to == from is possible */
  uint32_t thread;
  uint16_t worker; /* of a RUN; NO_WORKER otherwise */
  uint8_t state;   /* enum state */
  uint8_t reason;  /* enum reason, of RUN and READY */
  uint64_t object; /* of a BLOCKED: address of what it waits for; the id of a thread; 0: not known */
  uint32_t what;   /* of a BLOCKED: number of the string that says what sort of thing; 0: not known */
  uint32_t waker;  /* of a BLOCKED: the thread that woke it at `to`. NOBODY */
};

struct thread {
  uint64_t id;      /* the program's: thrum_id */
  const char *name; /* never NULL: one made of its number here where it has none */
  uint32_t creator; /* NOBODY */
  bool born_before; /* the trace began, or lost events, after its birth: `born` is when it was first seen */
  bool lives_on;    /* its end is not in the trace: `ended` is the trace's */
  bool outside;     /* foreign: never on a worker */
  int64_t born, ended;
  size_t first, count; /* its intervals, in order of time */
  int64_t total[STATES];
  uint32_t switches[REASONS]; /* how its runs ended */
  uint32_t runs;
};

/* A span of the program's own. Those of one thread nest: depth says how deep. */
struct span {
  int64_t from, to;
  uint32_t thread;
  uint32_t depth; /* 0: outermost */
  uint32_t name;  /* string */
  bool open;      /* it had not ended when its thread or the trace did */
};

struct counter {
  int64_t time, value;
  uint32_t name, thread;
};

struct mark {
  int64_t time;
  uint32_t name, thread;
};

/* What threads waited for, or held. */
struct object {
  uint64_t address;
  uint32_t name;       /* string such as "lock `table`"; 0: none was given */
  uint32_t what;       /* string such as "lock"; 0: not known */
  bool lock;           /* it was acquired or released at least once, or its sort says so */
  uint32_t waits;      /* how often a thread waited for it */
  uint32_t acquired;   /* how often it was */
  int64_t waited;      /* ns, of all threads */
  int64_t longest;     /* wait */
  uint32_t longest_by; /* thread; NOBODY */
  uint32_t most_by;    /* the thread that waited most in all; NOBODY */
  int64_t most;        /* how long that was */
  int64_t held;        /* ns in all, as far as its acquires and releases are there */
  int64_t longest_held;
  uint32_t holder; /* who held it when the trace ended; NOBODY */
};

/* A piece of the critical path, the chain of runs and waits that the last moment of the trace depended on: an interval or a part of
 * it. Each step begins where the one before ended, or an instant later. */
struct step {
  size_t interval;
  int64_t from, to;
};

struct model {
  const char *path;   /* what the trace is called */
  int64_t from, to;   /* the first and the last moment */
  int64_t began_wall; /* CLOCK_REALTIME at `from`, ns */
  uint32_t pid, workers;
  uint32_t main;         /* the main thread; NOBODY: it has not returned in this trace */
  int64_t main_returned; /* when */
  bool flight;           /* of a flight recorder: the program began earlier */
  bool cut;              /* the file has no end: the program was killed, or still runs */
  uint64_t events, lost;

  struct thread *threads;     /* in the order in which they were first seen */
  struct interval *intervals; /* by thread, then by time */
  struct span *spans;         /* by thread, then by `from` */
  struct counter *counters;   /* by time, as are marks */
  struct mark *marks;
  struct object *objects; /* most waited for first */
  const char **strings;   /* [0] is "" */
  char **warnings;        /* in words; the gravest first */
  struct step *critical;  /* by time */
  size_t thread_count, interval_count, span_count, counter_count, mark_count, object_count, string_count,
      warning_count, critical_count;

  void *memory; /* of the model's own */
};

/* What a thread waits for in a BLOCKED interval, in words: "lock `table`", "sleep", "something". In a buffer of the caller's where it
 * has to be put together. */
const char *model_waits_for(const struct model *m, const struct interval *i, char *buffer, size_t size);

/* The thread of that id; NOBODY: none. */
uint32_t model_thread(const struct model *m, uint64_t id);

/* The object of that address; NULL: none. */
const struct object *model_object(const struct model *m, uint64_t address);

/* Reads the whole trace. 0, or STATUS_FAILED after a message. With `partial` a file that was cut off or damaged gives what came
 * before that. */
int model_read(struct model *m, const char *path, const char *called, bool partial);
void model_free(struct model *m);

/* The timeline as one HTML page (timeline_page.c). 0, or STATUS_FAILED after a message; the caller closes the output. */
int write_page(const struct model *m, struct output *out);

#endif
