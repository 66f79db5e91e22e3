/* One thread waits for several futures: as one of them after the other is told or finished, its collector hears of it. */
#ifndef THRUMI_COLLECT_H
#define THRUMI_COLLECT_H

#include <future/future.h>

struct thrumi_collector;

struct thrumi_seat {
  struct thrumi_observer observer; /* first */
  struct thrumi_collector *collector;
  thrum_future *future;
  struct thrumi_seat *next; /* among those done that have not been taken */
  size_t index;
};

/* Fields are under the lock, which is taken inside only, under a bucket's; `thread` and `ticket` while `waits`. */
struct thrumi_collector {
  struct thrumi_spin lock;
  uint32_t forks; /* thrumi_forks when it was last touched */
  bool waits;
  bool failed;        /* one of them has */
  bool until_failure; /* a failure is what is waited for as well */
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  size_t done, taken, needed; /* so many are done; handed out; let the thread go when so many are done */
  struct thrumi_seat *first, **end; /* done, not taken */
  size_t n;                         /* seats: one for each different future */
  struct thrumi_seat *seats;
};

/* 0, -ENOMEM. Observes all, each once. The futures must stay until thrumi_collector_end, or until taken. */
int thrumi_collector_start(struct thrumi_collector *c, thrum_future *const *futures, size_t n);
void thrumi_collector_end(struct thrumi_collector *c);

/* One with n seats that nobody has. 0, -ENOMEM. */
int thrumi_collector_open(struct thrumi_collector *c, size_t n);

/* Gives a seat that nobody has, or that was taken, to a future, which it observes. */
void thrumi_collector_seat(struct thrumi_collector *c, size_t index, thrum_future *f);

/* Behind a wait for one more than have been taken: the index of the one that is done, and now taken. */
size_t thrumi_collector_take(struct thrumi_collector *c);

/* Waits until `needed` are done, or, with until_failure, one has failed. 0, -ETIMEDOUT, -ECANCELED, or what lending a
 * place says. */
int thrumi_collector_wait(struct thrumi_collector *c, size_t needed, bool until_failure, int64_t deadline);

#endif
