/* A descriptor that an object owns, and that threads use: a connection's, a listener's. Closing wakes them, and none meets another file
 * under the number.
 *
 *   word     value           meaning                                     written by
 *   closed   false -> true   the close has begun                         the one thread that makes the swap
 *   refs     n               the owner's, and one of each use            uses: up and down; the owner: down. Who takes the
 *                                                                        last one frees
 *   forks    thrumi_forks    the process that last used it               who uses it first in the child of a fork;
 *            ~thrumi_forks   that one is at it                           others wait. Anything else: not used here yet
 *
 * Closing. The closer sets `closed`, then marks the descriptor (in thrum_close), by a swap each; a use takes the descriptor, by a swap,
 * and then, behind a fence, looks at `closed`. So either the use sees that it is closed, and has done nothing with the number yet,
 * or the closer sees the use, wakes it if it waits for the descriptor, and waits until it has let go (tests/explore/owned.c).
 *
 * In the child of a fork the threads that were using it are not there: their references are gone, and `mend` puts right what else they
 * left. */
#ifndef THRUMI_OWNED_H
#define THRUMI_OWNED_H

#include <core/atomic.h>
#include <io/netpoll.h>

struct thrumi_owned;

struct thrumi_owner {
  void (*mend)(struct thrumi_owned *o);
  void (*free)(struct thrumi_owned *o);
};

struct thrumi_owned {
  int fd;
  const struct thrumi_owner *owner;
  _Atomic bool closed;
  _Atomic uint32_t refs, forks;
};

void thrumi_owned_make(struct thrumi_owned *o, int fd, const struct thrumi_owner *owner);

/* Takes a reference and the descriptor. 0, or an error: neither is held. -EBADF: closed. Outside. */
int thrumi_owned_hold(struct thrumi_owned *o, struct thrumi_descriptor **descriptor);
void thrumi_owned_drop(struct thrumi_owned *o); /* gives a reference back */

/* Closes the descriptor, once. The owner's reference stays. */
void thrumi_owned_shutdown(struct thrumi_owned *o);

#endif
