/* Every call on a descriptor: try, and wait if it would block. */
#ifndef THRUMI_ATTEMPT_H
#define THRUMI_ATTEMPT_H

#include <io/netpoll.h>
#include <thrum/base.h>

/* One try: its result, -EAGAIN if it would block. It never blocks, whatever the mode of the descriptor. Outside of the runtime;
 * EINTR may come through. */
typedef ssize_t thrumi_try_fn(int fd, struct thrumi_descriptor *d, void *arg);

/* Tries until the call went through, failed, or the time is over; a cancellation point. What the try said, -ETIMEDOUT, -ECANCELED, -EBADF. */
ssize_t thrumi_attempt(int fd, enum thrumi_direction direction, thrumi_try_fn *try, void *arg,
                       thrum_duration timeout);

/* -ECANCELED: the caller is cancelled, and wants to know. 0. Outside. */
int thrumi_cancelled(void);

#endif
