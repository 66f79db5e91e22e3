/* A thread-local value that follows the light thread, wherever it runs.
 *
 *     static thrum_local connection = THRUM_LOCAL_INIT(close_connection);
 *     thrum_local_set(&connection, c);              // in each thread its own
 *     struct connection *c = thrum_local_get(&connection);
 *
 * C's own _Thread_local follows the kernel thread: in a light thread it may change, or be cached by the
 * compiler, across any call that switches. All-zero is valid: a value without a destructor. */
#ifndef THRUM_LOCAL_H
#define THRUM_LOCAL_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_local {
  void (*destructor)(void *value);
  uint32_t slot; /* thrum's own */
} thrum_local;

#define THRUM_LOCAL_INIT(destructor) \
  { destructor, 0 }

/* The calling thread's value, NULL if it has set none. */
THRUM_API void *thrum_local_get(thrum_local *local);

/* Sets the calling thread's value. The old one is not destroyed. When the thread ends, before a join of it
 * returns, the destructor is called in it with each value that is not NULL, again up to four rounds for
 * destructors that set values; but not in main, whose values nobody destroys, however it ends. -ENOMEM; -EAGAIN: more than 1,024 locals in the process. */
THRUM_API int thrum_local_set(thrum_local *local, void *value);

#ifdef __cplusplus
}
#endif
#endif
