/* Code of the user's that a thread of the library runs beside others, one after the other: a task of an executor. */
#ifndef THRUMI_PART_H
#define THRUMI_PART_H

#include <stdarg.h>
#include <thrum/thread.h>

struct thrumi_thread;

/* The calling thread; its record stays where it is. Outside. */
struct thrumi_thread *thrumi_me(void);

/* Calls fn(arg) in the calling thread, me; thrum_exit ends this call only. Outside. */
intptr_t thrumi_part_call(struct thrumi_thread *me, thrum_fn *fn, void *arg);

/* What a code that the user gave is as a failure: -|code|; -EINVAL if that is none. */
static inline int thrumi_failure(int code) {
  int failure = code > 0 ? -code : code;
  return thrum_failed(failure) ? failure : -EINVAL;
}

/* A sentence in the manner of vprintf; NULL: no memory. Outside. */
char *thrumi_sentence_make(const char *format, va_list args) THRUM_PRINTF(1, 0);

/* The sentence that thrum_fail left with me, for another one, NULL also. Whoever gets it frees it (thrumi_os.free). */
char *thrumi_sentence_swap(struct thrumi_thread *me, char *sentence);

/* Tells the hook of thrum_on_uncaught. Outside. */
void thrumi_tell_uncaught(struct thrumi_thread *me, intptr_t failure, const char *sentence);

#endif
