/* Locks and the rest of sync.h. */
#include "light.h"

typedef thrum_lock lock;
static inline void lock_acquire(lock *l) { thrum_lock_acquire(l); }
static inline void lock_release(lock *l) { thrum_lock_release(l); }

#define HAS_RWLOCK
typedef thrum_rwlock rwlock;
static inline void read_acquire(rwlock *l) { thrum_rwlock_acquire_read(l); }
static inline void read_release(rwlock *l) { thrum_rwlock_release_read(l); }
static inline void write_acquire(rwlock *l) { thrum_rwlock_acquire_write(l); }
static inline void write_release(rwlock *l) { thrum_rwlock_release_write(l); }

#define HAS_COND
typedef thrum_cond cond;
static inline void cond_wait(cond *c, lock *l) { thrum_cond_wait(c, l); }
static inline void cond_notify(cond *c) { thrum_cond_notify(c, 1); }

#define HAS_SEM
typedef thrum_sem sem;
static inline void sem_begin(sem *s, int value) { *s = (sem)THRUM_SEM_INIT(value); }
static inline void sem_take(sem *s) { thrum_sem_acquire(s); }
static inline void sem_give(sem *s) { thrum_sem_release(s, 1); }

#define HAS_BARRIER
typedef thrum_barrier barrier;
static inline void barrier_begin(barrier *b, int n) { *b = (barrier)THRUM_BARRIER_INIT(n); }
static inline void barrier_meet(barrier *b) { bench_check(thrum_barrier_wait(b) < 0, "thrum_barrier_wait"); }

#define HAS_EVENT
typedef thrum_event event;
static inline void event_begin(event *e) { thrum_event_clear(e); }
static inline void event_await(event *e) { thrum_event_wait(e); }
static inline void event_fire(event *e) { thrum_event_set(e); }

#include "sync.h"
