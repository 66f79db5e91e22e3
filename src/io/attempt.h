/* Every call on a descriptor: try, and wait if it would block. */
#ifndef THRUMI_ATTEMPT_H
#define THRUMI_ATTEMPT_H

#include <io/netpoll.h>
#include <thrum/base.h>

/* One try: its result, -EAGAIN if it would block. It does not block, whatever the mode of the descriptor. Outside of the
 * runtime; -EINTR may come through. */
typedef ssize_t thrumi_try_fn(int fd, struct thrumi_descriptor *d, void *arg);

/* Tries until the call went through, failed, or the time is over; a cancellation point. What the try said, -ETIMEDOUT,
 * -ECANCELED, -EBADF. */
ssize_t thrumi_attempt(int fd, enum thrumi_direction direction, thrumi_try_fn *try, void *arg,
                       thrum_duration timeout);

bool thrumi_in_blocking_mode(int fd); /* false also where nothing is open */

/* For calls that cannot be told not to block: `call` itself if the descriptor is in non-blocking mode, or says that it is ready;
 * else -EAGAIN. In blocking mode one thread at a time asks and calls; but somebody else, as another process, may have been faster
 * since: then the call blocks its kernel thread, and thrum_close does not wait for it. */
ssize_t thrumi_try_asking(int fd, struct thrumi_descriptor *d, enum thrumi_direction direction,
                          ssize_t (*call)(int fd, void *arg), void *arg);

/* A call that may block, between begin and end: thrum_close does not wait for it, and it meets no other file. */
ssize_t thrumi_call_paused(int fd, struct thrumi_descriptor *d, ssize_t (*call)(int fd, void *arg),
                           void *arg);

/* A call on a file, which may have to wait for a disk: in the meantime the worker goes on. */
ssize_t thrumi_call_file(int fd, ssize_t (*call)(int fd, void *arg), void *arg);

/* -ECANCELED: the caller is cancelled, and wants to know. 0. Outside. */
int thrumi_cancelled(void);

#endif
