/* The lock of a channel, and the offers of those who wait at it: see channel.h. */
#include <queue/channel.h>

/* ---- The lock --------------------------------------------------------------------------------------- */

enum { CONTEND_ROUNDS = 6, CONTEND_PAUSES = 8 };

/* Looks seldom, and more and more so: each look takes the cache line from the holder, who may do many operations in a row
 * while it keeps it. In the end it sleeps as others do. */
__attribute__((noinline)) void thrumi_channel_contend(struct thrumi_channel *c) {
  for (int n = 0; n < CONTEND_ROUNDS; n++) {
    for (int i = CONTEND_PAUSES << n; i; i--) thrumi_pause();
    if (thrumi_load_relaxed(&c->lock.word) == THRUMI_SPIN_FREE && thrumi_spin_try_lock(&c->lock)) return;
  }
  thrumi_spin_lock(&c->lock);
}

/* In the child of a fork nobody waits, and who held the lock is not there. */
void thrumi_channel_mend(struct thrumi_channel *c) {
  uint32_t seen = thrumi_load(&c->forks);
  while (seen != thrumi_forks) {
    if (seen == (uint32_t)THRUMI_MENDING) {
      thrumi_pause();
      seen = thrumi_load(&c->forks);
    } else if (thrumi_cas(&c->forks, &seen, (uint32_t)THRUMI_MENDING)) {
      c->putters = c->getters = c->joiners = (struct thrumi_offers){NULL, NULL};
      c->boxes = NULL;
      c->box_count = 0;
      c->gate = (thrum_lock){0};
      c->lock = (struct thrumi_spin){0};
      thrumi_store(&c->forks, thrumi_forks);
      return;
    }
  }
}

/* ---- Offers ----------------------------------------------------------------------------------------- */

void thrumi_offer_append(struct thrumi_offers *list, struct thrumi_offer *o) {
  o->queued = true;
  o->next = NULL;
  o->prev = list->last;
  *(list->last ? &list->last->next : &list->first) = o;
  list->last = o;
}

void thrumi_offer_remove(struct thrumi_offers *list, struct thrumi_offer *o) {
  if (!o->queued) return;
  o->queued = false;
  *(o->prev ? &o->prev->next : &list->first) = o->next;
  *(o->next ? &o->next->prev : &list->last) = o->prev;
}

struct thrumi_offer *thrumi_offer_claim(struct thrumi_offers *list, struct thrumi_wakes *wakes) {
  for (struct thrumi_offer *o; (o = list->first);) {
    const struct thrumi_selection *s = o->selection;
    bool parked;
    thrumi_offer_remove(list, o);
    if (!thrumi_claim(s->thread, s->ticket, THRUMI_WOKEN, &parked)) continue;
    if (!parked) return o;
    o->next = NULL;
    *(wakes->first ? wakes->end : &wakes->first) = o;
    wakes->end = &o->next;
    return o;
  }
  return NULL;
}

/* The last touch of the offer, but for a parked one in `wakes`. */
void thrumi_offer_settle(struct thrumi_offer *o, int status) {
  struct thrumi_selection *s = o->selection;
  s->fired = o->index;
  s->status = status;
  thrumi_store(&s->settled, 1);
}

void thrumi_offers_settle_all(struct thrumi_offers *list, int status, struct thrumi_wakes *wakes) {
  for (struct thrumi_offer *o; (o = thrumi_offer_claim(list, wakes));) thrumi_offer_settle(o, status);
}

void thrumi_wakes_run(struct thrumi_wakes *wakes) {
  for (struct thrumi_offer *o = wakes->first, *next; o; o = next) {
    next = o->next;
    (wakes->in_line ? thrumi_make_ready_in_line
                    : thrumi_make_ready)(o->selection->thread); /* *o is gone then */
  }
}
