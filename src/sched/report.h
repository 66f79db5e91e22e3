/* The words of dumps and reports. All of it outside of the runtime: it takes memory and libc's locks. */
#ifndef THRUMI_REPORT_H
#define THRUMI_REPORT_H

#include <sched/waits.h>

enum { THRUMI_SINK_LOG = -2 };

/* Where text goes: `put`, a descriptor, or with THRUMI_SINK_LOG the log; whole lines at a time. */
struct thrumi_sink {
  void (*put)(struct thrumi_sink *sink, const char *text, size_t length); /* NULL: to fd */
  int fd;
  int error;   /* the first of write: a negative errno */
  size_t used; /* of line */
  char line[1024];
};

void THRUM_PRINTF(2, 3) thrumi_say(struct thrumi_sink *sink, const char *format, ...);

/* "waits for lock "table" held by "Thread-3 (worker)" (running), for 1.203 s"; nothing if it does not wait. */
void thrumi_say_wait(struct thrumi_sink *sink, struct thrumi_thread *t, int64_t now);

/* What it waits for, in words: its name, `"table"` or an address; a thread's name; a descriptor. False: nothing that has one. */
bool thrumi_look_object(const struct thrumi_look *look, char *text, size_t size);

/* What is waited for is a descriptor: the look's object is the number then, which may be 0. */
bool thrumi_is_on_descriptor(const char *what);

/* "a lock" is "lock" before a name. */
const char *thrumi_without_article(const char *what);

/* "light", "waiting": by enum thrumi_kind and thrumi_state. */
extern const char *const thrumi_kind_words[], *const thrumi_state_words[];

/* A line a thread: who waits for what that whom holds, round the cycle. */
void thrumi_say_cycle(struct thrumi_sink *sink, const struct thrumi_cycle *cycle);

/* Each thread of it with its stack, to the log. */
void thrumi_report_suspected(const struct thrumi_cycle *cycle);

/* Says all cycles that there are now. How many, or -ENOMEM. */
int thrumi_report_cycles(struct thrumi_sink *sink);

/* What threads hold, as far as it is known; taken once for all of a dump. No memory: less is known. */
struct thrumi_holdings {
  struct thrumi_holding *of;
  size_t count, room;
};
void thrumi_holdings_gather(struct thrumi_holdings *out);
void thrumi_holdings_free(struct thrumi_holdings *holdings);

/* A line an object: "  holds rlock "table", for which 2 threads wait". */
void thrumi_say_holdings(struct thrumi_sink *sink, const struct thrumi_holdings *all,
                         struct thrumi_thread *t);

/* A stack, innermost first. `exact`: the first is the instruction itself, no return address; see thrumi_describe. */
enum { THRUMI_FRAMES = 64 };
struct thrumi_backtrace {
  size_t count;
  bool exact;
  uintptr_t pcs[THRUMI_FRAMES];
};

/* Who runs is stopped for as long as its stack is walked. False: its kernel thread does not answer. Nothing is described
 * here: that takes memory and locks, which a stopped thread may hold. Outside. */
bool thrumi_backtrace_take(struct thrumi_thread *t, struct thrumi_backtrace *out);

/* Whose kernel thread has its context live; NULL: none has. A hint. */
struct thrumi_kthread *thrumi_carrier(struct thrumi_thread *t);

/* The first line of a dump. */
void thrumi_say_head(struct thrumi_sink *sink);

/* One thread, with what it holds and its stack; nothing if it has ended. */
void thrumi_say_thread(struct thrumi_sink *sink, struct thrumi_thread *t, uint64_t generation, int64_t now,
                       const struct thrumi_holdings *holdings);

/* The counters of thrum_statistics with their names. */
enum { THRUMI_COUNTERS = 17 };
struct thrumi_counter {
  const char *name; /* thrum_stats' */
  const char *of;   /* what it counts, in words */
  uint64_t count;
};
void thrumi_counters(struct thrumi_counter out[THRUMI_COUNTERS]);

/* The same, a line each, to the log. */
void thrumi_say_statistics(void);

#endif
