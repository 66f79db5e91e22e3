/* The workloads of locks with nsync. It has no semaphore and no barrier; an event is a note. */
#define _GNU_SOURCE
#include "posix.h"

#include <nsync.h>

typedef nsync_mu lock;
static inline void lock_acquire(lock *l) { nsync_mu_lock(l); }
static inline void lock_release(lock *l) { nsync_mu_unlock(l); }

#define HAS_RWLOCK
typedef nsync_mu rwlock;
static inline void read_acquire(rwlock *l) { nsync_mu_rlock(l); }
static inline void read_release(rwlock *l) { nsync_mu_runlock(l); }
static inline void write_acquire(rwlock *l) { nsync_mu_lock(l); }
static inline void write_release(rwlock *l) { nsync_mu_unlock(l); }

#define HAS_COND
typedef nsync_cv cond;
static inline void cond_wait(cond *c, lock *l) { nsync_cv_wait(c, l); }
static inline void cond_notify(cond *c) { nsync_cv_signal(c); }

#define HAS_EVENT
typedef nsync_note event;
static inline void event_begin(event *e) { *e = nsync_note_new(NULL, nsync_time_no_deadline); }
static inline void event_await(event *e) { nsync_note_wait(*e, nsync_time_no_deadline); }
static inline void event_fire(event *e) { nsync_note_notify(*e); }

#include "sync.h"

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"lock", sync_lock_run},
                                         {"lock-100ns", sync_lock_100ns_run},
                                         {"lock-10us", sync_lock_10us_run},
                                         {"rwlock", sync_rwlock_run},
                                         {"cond", sync_cond_run},
                                         {"event", sync_event_run},
                                         {NULL, NULL}};
  return bench_main(argc, argv, table, posix_setup);
}
