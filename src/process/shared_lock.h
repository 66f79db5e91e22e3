/* What other shared objects need of the shared lock. */
#ifndef THRUMI_SHARED_LOCK_H
#define THRUMI_SHARED_LOCK_H

#include <process/segment.h>
#include <process/shared_wait.h>
#include <thrum/process/sync.h>

/* Takes the lock, waiting until the deadline. Outside. 0, -EOWNERDEAD, -ENOTRECOVERABLE, what a wait ends with, and why it cannot be used. */
int thrumi_shared_lock_acquire(thrum_shared_lock *lock, int64_t deadline, int flags);

/* The deadline and what it ends with, for the forms with a timeout: a poll that found nothing. */
int thrumi_shared_poll_failed(int error);

/* Whether nobody holds it, and it is not useless, at this moment. */
bool thrumi_shared_lock_is_free(const thrum_shared_lock *lock);

/* Whether the calling process holds it. */
bool thrumi_shared_lock_is_mine(const thrum_shared_lock *lock);
bool thrumi_shared_rlock_is_mine(thrum_shared_rlock *lock); /* the calling thread */

/* The calling process as a holder in the segment. 0, -EINVAL: NULL; -ENOMEM, -ENOSPC. Outside. */
int thrumi_shared_me(struct thrumi_segment *segment, thrumi_holder *me);

/* The rlock is released, however often it was taken; and taken again so often. */
int thrumi_shared_rlock_let_go(thrum_shared_rlock *lock, uint32_t *depth);
int thrumi_shared_rlock_take_again(thrum_shared_rlock *lock, uint32_t depth);

#endif
