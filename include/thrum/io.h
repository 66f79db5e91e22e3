/* Calls that wait for a descriptor and park only the thread.
 *
 *     ssize_t n = thrum_read(fd, buffer, sizeof buffer);    // the worker goes on with another thread
 *
 * The call itself is tried first; only if it would block does the thread park until epoll says otherwise.
 * A descriptor that is not in non-blocking mode works too, and its mode, which other processes may share,
 * is never changed: such a descriptor is asked by poll first. Plain files never wait. */
#ifndef THRUM_IO_H
#define THRUM_IO_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As read(2) and write(2), with a negative errno instead of errno; EINTR is never returned. SIGPIPE is not
 * raised. May be short, as theirs. Switch; cancellation points (-ECANCELED).
 * The `_for` forms also: -ETIMEDOUT. */
THRUM_API ssize_t thrum_read(int fd, void *buffer, size_t size);
THRUM_API ssize_t thrum_write(int fd, const void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_read_for(int fd, void *buffer, size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_write_for(int fd, const void *buffer, size_t size,
                                                   thrum_duration timeout);

/* Closes a descriptor that thrum has waited on, and wakes whoever waits on it with -EBADF. Not a
 * cancellation point. 0 or a negative errno. */
THRUM_API int thrum_close(int fd);

#ifdef __cplusplus
}
#endif
#endif
