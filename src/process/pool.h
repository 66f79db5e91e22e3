/* An executor of processes; docs/design/processes.md has the whole.
 *
 * Each process has an *attendant*, a light thread of this process that starts it, writes errands for it, reads results, and
 * buries it. An attendant that has no process and nothing to do ends. All fields of the pool, and those of its attendants of which it is said, are
 * under the pool's lock. Nothing is called under it that waits, but for the lock of an event.
 *
 * An attendant is one of
 *
 *   READY  nothing of its process's is outstanding, and it will look at the queue without fail: also while its process starts
 *   IDLE   nothing is outstanding, and it waits for work to be queued
 *   BUSY   works are outstanding: its process has them. Or the process ends, and nobody should count on it
 *
 * Invariants, whenever the lock is free:
 *
 *   Q1  queued > 0  =>  queued <= ready, or nobody is idle and count = limit. (For each work somebody comes.) Or one more could not be
 *       started, or processes die before they do anything: then it waits for who is BUSY, or for the next work that is submitted.
 *   Q2  queued > 0  =>  count > 0, or the thread that brought count to 0 is about to fail what is queued.
 *   Q3  a work is in one place: the queue; a batch that an attendant is about to write; an attendant's outstanding ones; or done.
 *   Q4  pins = the handle, if held, + count + others + works that are queued, or whose canceller has not been here. 0: it is freed. */
#ifndef THRUMI_PROCESS_POOL_H
#define THRUMI_PROCESS_POOL_H

#include <future/executor.h>
#include <process/errand.h>
#include <process/flight.h>
#include <thrum/process/pool.h>
#include <thrum/sync/cond.h>
#include <thrum/sync/event.h>
#include <thrum/sync/lock.h>

enum {
  THRUMI_AHEAD = 256, /* so many works may be outstanding with one process */
};
_Static_assert((int)THRUMI_AHEAD < (int)THRUMI_PARCELS,
               "each may come back as a parcel, behind the initializer's");

enum thrumi_attendance { THRUMI_ATTENDANT_READY, THRUMI_ATTENDANT_IDLE, THRUMI_ATTENDANT_BUSY };

/* Works, in a list by next and prev. */
struct thrumi_works {
  struct thrumi_work *first, *last;
  uint32_t count;
};

struct thrumi_attendant {
  struct thrumi_process_pool *pool;
  thrum_event wake; /* set: there may be something to do */

  /* Under the lock. */
  struct thrumi_attendant *next, *prev; /* of all */
  struct thrumi_attendant *next_idle, *prev_idle;
  enum thrumi_attendance state;
  struct thrumi_works outstanding; /* in the order of their errands; `place` is the errand */
  thrum_process *process;          /* NULL: none at present */
  struct thrumi_thread *thread;
  uint32_t seat; /* for its CPU */
  uint64_t sent; /* works, to this process, that were not taken back */
  bool alone;    /* what is outstanding is a parcel: nothing is sent behind it */
  bool stops;    /* its process was told to end */

  /* The attendant's own. */
  struct thrumi_post post;
  struct thrumi_flight flight;  /* what other processes are not to have, from the hiring to the dismissal */
  const thrum_task *introduced; /* of the last errand */
  uint64_t number;              /* of the last errand */
  uint64_t delivered;           /* results, from this process */
  struct thrumi_works uncalled; /* they are done, and no thread was to be had for their callbacks */
  thrum_duration pause; /* the last one before it tried again; 0: there was none since there was a thread */
  uint32_t waited;      /* so many ms, for descriptors, since the executor is to end */
  bool initializing;
  bool full;         /* there was no room for what is next */
  bool starved;      /* nor is anything outstanding whose end would make some */
  bool killed;       /* by its attendant */
  const char *fault; /* why, in words that follow; NULL: that is not known */
  char name[THRUM_NAME_MAX];
  int error; /* why it ends, if there is something to it */
  char why[THRUMI_SENTENCE_MAX];
};

struct thrumi_process_pool {
  struct thrum_executor executor; /* first */
  thrum_lock lock;
  thrum_cond ended; /* count and others are 0 */
  struct thrumi_works queue;
  uint32_t count, ready; /* attendants */
  uint32_t deaths;       /* in a row, of processes that had done nothing, as long as there are attendants */
  uint32_t others;       /* threads that run callbacks, and attendants that leave */
  struct thrumi_attendant *attendants, *idle;
  uint64_t submitted, finished, cancelled, started, number, pins;
  bool shut, dropping, broken, held;
  int killed;             /* the signal; 0: none */
  thrum_thread last_gone; /* each attendant's thread ends behind the one that left before it */

  /* Do not change. */
  _Atomic(struct thrumi_process_pool *) next_pool; /* under the lock of all, and whole at any moment */
  uint64_t id;                                     /* no other executor ever has it */
  uint32_t limit;
  int method;
  bool pinned;
  uint64_t tasks_per_process; /* UINT64_MAX: no limit */
  uint32_t retries;
  struct thrumi_hiring *hiring; /* with what follows it, of hiring_size bytes */
  size_t hiring_size;
  char name[THRUM_NAME_MAX];
};

static inline struct thrumi_process_pool *thrumi_processes_of(struct thrum_executor *executor) {
  return (struct thrumi_process_pool *)executor;
}

/* ---- works.c: lists of works, and what is done with them; under the lock ------------------------------------------- */

void thrumi_works_append(struct thrumi_works *list, struct thrumi_work *work);
void thrumi_works_remove(struct thrumi_works *list, struct thrumi_work *work);
void thrumi_works_move(struct thrumi_works *to, struct thrumi_works *from); /* to the end */

/* The first that has not been cancelled: it has begun. NULL: none. */
struct thrumi_work *thrumi_processes_pop(struct thrumi_process_pool *p);

/* Has begun, and is pending again, in front of all others. */
void thrumi_processes_put_back(struct thrumi_process_pool *p, struct thrumi_work *work);

/* Takes back what the process has not begun, half of it or all. How many. */
uint32_t thrumi_processes_take_back(struct thrumi_attendant *a, bool all);

/* Empties the queue. Those that the caller has claimed. */
struct thrumi_works thrumi_processes_take_queue(struct thrumi_process_pool *p,
                                                bool (*claim)(thrum_future *f));

/* Takes all back from processes, and cancels it with what is queued; for thrumi_processes_cancel_all without the lock. */
struct thrumi_works thrumi_processes_drop(struct thrumi_process_pool *p);
void thrumi_processes_cancel_all(struct thrumi_process_pool *p, struct thrumi_works dropped);

/* ---- pool.c ---------------------------------------------------------------------------------------------------------- */

void thrumi_attendant_set(struct thrumi_attendant *a, enum thrumi_attendance state); /* under the lock */

/* Under the lock: wakes those who are idle, as far as work is queued for which nobody comes. */
void thrumi_processes_wake_some(struct thrumi_process_pool *p);

/* Under the lock: the same; true: an attendant is to be started besides, and
 * has been counted. */
bool thrumi_processes_need(struct thrumi_process_pool *p);
int thrumi_processes_start(struct thrumi_process_pool *p);     /* without the lock: that one */
void thrumi_processes_wake_all(struct thrumi_process_pool *p); /* under the lock */

bool thrumi_processes_unpin(
    struct thrumi_process_pool *p); /* under the lock; true: to be freed, without it */
void thrumi_processes_free(struct thrumi_process_pool *p);

/* ---- results.c --------------------------------------------------------------------------------------------------------- */

/* Fails them; takes the list over. Callbacks run in threads of their own. For thrumi_processes_call_back_here, when the caller does not count any
 * more: those for which there is none. An attendant keeps these, and has none. */
struct thrumi_works thrumi_processes_fail(struct thrumi_process_pool *p, struct thrumi_works works, int error,
                                          const char *why);

/* False: this is the child of a fork by a callback. */
bool thrumi_processes_call_back_here(struct thrumi_process_pool *p, struct thrumi_works *uncalled);

/* Starts threads for callbacks that it keeps, as far as there are any now. */
void thrumi_attendant_call_back(struct thrumi_attendant *a);

/* How long it may wait for anything else before it does that again: less and less often. */
thrum_duration thrumi_attendant_pause(struct thrumi_attendant *a);

/* What thrumi_processes_cancel_all does, for an attendant: callbacks run in threads of their own. */
void thrumi_attendant_cancel_all(struct thrumi_attendant *a, struct thrumi_works dropped);

/* Stores the result, takes bytes and sentence over, finishes and tells. */
void thrumi_processes_finish(struct thrumi_process_pool *p, struct thrumi_work *work, intptr_t value,
                             struct thrumi_bytes bytes, char *sentence);
char *thrumi_sentence_copy(const char *text, size_t size);

/* What an attendant's thread has for an argument when it has left: destructors of its thread-locals run after that. */
void *thrumi_attendant_left(const struct thrumi_process_pool *p);

/* Whether the caller is in such a callback, or attends the executor, or did. */
bool thrumi_processes_calls_back(const struct thrumi_process_pool *p);

/* In the child of a fork: whoever forked in a callback is neither there. */
void thrumi_processes_forget_caller(void);

/* Stores what has come from the process, and finishes. False: it is not what can come. */
bool thrumi_processes_unpack(struct thrumi_process_pool *p, struct thrumi_work *work,
                             const struct thrumi_result *result, const char *data);

/* ---- attend.c, errand.c ------------------------------------------------------------------------------------------------ */

intptr_t thrumi_attendant_main(void *attendant);

/* There is no descriptor free for what it has to send, or to take: waits a little. False: it has been long enough, with the executor to end. */
bool thrumi_attendant_waits(struct thrumi_attendant *a);

/* Writes the work's errand. 0; -EAGAIN: no room at present; or an error of the work's, with *why. */
int thrumi_errand_write(struct thrumi_attendant *a, struct thrumi_work *work, const char **why);

/* Whether its errand is a parcel. Such a one is written alone: what takes many megabytes waits until its process is free. */
bool thrumi_errand_is_large(const struct thrumi_work *work);

/* hire.c: starts a process, and opens the post. And when it has ended, or is about to: waits for that, says how in a->why, and
 * closes the post. Callbacks that found no thread are tried again meanwhile. */
int thrumi_attendant_hire(struct thrumi_attendant *a);
void thrumi_attendant_dismiss(struct thrumi_attendant *a);

/* ---- ends.c --------------------------------------------------------------------------------------------------------------- */

void thrumi_processes_add(struct thrumi_process_pool *p);
void thrumi_processes_remove(struct thrumi_process_pool *p);
bool thrumi_processes_end(void); /* the program ends: nobody stays idle */
void thrumi_processes_fork(void);

#endif
