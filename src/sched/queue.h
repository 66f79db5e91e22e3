/* Run queues: doubly linked through the records, so that a thread can be taken out of the middle.
 * Unsynchronised: of a worker's by who may touch its private part, of the global ones under sched.lock. */
#ifndef THRUMI_QUEUE_H
#define THRUMI_QUEUE_H

#include <sched/sched.h>

enum { THRUMI_FAIR_TURNS = 32 }; /* slices between two rotations of the classes */

static inline uint32_t thrumi_queue_count_append(struct thrumi_queues *qs) {
  uint32_t appended = thrumi_load_relaxed(&qs->appended);
  thrumi_store_relaxed(&qs->appended, appended + 1);
  return appended;
}

static inline void thrumi_queue_append(struct thrumi_queues *qs, struct thrumi_thread *t,
                                       enum thrumi_class c) {
  struct thrumi_queue *q = &qs->of[c];
  t->next = NULL;
  t->place = thrumi_queue_count_append(qs);
  t->prev = q->tail;
  *(q->tail ? &q->tail->next : &q->head) = t;
  q->tail = t;
  thrumi_store_relaxed(&t->queue, q);
  thrumi_store_relaxed(&qs->count, thrumi_load_relaxed(&qs->count) + 1);
}

static inline void thrumi_queue_remove(struct thrumi_queues *qs, struct thrumi_queue *q,
                                       struct thrumi_thread *t) {
  *(t->prev ? &t->prev->next : &q->head) = t->next;
  *(t->next ? &t->next->prev : &q->tail) = t->prev;
  thrumi_store_relaxed(&t->queue, NULL);
  thrumi_store_relaxed(&qs->count, thrumi_load_relaxed(&qs->count) - 1);
}

static inline struct thrumi_thread *thrumi_queue_pop(struct thrumi_queues *qs, enum thrumi_class c) {
  struct thrumi_queue *q = &qs->of[c];
  struct thrumi_thread *t = q->head;
  if (t) thrumi_queue_remove(qs, q, t);
  return t;
}

/* Whether the worker's next pick is a plain one: nobody was woken or waits globally, no hog waits, nothing was asked
 * of it, it is not the turn of fairness, and nobody listens to what is pushed. */
static inline bool thrumi_is_plain(const struct thrumi_worker *w) {
  uint32_t wanted = thrumi_load_relaxed(&thrumi_sched.bell) |
                    thrumi_load_relaxed(&thrumi_sched.global.count) |
                    thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count) | thrumi_load_relaxed(&w->nudge) |
                    __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED);
  if (thrumi_unlikely(wanted)) return false;
  uintptr_t woken =
      (uintptr_t)thrumi_load_relaxed(&w->next) | (uintptr_t)w->queues.of[THRUMI_CLASS_WOKEN].head;
  if (thrumi_unlikely(woken)) return false;
  return thrumi_likely(thrumi_load_relaxed(&w->turn) % THRUMI_FAIR_TURNS != THRUMI_FAIR_TURNS - 1);
}

/* For who yields: t goes to the end of the queue of class READY and its first thread comes off, in one step. False, and
 * nothing is changed, where that one is not the first in line: see READY and NEW in pick.c. `queue` stays NULL: nobody
 * looks there for threads that have run. */
static inline bool thrumi_queue_rotate(struct thrumi_queues *qs, struct thrumi_thread *t) {
  struct thrumi_queue *q = &qs->of[THRUMI_CLASS_READY];
  struct thrumi_thread *first = q->head, *new = qs->of[THRUMI_CLASS_NEW].head, *last = q->tail;
  if (new && (int32_t)(first->place - new->place) >= 0) return false;
  t->next = NULL;
  t->place = thrumi_queue_count_append(qs);
  t->prev = last;
  last->next = t; /* which may be the first one */
  q->tail = t;
  q->head = first->next;
  first->next->prev = NULL;
  return true;
}

#endif
