/* What threads do with locks and the like: the workloads, written once for every library that has them. An includer
 * defines, as static inline functions, what the part below names, then includes this. */
#ifndef BENCH_SYNC_H
#define BENCH_SYNC_H

#include "bench.h"
#include "crew.h"
#include "sync_runs.h"

/* Of every includer:
 *   what crew.h wants
 *   lock, lock_acquire, lock_release
 * With HAS_RWLOCK:  rwlock, read_acquire, read_release, write_acquire, write_release
 * With HAS_COND:    cond, cond_wait(cond *, lock *), cond_notify(cond *)
 * With HAS_SEM:     sem, sem_begin(sem *, int value), sem_take, sem_give
 * With HAS_BARRIER: barrier, barrier_begin(barrier *, int n), barrier_meet
 * With HAS_EVENT:   event, event_begin, event_await, event_fire */

/* n threads do the same for as long as the budget lasts; prints the nanoseconds of one time. */
static inline void crew_measure(const char *metric, long n, uint64_t steps, void (*loop)(member *)) {
  crew all = {n, 0, 0, 0, 0, steps, 0, 0};
  member *members = crew_start(&all, loop);
  crew_work(&all);
  long done = crew_end(&all, members);
  bench_print(metric, (double)(all.ended - all.begun) / (double)done, "ns");
}

/* ---- lock: n threads take one lock again and again ----------------------------------------------------- */

static lock the_lock;

static inline void lock_loop(member *m) {
  long done = 0;
  while (!crew_stops(m->all)) {
    for (int i = 0; i < 16; i++) {
      lock_acquire(&the_lock);
      if (m->all->steps) m->work += bench_work(m->all->steps);
      lock_release(&the_lock);
    }
    done += 16;
  }
  m->done = done;
}

void sync_lock_run(long n) { crew_measure("lock", n, 0, lock_loop); }
void sync_lock_100ns_run(long n) { crew_measure("lock-100ns", n, bench_work_steps(100), lock_loop); }
void sync_lock_10us_run(long n) { crew_measure("lock-10us", n, bench_work_steps(10000), lock_loop); }

/* ---- rwlock: n threads read, and write every thousandth time ------------------------------------------- */

#ifdef HAS_RWLOCK
static rwlock the_rwlock;
static long shared_words[4];

static inline void rwlock_loop(member *m) {
  long done = 0, sum = 0;
  while (!crew_stops(m->all)) {
    for (int i = 0; i < 10; i++, done++) {
      if ((done + m->number * 100) % 1000 == 999) {
        write_acquire(&the_rwlock);
        for (int w = 0; w < 4; w++) shared_words[w]++;
        write_release(&the_rwlock);
      } else {
        read_acquire(&the_rwlock);
        for (int w = 0; w < 4; w++) sum += shared_words[w];
        read_release(&the_rwlock);
      }
    }
  }
  bench_check(sum < 0, "a sum of what only grows");
  m->done = done;
}

void sync_rwlock_run(long n) { crew_measure("rwlock", n, 0, rwlock_loop); }
#endif

/* ---- cond: two threads wake each other in turn --------------------------------------------------------- */

#ifdef HAS_COND
static cond turn_changed[2];
static int turn;

static inline void cond_loop(member *m) {
  int me = (int)m->number;
  lock_acquire(&the_lock);
  while (!crew_stops(m->all)) {
    while (turn != me && !crew_stops(m->all)) cond_wait(&turn_changed[me], &the_lock);
    turn = !me;
    m->done += me;
    cond_notify(&turn_changed[!me]);
  }
  lock_release(&the_lock);
}

/* A round trip is two turns. */
void sync_cond_run(long n) {
  (void)n;
  crew_measure("cond", 2, 0, cond_loop);
}
#endif

/* ---- sem: n threads, half as many places --------------------------------------------------------------- */

#ifdef HAS_SEM
static sem the_sem;

static inline void sem_loop(member *m) {
  long done = 0;
  while (!crew_stops(m->all)) {
    for (int i = 0; i < 16; i++) {
      sem_take(&the_sem);
      sem_give(&the_sem);
    }
    done += 16;
  }
  m->done = done;
}

void sync_sem_run(long n) {
  sem_begin(&the_sem, (int)(n + 1) / 2);
  crew_measure("sem", n, 0, sem_loop);
}
#endif

/* ---- barrier: n threads in step ------------------------------------------------------------------------ */

#ifdef HAS_BARRIER
static barrier the_barrier;
static long rounds;

static inline void barrier_loop(member *m) {
  for (long i = 0; i < rounds; i++) barrier_meet(&the_barrier);
  m->done = rounds;
}

static void barrier_rounds(long n, long count) {
  rounds = count;
  crew all = {n, 0, 0, 0, 0, 0, 0, 0};
  barrier_begin(&the_barrier, (int)n);
  member *members = crew_start(&all, barrier_loop);
  long done = crew_end(&all, members);
  if (count > 10) bench_print("barrier", (double)(all.ended - all.begun) / (double)done, "ns");
}

/* The nanoseconds of one thread in one round. */
void sync_barrier_run(long n) {
  barrier_rounds(n, 10);
  barrier_rounds(n, n < 100 ? 100000 / n : 200);
}
#endif

/* ---- event: n threads wait for one event; from setting it until the last one runs ----------------------- */

#ifdef HAS_EVENT
static event the_event;

static inline void event_loop(member *m) {
  event_await(&the_event);
  m->done = 1;
}

void sync_event_run(long n) {
  crew all = {n, 0, 0, 1, 0, 0, 0, 0}; /* nobody need wait for the others */
  event_begin(&the_event);
  member *members = crew_start(&all, event_loop);
  nap(200000000); /* all of them are asleep by then, or come later and find it set */
  all.begun = bench_now();
  event_fire(&the_event);
  crew_end(&all, members);
  bench_print("event", (double)(all.ended - all.begun) / (double)n, "ns");
}
#endif

#endif
