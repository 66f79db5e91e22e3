/* Seeing what threads do: the dump of all of them, a look from outside, and the recorder of what they did.
 *
 *     thrum_dump(2);          // or press Ctrl-\ : SIGQUIT prints it and the program goes on
 *     thrum_inspect(true);    // from now on `thrum top PID` shows them
 *
 *     THRUM_TRACE=run.trace ./program && thrum timeline run.trace -o run.html       // in the shell: nothing is changed or built anew
 *     THRUM_SPAN("parse") { parse(); }                                              // in the program, for who reads the timeline */
#ifndef THRUM_TRACE_H
#define THRUM_TRACE_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { THRUM_EXIT_DEADLOCK = 86 }; /* the exit status of a program in which nothing can ever run again */

/* Prints every thread to the descriptor: name, kind, state, what it waits for and since when, who holds that and what that
 * thread does, what it holds itself, and its stack with functions and lines (those where libthrum-dump is linked or installed;
 * addresses otherwise). What a thread holds is known as far as others wait for it; all that it has taken, while the checker or the
 * profile below is on. Each thread that is outside of thrum is stopped by a signal while its stack is walked: a plain call that it blocks in
 * and that ends by signals even with SA_RESTART (poll, nanosleep) ends with EINTR. 0 or a negative errno of write. */
THRUM_API int thrum_dump(int fd);

/* The same as JSON, one object on one line: {"version", "pid", "workers", "kernel_threads", "threads": [...]}. A thread has "id",
 * "name", "kind", "daemon", "state", "cpu_ns" and "stack"; where they apply "kernel_thread"; "waits" (what for, on which object, who
 * owns it, for how long); "member_of", the scope that it belongs to and who opened that; "scopes", those that it has open itself.
 * docs/design/inspect.md lists them all. Returns 0 or a negative errno of write. */
THRUM_API int thrum_dump_json(int fd);

/* Lets `thrum top` and `thrum dump` look at the program from outside, or not any more: opens (closes) the Unix socket PID.sock in
 * $XDG_RUNTIME_DIR/thrum, or else in /tmp/thrum-UID, which only the program's own user may use, and serves it by a kernel thread
 * of its own. THRUM_INSPECT=1 in the environment opens it from the start. Costs nothing while nobody looks. The child of a fork has
 * none until it calls this.
 *
 * 0, also if it was so already; -EBUSY: another thread is changing it; -EACCES: the directory belongs to somebody else, or lets
 * others in; -EADDRINUSE: another process has that socket; -EAGAIN: no kernel thread to be had; or another negative errno of
 * socket, bind, mkdir. */
THRUM_API int thrum_inspect(bool on);

/* Looks for threads that wait for each other in a cycle, at this moment, and prints each such cycle to the descriptor: who waits
 * for what that whom holds. Returns how many there are, or a negative errno: of write, or -ENOMEM.
 *
 * Need not be called: a cycle is found when it closes. One that nothing can end (rlocks, an rwlock's writer, ends of threads) ends
 * the program with THRUM_EXIT_DEADLOCK; one that another thread might end by a release (locks) or a cancellation is reported
 * once, as suspected, when it has lasted for a second. */
THRUM_API int thrum_find_deadlocks(int fd);

/* The lock-order checker: while it is on, each acquire that may wait for ever is compared with what was seen before. An order that
 * could become a deadlock one day is reported once, on standard error, with both places and both threads. An acquire and
 * its release then take some 75 ns. Returns whether it was on. THRUM_CHECK=locks in the environment switches it on from the
 * start. What was acquired before is not known to it. Locks that are named (thrum_lock_set_name) should be before their first use;
 * a lock whose memory is used for another one should be destroyed (thrum_lock_destroy). The rules: docs/guide/deadlocks.md. */
THRUM_API bool thrum_check_locks(bool on);

/* The contention profile: while it is on, acquires and waits are counted. Returns whether it was on. THRUM_PROFILE=locks in the
 * environment switches it on from the start, and prints it when the program ends. */
THRUM_API bool thrum_profile_locks(bool on);

/* Prints the profile to the descriptor: for each lock how often it was acquired, how often threads waited for it, how long in all
 * and at most, and behind whom: the four places where it had been taken, and the four threads by their names, that were waited for
 * longest; the most waited for first, 20 locks. Returns how many locks were acquired, or
 * a negative errno: of write, or -ENOMEM. */
THRUM_API int thrum_lock_profile(int fd);

/* ---- Recording ---------------------------------------------------------------------------------------------------- */

/* Each step of each thread can be recorded: when it begins, runs, waits and for what, is woken and by whom, loses its worker, ends; and
 * what the program says itself (spans, counters, marks, below). Either all of it goes to a file while the program runs, or the last
 * seconds are kept in memory, for when they are asked for: a flight recorder. `thrum timeline` reads the files.
 *
 * An event costs 10 to 25 ns, and 32 bytes. While nothing is recorded it costs a look at a word that is looked at anyway. If the disk cannot
 * follow, events are dropped, counted, and shown as missing: the program does not wait.
 *
 * From outside: THRUM_TRACE=run.trace records from the program's first call of thrum on (those of spans, counters and marks, which look at
 * that word alone, do not count as such), and closes the file at its end, when those threads
 * have ended that it waits for. THRUM_TRACE=flight:run.trace is a flight recorder, whose file is written on a crash (a fatal signal,
 * abort, misuse) or a deadlock; it is said in a line on standard error where that is, or why it could not be written, and then there is
 * none. What stands before the name, each with a colon: `flight`; `locks`, `queues`; `seconds=30`; `ring=4m`: as
 * the options below. If another process records to that file (its parent, say) .PID is added to the name.
 *
 * The child of a fork does not record; it may start to. */

/* All-zero (with size set, and a file or flight) means the defaults. */
typedef struct thrum_trace_options {
  size_t size;         /* sizeof(thrum_trace_options) */
  const char *file;    /* written over; with `flight`: on a crash or a deadlock, NULL: not then */
  bool flight;         /* keeps the last moments in memory in place of writing all */
  bool locks;          /* each acquire and release of a lock, too: without it, waits for locks alone */
  bool queues;         /* each put and get, too: without it, waits for queues alone */
  thrum_duration keep; /* of a flight recorder: so long, if the rings are large enough for it; 0: 10 s */
  size_t ring;         /* bytes for each worker, made a power of two; 0: 4 MiB */
} thrum_trace_options;

#define THRUM_TRACE_OPTIONS_INIT \
  { sizeof(thrum_trace_options), 0, false, false, false, 0, 0 }

/* Starts recording. Any thread may call it; may block in plain calls, does not switch. -EBUSY: something is recorded already. -EINVAL: size is
 * not a known one, neither a file nor flight, keep is negative, ring is below 2 KiB or above 1 GiB. -ENOMEM. -EAGAIN: no kernel
 * thread for writing. Or the negative errno of open(2), which does not wait: -ENXIO is a pipe that nobody reads; of a flight recorder's file,
 * which is not opened yet, that of looking whether it may be written: -ENOENT is a directory that is not there. */
THRUM_API int thrum_trace_start(const thrum_trace_options *options);

/* Stops, and closes the file: all that was recorded before the call is in it. What happens meanwhile in other threads may be or not.
 * -EPERM: nothing is recorded. Else the first error of writing, a negative errno, or 0: then too it has stopped. -ETIMEDOUT: a pipe or a
 * terminal took nothing for 3 s of the wait. A program that ends does not wait for longer than 10 s in which nothing is written. */
THRUM_API int thrum_trace_stop(void);

/* Writes what the flight recorder holds now to the file, over what is there; it goes on. May be called at any time, also several
 * times. -EPERM: no flight recorder is on. -EINVAL: path is NULL. Or the negative errno of open(2) or write(2): a regular file is removed then. */
THRUM_API int thrum_trace_snapshot(const char *path);

typedef struct thrum_trace_stats {
  size_t size;       /* set by the caller: sizeof(thrum_trace_stats) */
  bool on, flight;   /* now */
  uint64_t recorded; /* events since the start; those that were dropped are not among them */
  uint64_t lost;     /* dropped: the ring was full */
  uint64_t written;  /* bytes in the file */
} thrum_trace_stats;

/* Of what is recorded now, or was last. -EINVAL: size is not a known one. */
THRUM_API int thrum_trace_statistics(thrum_trace_stats *out);

/* ---- What the program says itself ----------------------------------------------------------------------------------- */

/* A name is kept by its address and read later, also in a crash: it must be a text that lives as long as the program, such as a literal.
 * A few thousand names have room, of each the first 4096 bytes. Nothing here waits, switches or fails; while nothing is recorded, each is a look at a word.
 *
 * thrum_span_begin and _end bracket what the calling thread does; spans nest, and stay with the thread wherever it runs.
 * THRUM_SPAN(name) { ... } ends its span however the block is left: at its end, by return, break, goto, or a C++ exception; not by
 * thrum_exit or longjmp. A counter has a value from one call to the next. A mark is an instant. */
THRUM_API void thrumi_span_begin_slow(const char *name);
THRUM_API void thrumi_span_end_slow(void);
THRUM_API void thrumi_trace_count_slow(const char *name, int64_t value);
THRUM_API void thrumi_trace_mark_slow(const char *name);

static inline bool thrumi_is_traced(void) {
  return __builtin_expect((__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) & 1) != 0, 0);
}

static inline void thrum_span_begin(const char *name) {
  if (thrumi_is_traced()) thrumi_span_begin_slow(name);
}

static inline void thrum_span_end(void) {
  if (thrumi_is_traced()) thrumi_span_end_slow();
}

static inline void thrum_trace_count(const char *name, int64_t value) {
  if (thrumi_is_traced()) thrumi_trace_count_slow(name, value);
}

static inline void thrum_trace_mark(const char *name) {
  if (thrumi_is_traced()) thrumi_trace_mark_slow(name);
}

static THRUMI_INLINE const char *thrumi_span_enter(const char *name) {
  thrum_span_begin(name);
  return name ? name : ""; /* NULL would skip the block */
}

static THRUMI_INLINE void thrumi_span_leave(const char **name) {
  (void)name;
  thrum_span_end();
}

#define THRUM_SPAN(name) THRUMI_HOLDING(const char, thrumi_span, name, __COUNTER__)

#ifdef __cplusplus
}
#endif
#endif
