/* The workloads of locks and the like with POSIX threads. An event is what POSIX has for it: a mutex, a flag and a
 * condition. */
#define _GNU_SOURCE
#include "posix.h"

#include <semaphore.h>

typedef pthread_mutex_t lock;
static inline void lock_acquire(lock *l) { pthread_mutex_lock(l); }
static inline void lock_release(lock *l) { pthread_mutex_unlock(l); }

#define HAS_RWLOCK
typedef pthread_rwlock_t rwlock;
static inline void read_acquire(rwlock *l) { pthread_rwlock_rdlock(l); }
static inline void read_release(rwlock *l) { pthread_rwlock_unlock(l); }
static inline void write_acquire(rwlock *l) { pthread_rwlock_wrlock(l); }
static inline void write_release(rwlock *l) { pthread_rwlock_unlock(l); }

#define HAS_COND
typedef pthread_cond_t cond;
static inline void cond_wait(cond *c, lock *l) { pthread_cond_wait(c, l); }
static inline void cond_notify(cond *c) { pthread_cond_signal(c); }

#define HAS_SEM
typedef sem_t sem;
static inline void sem_begin(sem *s, int value) { bench_check(sem_init(s, 0, (unsigned)value), "sem_init"); }
static inline void sem_take(sem *s) {
  while (sem_wait(s)) {
  }
}
static inline void sem_give(sem *s) { sem_post(s); }

#define HAS_BARRIER
typedef pthread_barrier_t barrier;
static inline void barrier_begin(barrier *b, int n) {
  bench_check(pthread_barrier_init(b, NULL, (unsigned)n), "barrier");
}
static inline void barrier_meet(barrier *b) { pthread_barrier_wait(b); }

#define HAS_EVENT
typedef struct event {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  int set;
} event;
static inline void event_begin(event *e) { e->set = 0; }
static inline void event_await(event *e) {
  pthread_mutex_lock(&e->mutex);
  while (!e->set) pthread_cond_wait(&e->cond, &e->mutex);
  pthread_mutex_unlock(&e->mutex);
}
static inline void event_fire(event *e) {
  pthread_mutex_lock(&e->mutex);
  e->set = 1;
  pthread_cond_broadcast(&e->cond);
  pthread_mutex_unlock(&e->mutex);
}

#include "sync.h"
