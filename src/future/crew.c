/* Helpers of a thread; see crew.h. */
#include "crew.h"

#include <sched/await.h>
#include <sched/part.h>
#include <sched/queue.h>
#include <sched/record.h>
#include <sched/self.h>
#include <sched/step.h>

static uint32_t called(uint64_t word) { return (uint16_t)(word / THRUMI_CREW_CALLED); }

static uint32_t inside(uint64_t word) { return (uint16_t)(word / THRUMI_CREW_INSIDE); }

/* A change of the word after which its maker does not touch the crew: nobody may. */
static void part(struct thrumi_crew *crew, uint64_t change) {
  thrumi_announce(crew);
  uint64_t word = thrumi_add(&crew->word, change) + change;
  if (!(word & THRUMI_CREW_LEFT) || called(word)) return;
  thrumi_rely_on(crew);
  thrumi_os.free(crew);
}

/* ---- Helpers ------------------------------------------------------------------------------------------ */

static bool enter(struct thrumi_crew *crew) {
  uint64_t seen = thrumi_load(&crew->word);
  do {
    if (seen & THRUMI_CREW_CLOSED) {
      part(crew, -THRUMI_CREW_CALLED);
      return false;
    }
  } while (!thrumi_cas(&crew->word, &seen, seen - THRUMI_CREW_CALLED + THRUMI_CREW_INSIDE));
  return true;
}

/* In the bucket, where the leader waits: goes, and as the last one closes the crew and lets it go. */
static void leave_waiting(struct thrumi_crew *crew) {
  thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(crew);
  uint64_t seen = thrumi_load(&crew->word), next;
  do {
    next = seen - THRUMI_CREW_INSIDE;
    if (seen & THRUMI_CREW_WAITING && inside(next) == 0) next |= THRUMI_CREW_CLOSED;
  } while (!thrumi_cas(&crew->word, &seen, next));
  struct thrumi_waiter *leader = next & THRUMI_CREW_CLOSED ? thrumi_bucket_first(bucket, crew) : NULL;
  if (leader) thrumi_let_go(bucket, leader, 0);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(thrumi_self());
}

static void leave(struct thrumi_crew *crew) {
  thrumi_announce(crew);
  uint64_t seen = thrumi_load(&crew->word);
  while (!(seen & THRUMI_CREW_WAITING && inside(seen) == 1))
    if (thrumi_cas(&crew->word, &seen, seen - THRUMI_CREW_INSIDE)) return;
  leave_waiting(crew);
}

static intptr_t parallel_helper(void *arg) {
  struct thrumi_crew *crew = arg;
  if (enter(crew)) {
    struct thrumi_thread *me = thrumi_me();
    me->in_loop = true;
    crew->help(crew->job);
    me->in_loop = false;
    leave(crew);
  }
  return 0;
}

/* ---- Calling them --------------------------------------------------------------------------------------- */

/* How many may help: as many as there are workers that the leader does not hold itself. */
uint32_t thrumi_crew_limit(const struct thrumi_kthread *k, uint32_t places) {
  uint32_t others = thrumi_load_relaxed(&thrumi_sched.workers) - (k->worker ? 1 : 0);
  return others < places ? others : places;
}

static bool reserve(struct thrumi_crew *crew, uint32_t limit) {
  uint64_t seen = thrumi_load(&crew->word);
  do {
    uint32_t coming = called(seen), there = inside(seen);
    if (coming > there || coming + there >= limit) return false;
  } while (!thrumi_cas(&crew->word, &seen, seen + THRUMI_CREW_CALLED));
  return true;
}

/* With a stack from the beginning, so that a thread which was called does begin. NULL: no memory. */
static struct thrumi_thread *make_helper(struct thrumi_kthread *k, struct thrumi_crew *crew) {
  struct thrumi_stack_cache *cache = k->worker ? &k->worker->stacks : NULL;
  struct thrumi_stack stack;
  if (thrumi_take_stack(k->worker, 0, &stack) != 0) return NULL;
  struct thrumi_thread *t = thrumi_spawn_called(parallel_helper, crew), *me = k->current;
  if (!t) {
    thrumi_stack_give(cache, &stack);
    return NULL;
  }
  t->stack = stack;
  t->stack_bits = 0;
  t->daemon = me->kind != THRUMI_FOREIGN && me->daemon;
  thrumi_announce(t);
  return t;
}

/* Straight to the global queue, and a worker is woken: it is known to be worth it. */
static void hand_out(struct thrumi_thread *t) {
  thrumi_push_global(t, THRUMI_CLASS_NEW);
  thrumi_ring(NULL);
}

/* As thrum_spawn does, which wakes a worker only where that has proved to be worth it. */
static void put_out(struct thrumi_kthread *k, struct thrumi_crew *crew, struct thrumi_thread *t) {
  crew->offered = thrumi_handle(t);
  thrumi_queue_append(&k->worker->queues, t, THRUMI_CLASS_NEW);
  thrumi_ring_for_new(k->worker);
}

/* Inside. `offer`: the caller is the leader, and has not begun. */
static void bring(struct thrumi_kthread *k, struct thrumi_crew *crew, bool offer) {
  if (!reserve(crew, thrumi_crew_limit(k, crew->places))) return;
  struct thrumi_thread *t = make_helper(k, crew);
  if (!t)
    thrumi_add(&crew->word, -THRUMI_CREW_CALLED); /* the leader is there, so it is not the last */
  else if (offer && k->worker)
    put_out(k, crew, t);
  else
    hand_out(t);
}

/* Inside: the helper that was offered goes if it still lies on this worker's queue. Elsewhere it will soon begin. */
static void take_back(struct thrumi_kthread *k, struct thrumi_crew *crew) {
  if (!crew->offered.value) return;
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(crew->offered, &life);
  struct thrumi_worker *w = k->worker;
  crew->offered = (thrum_thread){0};
  if (!t || !w || thrumi_load_relaxed(&t->queue) != &w->queues.of[THRUMI_CLASS_NEW]) return;
  thrumi_queue_remove(&w->queues, &w->queues.of[THRUMI_CLASS_NEW], t);
  thrumi_step(END, end, t, 0, 0);
  thrumi_set_state(t, THRUMI_ENDED);
  thrumi_stack_give(&w->stacks, &t->stack);
  t->stack.low = NULL;
  t->result = 0;
  thrumi_thread_drop(t);
  thrumi_add(&crew->word, -THRUMI_CREW_CALLED);
}

void thrumi_crew_offer(struct thrumi_crew *crew) {
  struct thrumi_kthread *k = thrumi_enter();
  bring(k, crew, true);
  thrumi_leave(k);
}

void thrumi_crew_call(struct thrumi_crew *crew, bool leader) {
  if (!(thrumi_load_relaxed(&thrumi_sched.bell) & (THRUMI_BELL_MONITOR - 1))) return; /* nobody is idle */
  thrumi_enter();
  if (leader) take_back(thrumi_self(), crew);
  bring(thrumi_self(), crew, false);
  thrumi_leave(thrumi_self());
}

/* ---- The leader -------------------------------------------------------------------------------------------- */

/* True: nobody is inside, and it is closed. Else the leader is said to wait, which is for the bucket only. */
static bool try_close(struct thrumi_crew *crew, uint64_t otherwise) {
  uint64_t seen = thrumi_load(&crew->word), next;
  do {
    if (seen & THRUMI_CREW_CLOSED) return true;
    next = inside(seen) ? seen | otherwise : (seen & ~THRUMI_CREW_WAITING) | THRUMI_CREW_CLOSED;
  } while (next != seen && !thrumi_cas(&crew->word, &seen, next));
  return next & THRUMI_CREW_CLOSED;
}

static void await_last(struct thrumi_crew *crew) {
  thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(crew);
  struct thrumi_waiter waiter;
  if (try_close(crew, THRUMI_CREW_WAITING))
    thrumi_bucket_unlock(bucket);
  else
    thrumi_await(bucket, &waiter, crew, "the last pieces of a parallel loop, crew", crew, INT64_MAX, 0);
  thrumi_leave(thrumi_self());
}

void thrumi_crew_wait(struct thrumi_crew *crew) {
  thrumi_enter();
  take_back(thrumi_self(), crew);
  thrumi_leave(thrumi_self());
  if (!try_close(crew, 0)) await_last(crew);
  thrumi_rely_on(crew);
}

void thrumi_crew_dismiss(struct thrumi_crew *crew) { part(crew, THRUMI_CREW_LEFT); }
