/* Run queues: doubly linked through the records, so that a thread can be taken out of the middle.
 * Unsynchronised: of a worker's by who may touch its private part, of the global ones under sched.lock. */
#ifndef THRUMI_QUEUE_H
#define THRUMI_QUEUE_H

#include <sched/sched.h>

static inline void thrumi_queue_append(struct thrumi_queues *qs, struct thrumi_thread *t,
                                       enum thrumi_class c) {
  struct thrumi_queue *q = &qs->of[c];
  t->next = NULL;
  t->place = qs->appended++;
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

#endif
