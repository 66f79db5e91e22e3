/* What threads wait for each other with. Each object has a header of its own in sync/; this one is all of them, and what
 * they have in common:
 *
 * Every object is valid when it is all-zero, unless it says otherwise, and needs no destroy. It must not be moved or
 * copied while it is in use. Light, bound and foreign threads may use all of it, together; signal handlers nothing, unless a
 * call says so. To wait here takes no worker, and no kernel thread from a light one.
 *
 * Forms. x waits for ever, x_for(..., timeout) for so long, try_x not at all. A timeout of 0 or less polls. A call that ran
 * out of time or was cancelled has changed nothing, and swallowed nothing that was meant for another thread.
 *
 * "Switches", "cancellation point": as in thread.h, if the call has to wait. What is to be had at once is had, by a cancelled
 * thread too. What is not is -ECANCELED for one in a cancellation point, whatever the timeout, also in a poll; never in a try form.
 *
 * Names. x_set_name says what dumps and reports call an object (all but a once), until its _destroy. Without one an object goes by
 * the variable that it is, or lies in.
 *
 * After a fork the child has one thread. Nobody waits there for anything; what was held by a thread that is gone stays
 * held. A library that forks releases its locks in the child, which any thread may do. */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/sync/barrier.h>
#include <thrum/sync/cond.h>
#include <thrum/sync/event.h>
#include <thrum/sync/lock.h>
#include <thrum/sync/once.h>
#include <thrum/sync/rlock.h>
#include <thrum/sync/rwlock.h>
#include <thrum/sync/sem.h>
#include <thrum/sync/waitgroup.h>

#endif
