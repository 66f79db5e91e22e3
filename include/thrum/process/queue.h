/* A queue of messages, of bytes of any length, between processes.
 *
 *     size_t bytes = thrum_process_queue_bytes(1 << 20);                // a ring of 1 MiB
 *     thrum_process_queue *q = thrum_shared_alloc(memory, bytes);       // or anywhere else in a thrum_shared_memory
 *     thrum_process_queue_init(q, bytes, NULL);
 *     thrum_process_queue_put(q, text, length);                         // in any process; waits while there is no room
 *     ssize_t n = thrum_process_queue_get(q, buffer, sizeof buffer);    // waits while it is empty
 *
 * Messages are got in the order in which they were put, each by one get, whole. Any number of threads of any processes that
 * have the memory may put and get. Bytes go from the putter to the ring and from there to the getter, and through no kernel: a call that need
 * not wait makes no system call, unless it wakes somebody.
 *
 * Room. The ring holds so many bytes; a message takes its size and 8, rounded up to 8. One that the empty ring could not hold is
 * refused (-EMSGSIZE). Large ones lie better in memory of their own (thrum_shared_alloc), and the queue carries their offsets.
 *
 * Death. A process may be killed at any moment. A put has put its message then, whole, or not at all; a get has taken its message, or left
 * it for another one; nothing else is lost, and nobody waits for a dead one to end its call. thrum_process_queue_deaths counts
 * those that were killed while they held the queue, as calls do while they look at it or change it; not those that were killed while they
 * waited, or between two calls. A message that a get had taken is lost with the process, and stays unfinished: whoever
 * notices the death may say task_done for it, and until somebody does a join waits.
 *
 * Ending, task_done and join are as of thrum_queue. After a fork the child is another process, and may go on with the queue.
 *
 * Forms. x waits for ever, x_for for so long, try_x not at all; a timeout of 0 or less polls. Those that may wait are cancellation points if they
 * have to. A call that ran out of time, or was cancelled, has done nothing. How long others take to copy a message in or out is
 * not counted. Light, bound and foreign threads may use all of it; signal handlers nothing.
 *
 * Errors of all: -EINVAL: not initialised, or not in a thrum_shared_memory that this process has attached; -ENOSPC, -ENOMEM: see
 * process/sync.h; -EPIPE: shut down (and empty, for a get); -ETIMEDOUT, -ECANCELED; the try forms -EAGAIN. */
#ifndef THRUM_PROCESS_QUEUE_H
#define THRUM_PROCESS_QUEUE_H

#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_process_queue thrum_process_queue;

typedef struct thrum_process_queue_options {
  size_t size; /* sizeof(thrum_process_queue_options) */
  size_t most; /* messages that it may hold; 0: as many as there is room for */
} thrum_process_queue_options;

#define THRUM_PROCESS_QUEUE_OPTIONS_INIT \
  { sizeof(thrum_process_queue_options), 0 }

/* How much memory a queue takes whose ring has so many bytes; 0: that is too much. */
THRUM_API size_t thrum_process_queue_bytes(size_t ring);

/* Makes `bytes` of shared memory, on a boundary of 8, a queue, while nobody uses it; the ring is what is left of them. -EINVAL: too few, another
 * version's options, or not on a boundary of 8. It needs no destroy; its memory may be given back when nobody is in a call with it. */
THRUM_API int thrum_process_queue_init(thrum_process_queue *q, size_t bytes,
                                       const thrum_process_queue_options *options);

/* ---- Putting and getting ------------------------------------------------------------------------------------------------ */

/* Puts a message of `size` bytes, also none. 0; -EMSGSIZE: it can never be held; and those above. */
THRUM_API int thrum_process_queue_put(thrum_process_queue *q, const void *data, size_t size);
THRUM_API THRUM_MUST_CHECK int thrum_process_queue_put_for(thrum_process_queue *q, const void *data,
                                                           size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_process_queue_try_put(thrum_process_queue *q, const void *data,
                                                           size_t size);

/* Gets the next message into the buffer. Its size; -EMSGSIZE: it has more than `size` bytes, and stays the next one. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_process_queue_get(thrum_process_queue *q, void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_process_queue_get_for(thrum_process_queue *q, void *buffer,
                                                               size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_process_queue_try_get(thrum_process_queue *q, void *buffer,
                                                               size_t size);

/* The same into memory of its own, which the caller frees with free(3); a message of 0 bytes gets some, too. 0; -ENOMEM: the message
 * stays. */
THRUM_API THRUM_MUST_CHECK int thrum_process_queue_get_new(thrum_process_queue *q, void **data, size_t *size);
THRUM_API THRUM_MUST_CHECK int thrum_process_queue_get_new_for(thrum_process_queue *q, void **data,
                                                               size_t *size, thrum_duration timeout);

/* The size of the next message at this moment; -EAGAIN: there is none. */
THRUM_API ssize_t thrum_process_queue_next_size(thrum_process_queue *q);

/* ---- Work that is done -------------------------------------------------------------------------------------------------- */

/* Each put counts as unfinished until somebody says task_done for it. -EOVERFLOW: said too often. Never -EPIPE. */
THRUM_API int thrum_process_queue_task_done(thrum_process_queue *q);

/* Waits until nothing is unfinished, also when it is shut down. What a process had got, and had not finished when it was killed, stays
 * unfinished: the join waits until somebody says task_done for it. */
THRUM_API int thrum_process_queue_join(thrum_process_queue *q);
THRUM_API THRUM_MUST_CHECK int thrum_process_queue_join_for(thrum_process_queue *q, thrum_duration timeout);

/* ---- Ending and looking --------------------------------------------------------------------------------------------------- */

/* Shuts it down: puts say -EPIPE, gets go on until it is empty. With `now` what is in it is discarded, and counts as finished. It may be
 * repeated. */
THRUM_API int thrum_process_queue_shutdown(thrum_process_queue *q, bool now);
THRUM_API bool thrum_process_queue_is_shutdown(const thrum_process_queue *q);

/* As they are at this moment: messages in it; unfinished ones; how often its holder was found dead, so far (see Death). */
THRUM_API size_t thrum_process_queue_size(const thrum_process_queue *q);
THRUM_API size_t thrum_process_queue_unfinished(const thrum_process_queue *q);
THRUM_API size_t thrum_process_queue_deaths(const thrum_process_queue *q);

#ifdef __cplusplus
}
#endif
#endif
