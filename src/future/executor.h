/* What an executor is inside: a kind, which is a table of functions, and whatever that kind needs behind it. Another kind
 * (processes, a cluster) plugs in by a table of its own; users' code does not change. */
#ifndef THRUMI_EXECUTOR_H
#define THRUMI_EXECUTOR_H

#include <future/future.h>

struct thrumi_chunk;

/* A task that was submitted: its future, and what is to be run. The executor has a reference from submit on until the future is
 * finished, or its canceller has told the executor. Until it begins, or that, the executor stays: future.executor is good. */
struct thrumi_work {
  struct thrum_future future;      /* first */
  struct thrumi_work *next, *prev; /* the executor's */
  thrum_fn *fn;                    /* NULL: a task with bytes */
  void *arg;
  const thrum_task *task;
  struct thrumi_chunk *chunk; /* NULL: it is no map's. In another process its task is called, and not fn */
  void *place;                /* the executor's */
  uint32_t tries;             /* likewise */
  _Atomic bool passed;        /* likewise: who takes it off a list, or has cancelled it, has been here */
  size_t size;                /* of `in` */
  bool queued;                /* the executor's */
  bool kept;                  /* goes back to the cache */
  bool unheard;               /* nobody asked for its future: a failure goes to the hook */
  _Alignas(16) char in[];
};

struct thrumi_executor_kind {
  /* Takes the work over, with a reference. 0, or an error: then it is the caller's still. Outside; does not wait. */
  int (*submit)(struct thrum_executor *executor, struct thrumi_work *work);

  /* One of its works has been cancelled by the caller; does what is to be done, thrumi_future_dropped at the end. Outside. */
  void (*cancelled)(struct thrum_executor *executor, struct thrumi_work *work);

  /* Nothing is submitted from here on. Does not wait. */
  void (*shut)(struct thrum_executor *executor, bool cancel_pending);

  /* Until all is done; behind shut. 0, -EDEADLK, -ETIMEDOUT, -ECANCELED. */
  int (*wait)(struct thrum_executor *executor, int64_t deadline, int flags);

  void (*release)(struct thrum_executor *executor);
  void (*statistics)(struct thrum_executor *executor, thrum_executor_stats *out);
};

struct thrum_executor {
  const struct thrumi_executor_kind *kind;
};

static inline struct thrumi_work *thrumi_work_of(thrum_future *f) { return (struct thrumi_work *)f; }

/* Its name: the one that it was given, or its kind's with the next number of that. */
void thrumi_executor_name(char to[THRUM_NAME_MAX], const char *given, const char *kind,
                          _Atomic uint32_t *number);

/* A work with room for `size` bytes, with as many references. NULL: no memory. */
struct thrumi_work *thrumi_work_new(struct thrum_executor *executor, size_t size, uint32_t references);

/* cache.c: one without bytes, zeroed, or NULL; and back. */
struct thrumi_work *thrumi_work_take(void);
void thrumi_work_give(struct thrumi_work *work);
void thrumi_works_fork(void);
size_t thrumi_works_kept(void); /* for tests, while nobody submits */

/* Submits a work that has one reference for the executor and one for *out (NULL: none). Frees it when that fails. */
int thrumi_work_submit(struct thrum_executor *executor, struct thrumi_work *work, thrum_future **out);

/* Calls a function of a task's in the calling thread, me. In a pool's thread thrum_exit ends this call only. */
intptr_t thrumi_task_call(struct thrumi_thread *me, thrum_fn *fn, void *arg);

/* Runs it in the calling thread, me, and stores the result in its future, which begins and is finished elsewhere. */
void thrumi_work_run(struct thrumi_work *work, struct thrumi_thread *me);

/* Fails it, which has begun, without having run it. True: it is to be told and called back still, by thrumi_work_tell. */
bool thrumi_work_fail(struct thrumi_work *work, int failure, const char *sentence);
void thrumi_work_tell(struct thrumi_work *work);

/* From when children may be told of objects, the path of each that is opened is kept (task.c). The path of a task's, good from any directory;
 * NULL: the linker's name of it is that. It stays until the object is closed. */
extern _Atomic bool thrumi_task_places;
const char *thrumi_task_place(const thrum_task *task);

/* What a task with bytes has written so far. */
struct thrum_out {
  char *data;
  size_t size, room;
  int error;
};

#endif
