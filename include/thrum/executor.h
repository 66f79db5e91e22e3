/* An executor runs tasks, and gives a future for each.
 *
 *     thrum_executor *pool;
 *     thrum_executor_threads(&pool, NULL);
 *     for (int i = 0; i < n; i++) thrum_submit(pool, &f[i], fetch, &pages[i]);
 *     for (int i = 0; i < n; i++) thrum_future_result(f[i], &size[i]), thrum_future_release(f[i]);
 *     thrum_executor_shutdown(pool, true, false);
 *     thrum_executor_release(pool);
 *
 * Tasks begin in the order in which they were submitted; in an executor of processes (process/pool.h) about so. A task is a function
 * and a pointer, for threads of this process; or
 * bytes in, bytes out and a function that has a name, which any kind of executor can run.
 *
 * Waiting in a pool. A task may wait for futures, also for those of its own pool, that have not begun, however deep. While it waits in a
 * call of future.h, or in a select with a future, it does not count among the pool's `threads`: another task may run in its place, on a
 * further thread if need be. So such waits cannot use up a pool. When it goes on it does not wait for a
 * place: as many tasks more than `threads` may run as come back from waits together.
 * If the further thread cannot be had and nobody else is left to run what is queued, the call that would have waited says -ENOMEM, or
 * -EAGAIN for a bound thread. A task that waits for something else (a lock, a queue, a thread) keeps its place.
 *
 * In a task of a pool thrum_exit(result) ends the task; a scope that it leaves open aborts. A task
 * whose thread was cancelled is that thread's last one: the next begins in another. */
#ifndef THRUM_EXECUTOR_H
#define THRUM_EXECUTOR_H

#include <thrum/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_executor thrum_executor;

/* ---- Making them ------------------------------------------------------------------------------------------ */

/* All-zero (with size set) means the defaults. */
typedef struct thrum_executor_options {
  size_t size;      /* sizeof(thrum_executor_options) */
  const char *name; /* of its threads, before -0, -1, ...; NULL or "": pool-K for the K-th executor; copied */
  int threads;      /* as many tasks run at once; 0: 32, or twice the workers if that is more */
  size_t stack_size; /* bytes of each, 0: the default */
  bool bound;        /* each owns a kernel thread */
  thrum_fn *
      initializer; /* each calls it first. If it fails the executor is broken: what is queued fails, with -EPIPE and a */
  void *
      initializer_arg; /* sentence, and so does thrum_submit. The failure itself goes to the hook of thrum_on_uncaught. */
} thrum_executor_options;

#define THRUM_EXECUTOR_OPTIONS_INIT \
  { sizeof(thrum_executor_options), 0, 0, 0, false, 0, 0 }

/* A pool of light threads. A thread is started when a task finds none idle and fewer than `threads` there; idle ones stay until the
 * shutdown. They are no daemons, whoever submits. options may be NULL. -EINVAL: a negative number of threads, a size that
 * thrum_spawn_with would not take, another version's options. -ENOMEM. */
THRUM_API int thrum_executor_threads(thrum_executor **out, const thrum_executor_options *options);

/* Runs each task within thrum_submit, in the caller: for tests, and for who is asked for an executor and wants none. thrum_exit in such
 * a task ends the caller, and the task's future fails with -EOWNERDEAD; in a thread of a pool it ends that task alone. A shutdown that waits
 * does so for the tasks that other threads are in the midst of; in a task of its own, or a callback of that, it is -EDEADLK. -ENOMEM. */
THRUM_API int thrum_executor_inline(thrum_executor **out);

/* ---- Ending them ------------------------------------------------------------------------------------------ */

/* From now on nothing can be submitted. What is queued will still run, or with `cancel_pending` is cancelled; what runs goes on in
 * either case. With `wait` it returns when all that is done and the threads have ended (switches; not a cancellation point). Any number of
 * times, by any number of threads. -EDEADLK: `wait` in one of its own threads (destructors of its thread-local values, too), or in a task of an inline
 * executor; it is shut down all the same. */
THRUM_API int thrum_executor_shutdown(thrum_executor *executor, bool wait, bool cancel_pending);

/* The same with a wait of so long at most; a cancellation point. -ETIMEDOUT and -ECANCELED: it is shut down, and not done. */
THRUM_API THRUM_MUST_CHECK int thrum_executor_shutdown_for(thrum_executor *executor, bool cancel_pending,
                                                           thrum_duration timeout);

/* Gives the executor back; NULL does nothing. What is queued will still be done, and the program's end waits for that. One of
 * its own tasks may do so. An executor that is never given back holds nothing up either: its idle threads end with the program. */
THRUM_API void thrum_executor_release(thrum_executor *executor);

typedef struct thrum_executor_stats {
  size_t size;        /* sizeof(thrum_executor_stats), set by the caller */
  uint64_t submitted; /* tasks so far */
  uint64_t finished;  /* of these: with a result or a failure */
  uint64_t cancelled; /* before they began */
  uint64_t started;   /* threads so far */
  uint32_t queued;    /* tasks that have not begun, at this moment */
  uint32_t threads;   /* threads, at this moment; of these: */
  uint32_t idle;
  uint32_t waiting; /* run a task that waits for a future */
} thrum_executor_stats;

/* -EINVAL: size is not that of a known version. */
THRUM_API int thrum_executor_statistics(thrum_executor *executor, thrum_executor_stats *out);

/* ---- Tasks: a function and a pointer ------------------------------------------------------------------------ */

/* Queues fn(arg) and stores its future in *out. With out == NULL nobody will ask for the result: a failure goes to the hook of
 * thrum_on_uncaught. Does not wait (an inline executor: runs it). -EPIPE: shut down or broken. -ENOMEM, and -EAGAIN for a bound one: no thread is
 * to be had for it; nothing was submitted. -EINVAL: fn is NULL. -ENOTSUP: an executor whose tasks run in another process. */
THRUM_API int thrum_submit(thrum_executor *executor, thrum_future **out, thrum_fn *fn, void *arg);

/* ---- Tasks: bytes in, bytes out ------------------------------------------------------------------------------- */

typedef struct thrum_out thrum_out;

/* Appends to the task's result. 0. -ENOMEM: and the task fails with that, whatever it returns. -EINVAL: NULL. */
THRUM_API int thrum_out_write(thrum_out *out, const void *data, size_t size);

/* 0 or more, or a negative errno: then it has failed, and what it wrote is dropped. thrum_fail adds a sentence. */
typedef int thrum_task_fn(const void *in, size_t size, thrum_out *out);

typedef struct thrum_task {
  const char *name;
  thrum_task_fn *fn;
} thrum_task;

/* Defines a task that is found by its name in every process that runs this program:
 *
 *     THRUM_TASK(sum) {                       // in: const void *in, size_t size, thrum_out *out
 *       uint64_t s = add_up(in, size);
 *       return thrum_out_write(out, &s, sizeof s);
 *     }
 *     thrum_submit_task(executor, &f, &sum, data, size);
 *
 * `sum` is a const thrum_task of this file. At file scope; in a program or in a shared object. */
#define THRUM_TASK(name) \
  static int thrumi_task_##name(const void *, size_t, thrum_out *); \
  static const thrum_task name = {#name, thrumi_task_##name}; \
  THRUMI_TASK_RECORD(thrumi_task_record_##name, name) \
  static int thrumi_task_##name(__attribute__((unused)) const void *in, __attribute__((unused)) size_t size, \
                                __attribute__((unused)) thrum_out *out)

/* Machinery. The records lie together in a section of their own, where a tool finds them in the file; a constructor, which no
 * linker drops, tells of each when its object is loaded. */
typedef struct thrumi_task_record {
  const thrum_task *task;
  struct thrumi_task_record *next;
} thrumi_task_record;

#define THRUMI_TASK_RECORD(record, name) \
  static thrumi_task_record record __attribute__((used, section("thrum_tasks"))) = {&name, 0}; \
  __attribute__((constructor)) static void record##_add(void) { thrumi_task_add(&record); } \
  __attribute__((destructor)) static void record##_remove(void) { thrumi_task_remove(&record); }

THRUM_API void thrumi_task_add(thrumi_task_record *record);
THRUM_API void thrumi_task_remove(thrumi_task_record *record);

/* The task of that name; of several, the first of the object that was loaded first. NULL: there is none. */
THRUM_API const thrum_task *thrum_task_find(const char *name);

/* Queues the task with a copy of `size` bytes at `in`. The rest as thrum_submit. -EINVAL also: in is NULL while size is not 0. */
THRUM_API int thrum_submit_task(thrum_executor *executor, thrum_future **out, const thrum_task *task,
                                const void *in, size_t size);

/* ---- Map: a task for each item of an array --------------------------------------------------------------------------- */

/* All-zero (with size set) means the defaults. */
typedef struct thrum_map_options {
  size_t size;            /* sizeof(thrum_map_options) */
  size_t chunk;           /* so many items are one task; 0: one */
  size_t ahead;           /* at most so many tasks are submitted and not handed out yet; 0: all at once */
  thrum_duration timeout; /* from thrum_map_start on; 0: none */
  bool keep_going;        /* a failure of an item is a result as any other; see thrum_map_start */
  bool unordered;         /* results come as they are there, and thrum_map_index says of which item each is */
} thrum_map_options;

#define THRUM_MAP_OPTIONS_INIT \
  { sizeof(thrum_map_options), 0, 0, 0, false, false }

typedef struct thrum_map thrum_map;

/* Calls fn(&items[i]) for each of n items of `item_size` bytes, as tasks of the executor, and gives the results in the order of the items:
 *
 *     thrum_map *m;
 *     thrum_map_start(&m, pool, resize, pictures, n, sizeof *pictures, NULL);
 *     for (intptr_t bytes; thrum_map_next(m, &bytes) == 0;) total += bytes;
 *     thrum_map_end(m);
 *
 * Or, if they are unordered, as they are there. Tasks are submitted at once, whether or not anybody asks for results, but for what
 * `ahead` keeps back. The items stay the caller's, in place, until thrum_map_end. The first failure ends it, unless told to keep going: it is handed out as a result, and what has not
 * begun is cancelled. Told to keep going or not, a chunk that did not run to its end ends it: its process died, the task is not there, or
 * the executor is broken. That failure is handed out once, in place of the results that the chunk lacks, and those of chunks behind it are
 * not, also where they are there. With item_size 0 each call gets
 * the same pointer. options may be NULL. Errors as thrum_submit; -EINVAL also: items is NULL while n is not 0, or n items of that size are
 * more than memory can hold. What was submitted before is cancelled then. All calls by one thread
 * at a time. */
THRUM_API int thrum_map_start(thrum_map **out, thrum_executor *executor, thrum_fn *fn, void *items, size_t n,
                              size_t item_size, const thrum_map_options *options);

/* The same for a task with bytes, called with each item. */
THRUM_API int thrum_map_start_task(thrum_map **out, thrum_executor *executor, const thrum_task *task,
                                   const void *items, size_t n, size_t item_size,
                                   const thrum_map_options *options);

/* The next result. Switches; a cancellation point. 0. -EPIPE: there are no more. -ETIMEDOUT: out of time, and what has not begun is
 * cancelled. -ECANCELED: the caller was cancelled, or the item's task, by a shutdown of the executor. Or what thrum_submit says
 * to what `ahead` kept back. After -ETIMEDOUT, a cancelled task or a failure to submit the next one says -EPIPE. In a
 * pool's thread also -EAGAIN or -ENOMEM, as thrum_future_wait; the next call tries again. */
THRUM_API int thrum_map_next(thrum_map *map, intptr_t *result);

/* Waits for so long at most; 0: only what is there. -ETIMEDOUT: nothing came meanwhile, and the map goes on; unless it was the map's own time
 * that is over, and then the next call says -EPIPE. */
THRUM_API THRUM_MUST_CHECK int thrum_map_next_for(thrum_map *map, intptr_t *result, thrum_duration timeout);

/* The same for a task with bytes; a failure of the item is the error. The bytes are borrowed until the next call with this map. */
THRUM_API int thrum_map_next_bytes(thrum_map *map, const void **data, size_t *size);
THRUM_API THRUM_MUST_CHECK int thrum_map_next_bytes_for(thrum_map *map, const void **data, size_t *size,
                                                        thrum_duration timeout);

/* The index of the item whose result was handed out last. Before the first one: SIZE_MAX. Of use for an unordered map, in which
 * results of one chunk are in order, and chunks come as they end. Does not switch. */
THRUM_API size_t thrum_map_index(const thrum_map *map);

/* The sentence of the failure that was handed out last, or "". Borrowed until the next call. */
THRUM_API const char *thrum_map_failure(const thrum_map *map);

/* Cancels what has not begun, and waits for what runs, since the items are the caller's. Switches; no cancellation point. NULL
 * does nothing. */
THRUM_API void thrum_map_end(thrum_map *map);

#ifdef __cplusplus
}
#endif
#endif
