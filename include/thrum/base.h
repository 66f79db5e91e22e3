/* What every thrum header shares: the platform check, time spans, the error convention, a safe errno.
 *
 * Errors. A call returns 0 (or a count that is not negative), or a negative errno; `errno` is never the channel. These mean the same
 * in the whole library. Others are the kernel's (-EMFILE, -ENOENT, -ENOSPC, ...), or said by the header that has them:
 *
 *     -EACCES      another key at the other end of a connection, or another user
 *     -EAGAIN      a try form that would have had to wait; or no kernel thread to be had for now
 *     -EALREADY    a future that is done, or has been started
 *     -EBADF       not an open descriptor or connection, or closed meanwhile
 *     -EBADMSG     the stream ended in the midst of a message
 *     -EBUSY       threads wait for what was to go; or it is in use, or on, already
 *     -ECANCELED   the calling thread was cancelled, or the scope, or the future whose result it wants
 *     -ECONNABORTED  a connection's direction that was given up in the midst of a message
 *     -EDEADLK     waiting for oneself
 *     -EINVAL      an argument that cannot be right; the header says which
 *     -EMSGSIZE    a message that is longer than the buffer, or than the limit
 *     -ENOMEM      no memory, no room for one more stack, or the limit of live threads
 *     -ENOTSUP     not for this kind of thread, or of executor
 *     -EOVERFLOW   released, or said to be done, too often
 *     -EOWNERDEAD  who held it, or would have made it, is gone: a lock of several processes, which is held now; a result
 *     -EPERM       not the owner, or nothing is there to undo: not held, not pinned, not on
 *     -EPIPE       shut down, closed, stopped, no more to come, or a broken barrier
 *     -EPROTO      what comes is not what both ends should speak
 *     -ESRCH       a handle whose thread was joined or detached, or that never was one
 *     -ETIMEDOUT   the time given ran out
 *
 * Signal handlers may call nothing of thrum except what says so. */
#ifndef THRUM_BASE_H
#define THRUM_BASE_H

#if !defined(__linux__)
#error "thrum runs on Linux only: it stands on futexes, membarrier and per-thread signals"
#endif
#if !defined(__x86_64__) && !defined(__aarch64__)
#error "thrum has its thread switch for x86-64 and aarch64 only"
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define THRUM_API __attribute__((visibility("default")))
#define THRUM_NORETURN __attribute__((noreturn))
#define THRUM_MUST_CHECK __attribute__((warn_unused_result))
#define THRUM_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#else
#define THRUM_API
#define THRUM_NORETURN
#define THRUM_MUST_CHECK
#define THRUM_PRINTF(at, first)
#endif

#define THRUM_VERSION_MAJOR 0
#define THRUM_VERSION_MINOR 1
#define THRUM_VERSION_PATCH 0

/* A span of time in nanoseconds. Negative spans poll, like 0. */
typedef int64_t thrum_duration;

/* A point of the monotonic clock in nanoseconds; see time.h. */
typedef int64_t thrum_time;

/* The macros take fractions: THRUM_MS(0.5) is half a millisecond. */
#define THRUM_NS(n) ((thrum_duration)(n))
#define THRUM_US(n) ((thrum_duration)((n)*1000LL))
#define THRUM_MS(n) ((thrum_duration)((n)*1000000LL))
#define THRUM_S(n) ((thrum_duration)((n)*1000000000LL))

/* Wait for ever. */
#define THRUM_FOREVER INT64_MAX

/* What a thread runs. A result in [-4095, -1] is a failure, a negative errno; anything else is a success,
 * a pointer too. */
typedef intptr_t thrum_fn(void *arg);

/* Whether a thread's result is a failure. */
static inline bool thrum_failed(intptr_t result) { return result < 0 && result >= -4095; }

/* The address of the calling thread's errno, looked up anew each time.
 *
 * libc declares the function behind `errno` const, so a compiler may keep its address across a call that
 * moves a light thread to another kernel thread, and then read a stranger's errno. These headers therefore
 * include <errno.h> and give `errno` again in terms of this function. Define THRUM_KEEP_ERRNO before
 * including them to keep libc's. Async-signal-safe. */
THRUM_API int *thrum_errno(void);

/* Behind thrum_x_set_name. */
THRUM_API int thrumi_object_name(const void *object, const char *name);
THRUM_API int thrumi_object_name_as(const void *object, const char *name, const char *kind);

#ifdef __cplusplus
}
#endif

#ifndef THRUM_KEEP_ERRNO
#undef errno
#define errno (*thrum_errno())
#endif

#endif
