/* What threads of several processes wait for each other with: locks, conditions, semaphores, events, barriers, readers-writer locks
 * that lie in memory that these processes share.
 *
 *     thrum_shared_lock *lock = &state->lock;                   // state lies in a thrum_shared_memory
 *     int error = thrum_shared_lock_acquire(lock);
 *     if (error == -EOWNERDEAD) {                               // held, by us; who held it before has died
 *       repair(state);
 *       error = thrum_shared_lock_recover(lock);
 *     }
 *     if (!error) { change(state);  thrum_shared_lock_release(lock); }
 *
 * Every object is valid when it is all-zero, as fresh shared memory is, unless it says otherwise, and needs no destroy. It must not
 * be moved or copied while it is in use. Light, bound and foreign threads of any process that maps the memory may use all of it, together;
 * signal handlers nothing. To wait here takes no worker, and no kernel thread from a light one: a thread of the runtime's own waits in
 * the kernel for all of a process. What need not wait makes no system call.
 *
 * Where. Locks, conditions' locks and readers-writer locks lie in a thrum_shared_memory, which knows the processes that use it; elsewhere
 * they say -EINVAL. Semaphores, events, barriers and conditions need not.
 *
 * Death. A process that ends, is killed, or closes the memory while it holds a lock takes nothing with it but what it was about: the next one
 * gets the lock with -EOWNERDEAD, "held, and what it guards may be half changed", repairs that, and says recover. Who releases the lock
 * without having said so makes it useless for ever, for all: -ENOTRECOVERABLE. A wait that such a death should end ends at once, or at the
 * latest about a tenth of a second later; docs/design/shared-sync.md says which. A process that dumps core has ended when that is written. What has no holder (units of a semaphore, a place in a
 * barrier) is not given back by a death. A thread that ends holding a lock, while its process goes on, keeps it.
 *
 * Forms. x waits for ever and is no cancellation point; x_for(..., timeout) waits for so long and is one; try_x waits not at all. A timeout of
 * 0 or less polls. A call that ran out of time or was cancelled has changed nothing. Whatever waits switches.
 *
 * After a fork the child is another process: what its parent held is its parent's.
 *
 * Errors that all calls on locks, readers-writer locks and conditions may give: -EINVAL: it does not lie in a thrum_shared_memory that this
 * process has attached; -ENOSPC, -ENOMEM: no slot for one more process in that memory, no kernel thread to be had (by the first call on
 * that memory in a process only). */
#ifndef THRUM_PROCESS_SYNC_H
#define THRUM_PROCESS_SYNC_H

#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Locks -------------------------------------------------------------------------------------------------------------- */

/* A lock is held by a process. Any thread of any process may release it, as Python's multiprocessing.Lock. Who acquires a lock that
 * it holds already waits. Who waits longest is not always next, but one that has waited for about a millisecond goes
 * before those that come later. */
typedef struct thrum_shared_lock {
  uint64_t word; /* see docs/design/shared-sync.md */
} thrum_shared_lock;

/* Takes it. 0: held. -EOWNERDEAD: held, by us; see above. -ENOTRECOVERABLE: not held. The timed form also -ETIMEDOUT, -ECANCELED, the
 * try form -EAGAIN: it would have to wait. */
THRUM_API THRUM_MUST_CHECK int thrum_shared_lock_acquire(thrum_shared_lock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_lock_acquire_for(thrum_shared_lock *lock, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_shared_lock_try_acquire(thrum_shared_lock *lock);

/* 0; -EPERM: nobody holds it; -ENOTRECOVERABLE: it was held with -EOWNERDEAD and not recovered, and is useless now, or was before. */
THRUM_API int thrum_shared_lock_release(thrum_shared_lock *lock);

/* What it guards is whole again. 0; -EPERM: it is not held with -EOWNERDEAD. */
THRUM_API int thrum_shared_lock_recover(thrum_shared_lock *lock);

/* The pid of the process that holds it at this moment, as that process knows itself; 0: none that lives does. */
THRUM_API pid_t thrum_shared_lock_holder(thrum_shared_lock *lock);

/* ---- Recursive locks ------------------------------------------------------------------------------------------------------ */

/* An rlock is held by one thread of one process, which may take it again, and releases it as often. */
typedef struct thrum_shared_rlock {
  thrum_shared_lock lock;
  uint64_t thread;
  uint32_t depth, owner;
} thrum_shared_rlock;

/* As for a lock; -EOWNERDEAD from the outermost acquire only. -EOVERFLOW: taken 2^32 - 1 times. */
THRUM_API THRUM_MUST_CHECK int thrum_shared_rlock_acquire(thrum_shared_rlock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rlock_acquire_for(thrum_shared_rlock *lock,
                                                              thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rlock_try_acquire(thrum_shared_rlock *lock);

/* 0; -EPERM: the calling thread does not hold it; -ENOTRECOVERABLE as above. */
THRUM_API int thrum_shared_rlock_release(thrum_shared_rlock *lock);
THRUM_API int thrum_shared_rlock_recover(thrum_shared_rlock *lock);

/* ---- Conditions ----------------------------------------------------------------------------------------------------------- */

/* As thrum_cond, between processes. A notify lets go threads that wait at that moment, and no others: a wait that begins later does not
 * take it from them, since it begins only when those who were notified before have left. So the loop around a wait is needed
 * where a third thread may take the lock first, and for one thing more: when a process died that waited, or one that was notified has not run
 * for a tenth of a second, waits may end by themselves. */
typedef struct thrum_shared_cond {
  uint64_t word;
} thrum_shared_cond;

/* Releases the lock and waits, in one step; returns holding it. 0: notified. -EPERM: the caller does not hold it (a lock counts as held by
 * whatever thread of the process that took it). -EOWNERDEAD, -ENOTRECOVERABLE: as the lock's acquire says, on coming back. -EAGAIN: 65,535
 * threads wait already. The timed form also -ETIMEDOUT, -ECANCELED: not notified, and the lock is held; taking it again may last longer
 * than the timeout. An rlock is released however often it was taken, and taken again as often. */
THRUM_API int thrum_shared_cond_wait(thrum_shared_cond *cond, thrum_shared_lock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_cond_wait_for(thrum_shared_cond *cond, thrum_shared_lock *lock,
                                                          thrum_duration timeout);
THRUM_API int thrum_shared_cond_wait_rlock(thrum_shared_cond *cond, thrum_shared_rlock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_cond_wait_rlock_for(thrum_shared_cond *cond,
                                                                thrum_shared_rlock *lock,
                                                                thrum_duration timeout);

/* Notifies n threads that wait, or as many as there are. How many. The caller need not hold the lock, but must have held it when it changed
 * what the others wait for. */
THRUM_API int thrum_shared_cond_notify(thrum_shared_cond *cond, int n);
THRUM_API int thrum_shared_cond_notify_all(thrum_shared_cond *cond);

/* ---- Semaphores ----------------------------------------------------------------------------------------------------------- */

/* All-zero: no units, no limit. Units belong to nobody: those that a dead process had taken are gone. */
typedef struct thrum_shared_sem {
  uint64_t word;
  uint32_t limit; /* 0: none */
  uint32_t reserved;
} thrum_shared_sem;

#define THRUM_SHARED_SEM_MAX INT32_MAX

/* Before anybody uses it: n units, and at most `limit` ever (0: THRUM_SHARED_SEM_MAX). -EINVAL: not 0 <= n <= limit. */
THRUM_API int thrum_shared_sem_init(thrum_shared_sem *sem, int n, int limit);

/* Takes a unit. 0; the timed form also -ETIMEDOUT, -ECANCELED, the try form -EAGAIN. */
THRUM_API void thrum_shared_sem_acquire(thrum_shared_sem *sem);
THRUM_API THRUM_MUST_CHECK int thrum_shared_sem_acquire_for(thrum_shared_sem *sem, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_shared_sem_try_acquire(thrum_shared_sem *sem);

/* Gives n units. 0; -EINVAL: n < 1; -EOVERFLOW: more than the limit would be there: none was given. */
THRUM_API int thrum_shared_sem_release(thrum_shared_sem *sem, int n);
THRUM_API int thrum_shared_sem_value(const thrum_shared_sem *sem);

/* ---- Events --------------------------------------------------------------------------------------------------------------- */

/* All-zero: clear. A thread that waits when it is set returns, even if it is cleared before the thread runs. */
typedef struct thrum_shared_event {
  uint32_t word;
} thrum_shared_event;

THRUM_API void thrum_shared_event_set(thrum_shared_event *event);
THRUM_API void thrum_shared_event_clear(thrum_shared_event *event);
THRUM_API bool thrum_shared_event_is_set(const thrum_shared_event *event);
THRUM_API void thrum_shared_event_wait(thrum_shared_event *event);
/* 0, -ETIMEDOUT or -ECANCELED. */
THRUM_API THRUM_MUST_CHECK int thrum_shared_event_wait_for(thrum_shared_event *event, thrum_duration timeout);

/* ---- Barriers ------------------------------------------------------------------------------------------------------------- */

/* n threads wait for each other and go on together; see thrum_barrier. Not valid when all-zero. A process that dies before it has come is
 * not missed by the barrier: who must not wait for it for ever waits with a timeout, which breaks the barrier. */
typedef struct thrum_shared_barrier {
  uint64_t word;
  uint32_t parties, reserved;
} thrum_shared_barrier;

/* Before anybody uses it. -EINVAL: not 1 <= n <= 32,767. */
THRUM_API int thrum_shared_barrier_init(thrum_shared_barrier *barrier, int n);

/* The caller's number, 0 to n - 1 in the order of coming; -EPIPE: it is broken, or was reset; -EINVAL: not initialised. The timed form also
 * -ETIMEDOUT, -ECANCELED: the caller has broken it. */
THRUM_API int thrum_shared_barrier_wait(thrum_shared_barrier *barrier);
THRUM_API THRUM_MUST_CHECK int thrum_shared_barrier_wait_for(thrum_shared_barrier *barrier,
                                                             thrum_duration timeout);
THRUM_API void thrum_shared_barrier_abort(
    thrum_shared_barrier *barrier); /* breaks it: -EPIPE until a reset */
THRUM_API void thrum_shared_barrier_reset(thrum_shared_barrier *barrier); /* who waits gets -EPIPE; as new */
THRUM_API int thrum_shared_barrier_waiting(const thrum_shared_barrier *barrier);
THRUM_API bool thrum_shared_barrier_broken(const thrum_shared_barrier *barrier);

/* ---- Readers-writer locks --------------------------------------------------------------------------------------------------- */

enum { THRUM_SHARED_READERS = 31 };

/* Many readers, or one writer. Reads are held by a process, up to THRUM_SHARED_READERS processes at a time (further ones wait). Who waits to
 * write keeps new readers out: who reads must not begin to read once more. A reader's death gives its reads back. A writer's
 * death gives the next one, reader or writer, -EOWNERDEAD: it holds the lock *for writing* then, repairs, recovers, and releases it by
 * release_write. */
typedef struct thrum_shared_rwlock {
  thrum_shared_lock writer;
  uint64_t readers[THRUM_SHARED_READERS];
} thrum_shared_rwlock;

/* 0, -EOWNERDEAD, -ENOTRECOVERABLE; -ETIMEDOUT, -ECANCELED; -EAGAIN as above. (With -EOWNERDEAD a timed form and a try may take longer,
 * until those who read have gone.) */
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_acquire_read(thrum_shared_rwlock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_acquire_read_for(thrum_shared_rwlock *lock,
                                                                    thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_try_acquire_read(thrum_shared_rwlock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_acquire_write(thrum_shared_rwlock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_acquire_write_for(thrum_shared_rwlock *lock,
                                                                     thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_shared_rwlock_try_acquire_write(thrum_shared_rwlock *lock);

/* 0; -EPERM: the process holds none; release_write also -ENOTRECOVERABLE, as the lock's. */
THRUM_API int thrum_shared_rwlock_release_read(thrum_shared_rwlock *lock);
THRUM_API int thrum_shared_rwlock_release_write(thrum_shared_rwlock *lock);
THRUM_API int thrum_shared_rwlock_recover(thrum_shared_rwlock *lock);

#ifdef __cplusplus
}
#endif
#endif
