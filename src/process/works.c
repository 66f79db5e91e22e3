/* Lists of works: what is queued, and what a process has. Under the pool's lock. */
#include <process/pool.h>

void thrumi_works_append(struct thrumi_works *list, struct thrumi_work *work) {
  work->next = NULL;
  if ((work->prev = list->last))
    list->last->next = work;
  else
    list->first = work;
  list->last = work;
  list->count++;
}

static void prepend(struct thrumi_works *list, struct thrumi_work *work) {
  work->prev = NULL;
  if ((work->next = list->first))
    list->first->prev = work;
  else
    list->last = work;
  list->first = work;
  list->count++;
}

void thrumi_works_remove(struct thrumi_works *list, struct thrumi_work *work) {
  if (work->next)
    work->next->prev = work->prev;
  else
    list->last = work->prev;
  if (work->prev)
    work->prev->next = work->next;
  else
    list->first = work->next;
  list->count--;
}

void thrumi_works_move(struct thrumi_works *to, struct thrumi_works *from) {
  for (struct thrumi_work *work; (work = from->first);) {
    thrumi_works_remove(from, work);
    thrumi_works_append(to, work);
  }
}

/* ---- The queue -------------------------------------------------------------------------------------------------- */

static void unqueue(struct thrumi_process_pool *p, struct thrumi_work *work) {
  thrumi_works_remove(&p->queue, work);
  work->queued = false;
}

/* Who holds its pin from here on: whoever claimed it, or its canceller. */
struct thrumi_work *thrumi_processes_pop(struct thrumi_process_pool *p) {
  for (struct thrumi_work *work; (work = p->queue.first);) {
    unqueue(p, work);
    if (!thrumi_future_begin(&work->future)) continue;
    p->pins--; /* its attendant has one */
    return work;
  }
  return NULL;
}

/* It is in the queue before it can be cancelled: the canceller takes the lock. */
void thrumi_processes_put_back(struct thrumi_process_pool *p, struct thrumi_work *work) {
  prepend(&p->queue, work);
  work->queued = true;
  work->place = NULL;
  p->pins++;
  thrumi_future_take_back(&work->future);
}

struct thrumi_works thrumi_processes_take_queue(struct thrumi_process_pool *p,
                                                bool (*claim)(thrum_future *f)) {
  struct thrumi_works mine = {0};
  for (struct thrumi_work *work; (work = p->queue.first);) {
    unqueue(p, work);
    if (claim(&work->future)) thrumi_works_append(&mine, work);
  }
  return mine;
}

/* ---- Taking back ------------------------------------------------------------------------------------------------- */

/* A process that has died leaves errands that were waiting, too. From the last one on, so that the order stays. */
uint32_t thrumi_processes_take_back(struct thrumi_attendant *a, bool all) {
  struct thrumi_works *list = &a->outstanding;
  uint32_t wanted = all ? list->count : list->count / 2, taken = 0;
  struct thrumi_work *work = list->last;
  for (struct thrumi_work *before; work && taken < wanted; work = before) {
    struct thrumi_errand *errand = work->place;
    uint32_t waiting = THRUMI_RECORD_WAITING;
    before = work->prev;
    if (!thrumi_cas(&errand->record.state, &waiting, (uint32_t)THRUMI_RECORD_REVOKED)) continue;
    thrumi_works_remove(list, work);
    thrumi_processes_put_back(a->pool, work);
    taken++;
  }
  a->sent -= taken;
  return taken;
}

struct thrumi_works thrumi_processes_drop(struct thrumi_process_pool *p) {
  for (struct thrumi_attendant *a = p->attendants; a; a = a->next) {
    thrumi_processes_take_back(a, true);
    if (!a->outstanding.count && a->state == THRUMI_ATTENDANT_BUSY) thrum_event_set(&a->wake);
  }
  return thrumi_processes_take_queue(p, thrumi_future_drop);
}
