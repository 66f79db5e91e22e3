/* The attendant of a process: see pool.h for its states.
 *
 * It goes round: results are taken, errands are written, and then it waits for the one of three that comes first: the process has rung, or its
 * sentinel says that it is dead, or the executor has something for it. One thread does all that for one process, so rings have
 * one writer and one reader, a death cannot be noticed between a result and what follows from it, and nothing that one process does holds
 * up another. (One thread for all processes would have to look at each of them at each step; and a thread costs a stack.)
 *
 * A death. All results that the process has written count. What it had not begun is taken back into the queue, which does not count as a
 * try. What it had begun, one errand at most, is the victim: tried again, or failed.
 *
 * How much is sent ahead. A share of what is queued, so that others find something as well. Whoever runs out of work takes half of what
 * another process has not begun (steal), so nothing waits behind a task that takes long while somebody is idle. */
#include <process/pool.h>

#include <sched/part.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <thrum/scope.h>
#include <thrum/select.h>

enum {
  TRIES = 10, /* so often in a row a process may die before it has done anything, while nobody else does */
  PATIENCE = 1000 /* so many ms its attendant waits for descriptors while the executor is to end */
};

/* ---- No descriptor free --------------------------------------------------------------------------------------------- */

bool thrumi_attendant_waits(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  thrum_lock_acquire(&p->lock);
  bool ends = p->shut || thrumi_processes_end();
  thrum_lock_release(&p->lock);
  if (a->waited == PATIENCE) return false;
  a->waited += ends;
  thrumi_attendant_call_back(a);
  thrum_sleep(THRUM_MS(1));
  return true;
}

/* ---- Results ------------------------------------------------------------------------------------------------------- */

/* The work that the result is of; it is outstanding no more. NULL: there is none such. */
static struct thrumi_work *claim(struct thrumi_attendant *a, uint64_t number) {
  struct thrumi_process_pool *p = a->pool;
  thrum_lock_acquire(&p->lock);
  struct thrumi_work *work = a->outstanding.first;
  const struct thrumi_errand *errand = work ? work->place : NULL;
  if (errand && errand->number == number) {
    thrumi_works_remove(&a->outstanding, work);
    p->finished++;
    p->deaths = 0;
    if (!a->outstanding.count) thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  } else {
    work = NULL;
  }
  thrum_lock_release(&p->lock);
  return work;
}

/* One that counts as finished. */
static void fail(struct thrumi_process_pool *p, struct thrumi_work *work, int error, const char *why) {
  struct thrumi_works one = {0};
  thrumi_works_append(&one, work);
  thrumi_processes_fail(p, one, error, why); /* which leaves nothing to an attendant's caller */
}

/* The executor is broken: the failure goes to the hook, and what is queued fails. */
static void break_pool(struct thrumi_process_pool *p, int failure, const char *sentence, size_t size) {
  char *copy = thrumi_sentence_copy(sentence, size);
  thrum_lock_acquire(&p->lock);
  p->broken = true;
  struct thrumi_works forsaken = thrumi_processes_take_queue(p, thrumi_future_begin);
  p->finished += forsaken.count;
  p->pins -= forsaken.count; /* the caller has one */
  thrumi_processes_wake_all(p);
  thrum_lock_release(&p->lock);
  thrumi_tell_uncaught(thrumi_me(), failure, copy);
  if (copy) thrumi_os.free(copy);
  thrumi_processes_fail(p, forsaken, -EPIPE, "is broken: its initializer failed");
}

static bool initialized(struct thrumi_attendant *a, const struct thrumi_result *result, const char *data) {
  struct thrumi_result_item item;
  if (!a->initializing) return false;
  a->initializing =
      false; /* no result counts for that: who dies before his first errand, again and again, has done nothing */
  if (result->error) {
    break_pool(a->pool, thrumi_failure(result->error), data, result->size);
    return true;
  }
  if (result->size < sizeof item) return false;
  memcpy(&item, data, sizeof item);
  if (item.bytes_size > result->size || item.sentence_size > result->size - sizeof item - item.bytes_size)
    return false;
  if (thrum_failed(item.value))
    break_pool(a->pool, item.value, data + sizeof item + item.bytes_size, item.sentence_size);
  return true;
}

/* False: no process of ours says that. */
static bool take(struct thrumi_attendant *a, const struct thrumi_result *result, const char *data) {
  if (!result->number) return initialized(a, result, data);
  struct thrumi_work *work = claim(a, result->number);
  if (!work) return false;
  a->delivered++;
  if (thrumi_processes_unpack(a->pool, work, result, data)) return true;
  fail(a->pool, work, -EPROTO, "got a result that cannot be");
  return false;
}

static void fail_lost(struct thrumi_attendant *a, const struct thrumi_result *result, int error) {
  struct thrumi_work *work = claim(a, result->number);
  if (work) fail(a->pool, work, error, "cannot receive the result");
  a->post.broken |= !work;
}

/* What was worked out is not given up because others have all descriptors just now; unless the executor is to end, and nobody gives any back. */
static int fetch_parcel(struct thrumi_attendant *a) {
  int fd;
  while ((fd = thrumi_post_take_parcel(&a->post)) == -EMFILE && !a->post.broken) {
    if (thrumi_attendant_waits(a)) continue;
    a->post.broken = true; /* it lies in the way of all that come behind it */
    a->fault = ", since there was no descriptor for a result of it";
  }
  return fd;
}

static void take_parcel(struct thrumi_attendant *a, const struct thrumi_result *result) {
  int fd = fetch_parcel(a);
  struct thrumi_bytes bytes = {0};
  if (fd >= 0) bytes = thrumi_parcel_map(fd, result->size);
  if (!bytes.data)
    fail_lost(a, result, fd < 0 ? fd : -ENOMEM);
  else if (!take(a, result, bytes.data))
    a->post.broken = true;
  thrumi_bytes_free(&bytes);
}

/* All that have come. The head is copied: a process that has gone wild may change it under us. */
static void deliver(struct thrumi_attendant *a) {
  for (struct thrumi_record *record; (record = thrumi_post_next(&a->post));) {
    struct thrumi_result result;
    uint32_t room = a->post.current;
    bool sound = record->kind == THRUMI_RESULT && room >= sizeof result;
    if (sound) {
      memcpy(&result, record, sizeof result);
      if (result.record.flags & THRUMI_RECORD_PARCEL)
        take_parcel(a, &result);
      else
        sound = result.size <= room - sizeof result && take(a, &result, (const char *)record + sizeof result);
    }
    if (!sound) a->post.broken = true;
    if (a->post.broken) return;
    thrumi_post_done(&a->post);
  }
}

/* ---- Errands ---------------------------------------------------------------------------------------------------------- */

/* Under the lock: so many works may be outstanding with it. None is sent ahead as long as one more attendant may come: it would be counted
 * on for what is queued next, and what was sent ahead stay behind a task that may take long. */
static uint64_t allowance(const struct thrumi_attendant *a) {
  const struct thrumi_process_pool *p = a->pool;
  if (a->initializing || a->alone || thrumi_post_is_lost(&a->post)) return 0;
  uint64_t n = p->count < p->limit ? 1 : 1 + p->queue.count / p->count;
  if (n > THRUMI_AHEAD) n = THRUMI_AHEAD;
  uint64_t left = p->tasks_per_process - a->sent + a->outstanding.count;
  return n < left ? n : left;
}

/* Claims works for a batch. The errands of those that are outstanding stay as they are: their state is looked at until their results
 * have been taken, which may be long after the process is through with them. *busy: its process has others. */
static struct thrumi_works choose(struct thrumi_attendant *a, bool *busy) {
  struct thrumi_process_pool *p = a->pool;
  struct thrumi_works batch = {0};
  thrum_lock_acquire(&p->lock);
  uint64_t may = allowance(a);
  struct thrumi_work *work;
  uint32_t n = a->outstanding.count;
  *busy = n;
  thrumi_post_keep(&a->post, *busy ? a->outstanding.first->place : NULL);
  for (bool large = false; n < may && !large && (work = p->queue.first); n++) {
    large = thrumi_errand_is_large(work);
    if (large && n) break;
    if ((work = thrumi_processes_pop(p))) thrumi_works_append(&batch, work);
  }
  if (batch.count) thrumi_attendant_set(a, THRUMI_ATTENDANT_BUSY);
  thrum_lock_release(&p->lock);
  return batch;
}

/* What was written is outstanding; what found no room goes back, the last one first. */
static void settle(struct thrumi_attendant *a, struct thrumi_works *written, struct thrumi_works *left) {
  struct thrumi_process_pool *p = a->pool;
  struct thrumi_works dropped = {0};
  thrum_lock_acquire(&p->lock);
  a->sent += written->count;
  thrumi_works_move(&a->outstanding, written);
  for (struct thrumi_work *work; (work = left->last);) {
    thrumi_works_remove(left, work);
    thrumi_processes_put_back(p, work);
  }
  bool comes =
      p->idle ||
      p->count < p->limit; /* who fell idle, or left, could not see what was about to be sent ahead */
  if (comes && a->outstanding.count > 1) thrumi_processes_take_back(a, false);
  if (p->dropping) dropped = thrumi_processes_drop(p);
  if (!a->outstanding.count) thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  bool starts = thrumi_processes_need(p);
  thrum_lock_release(&p->lock);
  if (starts) thrumi_processes_start(p); /* if it cannot be, this attendant goes on */
  thrumi_attendant_cancel_all(a, dropped);
}

static void refuse(struct thrumi_process_pool *p, struct thrumi_work *work, int error, const char *why) {
  thrum_lock_acquire(&p->lock);
  p->finished++;
  thrum_lock_release(&p->lock);
  fail(p, work, error, why);
}

static void feed(struct thrumi_attendant *a) {
  bool was_busy;
  a->full = false;
  struct thrumi_works batch = choose(a, &was_busy), written = {0};
  if (!batch.count) return;
  for (struct thrumi_work *work; !a->full && (work = batch.first);) {
    const char *why;
    int error = a->alone ? -EAGAIN : thrumi_errand_write(a, work, &why);
    a->full = error == -EAGAIN;
    if (a->full) continue;
    thrumi_works_remove(&batch, work);
    if (!error && !was_busy && !written.count) thrumi_post_keep(&a->post, work->place);
    if (!error)
      thrumi_works_append(&written, work);
    else
      refuse(a->pool, work, error, why);
  }
  a->starved = a->full && !was_busy && !written.count;
  settle(a, &written, &batch);
  thrumi_post_ring(&a->post);
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------------ */

/* Under the lock: whoever has nothing to do takes from who has most that waits. */
static bool steal(struct thrumi_attendant *a) {
  struct thrumi_attendant *richest = NULL;
  for (struct thrumi_attendant *b = a->pool->attendants; b; b = b->next)
    if (b->outstanding.count > 1 && (!richest || b->outstanding.count > richest->outstanding.count))
      richest = b;
  return richest && thrumi_processes_take_back(richest, false);
}

/* Under the lock: who has nothing outstanding is not needed any more. */
static bool is_over(const struct thrumi_process_pool *p) {
  return p->broken || ((p->shut || thrumi_processes_end()) && !p->queue.count);
}

/* Under the lock. */
static bool has_served(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  if (a->outstanding.count) return false;
  if (a->sent >= p->tasks_per_process) return true;
  return is_over(p) && (p->broken || a->initializing || !steal(a));
}

/* Under the lock: there is something in the queue that it could send now. */
static bool has_room(const struct thrumi_attendant *a) {
  const struct thrumi_works *queue = &a->pool->queue;
  uint32_t busy = a->outstanding.count;
  if (a->full || !queue->count || busy >= allowance(a)) return false;
  return !busy || !thrumi_errand_is_large(queue->first);
}

/* Whether it may wait; then it counts as idle, if it is. */
static bool may_rest(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  thrum_event_clear(&a->wake);
  thrum_lock_acquire(&p->lock);
  bool idle = !a->outstanding.count && !a->initializing;
  bool looks = has_served(a) || has_room(a);
  if (!looks && idle && !a->starved) looks = steal(a);
  if (!looks && idle && !a->starved) thrumi_attendant_set(a, THRUMI_ATTENDANT_IDLE);
  thrum_lock_release(&p->lock);
  return !looks || thrumi_post_is_lost(&a->post);
}

/* A post that is lost says nothing any more, and its process is being killed. */
static bool falls_asleep(struct thrumi_attendant *a) {
  if (thrumi_post_is_lost(&a->post)) return true;
  bool sleeps = thrumi_post_sleep(&a->post);
  if (sleeps && a->starved) sleeps = thrumi_post_sleep_for_room(&a->post, THRUMI_RECORD_MAX);
  return sleeps || thrumi_post_is_lost(&a->post);
}

/* So many may come as parcels. */
static uint32_t results_due(struct thrumi_attendant *a) {
  thrum_lock_acquire(&a->pool->lock);
  uint32_t due = a->outstanding.count + a->initializing;
  thrum_lock_release(&a->pool->lock);
  return due;
}

/* True: the process is dead. */
static bool await_something(struct thrumi_attendant *a) {
  enum { DEATH, EXECUTOR, PROCESS };
  thrum_case c[] = {thrum_case_readable(thrum_process_sentinel(a->process)), thrum_case_event(&a->wake),
                    thrum_case_conn(a->post.conn)};
  int which = thrum_select_for(c, thrumi_post_is_lost(&a->post) ? PROCESS : 3, thrumi_attendant_pause(a));
  thrumi_post_wake(&a->post, which == PROCESS, which == PROCESS ? results_due(a) : 0);
  if (which < 0 && which != -ETIMEDOUT)
    thrum_sleep(THRUM_MS(1)); /* the kernel has no room for what we wait for */
  return which == DEATH;
}

static bool rest(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  bool dead = may_rest(a) && falls_asleep(a) && await_something(a);
  a->starved = a->full = false;
  thrum_lock_acquire(&p->lock);
  if (!a->outstanding.count) thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  thrum_lock_release(&p->lock);
  return dead;
}

/* ---- The end of a process --------------------------------------------------------------------------------------------------- */

/* Under the lock: of what it had begun, what is tried again goes into the queue. The others. */
static struct thrumi_works sort_victims(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  struct thrumi_works failed = {0};
  for (struct thrumi_work *work; (work = a->outstanding.last);) {
    thrumi_works_remove(&a->outstanding, work);
    if (!p->killed && work->tries++ < p->retries) {
      thrumi_processes_put_back(p, work);
    } else {
      p->finished++;
      thrumi_works_append(&failed, work);
    }
  }
  return failed;
}

static void fail_victims(struct thrumi_attendant *a, struct thrumi_works victims) {
  for (struct thrumi_work *work; (work = victims.first);) {
    char text[THRUMI_SENTENCE_MAX];
    thrumi_works_remove(&victims, work);
    int size = snprintf(text, sizeof text, "%.200s in the midst of it", a->why);
    thrumi_processes_finish(a->pool, work, -EOWNERDEAD, (struct thrumi_bytes){0},
                            thrumi_sentence_copy(text, (size_t)size));
  }
}

/* It is dead. False: it had done nothing, and nothing has happened to anybody. */
static bool bury(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  struct thrumi_works dropped = {0};
  deliver(a);
  thrum_lock_acquire(&p->lock);
  thrumi_processes_take_back(a, true);
  bool had_begun = a->outstanding.count;
  struct thrumi_works victims = sort_victims(a);
  if (p->dropping) dropped = thrumi_processes_drop(p);
  thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  bool starts = thrumi_processes_need(p);
  thrum_lock_release(&p->lock);
  thrumi_attendant_dismiss(a);
  if (starts) thrumi_processes_start(p);
  fail_victims(a, victims);
  thrumi_attendant_cancel_all(a, dropped);
  return had_begun || a->delivered;
}

/* It ends when its threads have ended, which may take long: nobody counts on this attendant meanwhile. */
static void stop(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  thrum_lock_acquire(&p->lock);
  thrumi_attendant_set(a, THRUMI_ATTENDANT_BUSY);
  a->stops = true;
  bool starts = thrumi_processes_need(p);
  thrum_lock_release(&p->lock);
  if (starts) thrumi_processes_start(p);
  thrumi_post_stop(&a->post);
  thrumi_attendant_dismiss(a);
  thrum_lock_acquire(&p->lock);
  a->stops = false;
  thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  thrum_lock_release(&p->lock);
}

static bool has_served_now(struct thrumi_attendant *a) {
  thrum_lock_acquire(&a->pool->lock);
  bool served = has_served(a);
  thrum_lock_release(&a->pool->lock);
  return served;
}

/* One whose connection has ended may be about to die of something else. */
static void kill_process(struct thrumi_attendant *a) {
  if (a->post.broken && !a->fault) a->fault = ", since it wrote or sent what cannot be";
  thrum_process_kill(a->process);
  a->killed = true;
}

/* As long as it lives. False: it died, and had done nothing. */
static bool serve(struct thrumi_attendant *a) {
  for (;;) {
    deliver(a);
    thrumi_attendant_call_back(a);
    if (thrumi_post_is_lost(&a->post) && !a->killed) kill_process(a);
    feed(a);
    if (!thrumi_post_is_lost(&a->post) && has_served_now(a)) {
      stop(a);
      return true;
    }
    if (rest(a)) return bury(a);
  }
}

/* ---- Coming and leaving --------------------------------------------------------------------------------------------------------- */

static void unlink_attendant(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  thrumi_attendant_set(a, THRUMI_ATTENDANT_BUSY);
  if (a->next) a->next->prev = a->prev;
  *(a->prev ? &a->prev->next : &p->attendants) = a->next;
  p->count--;
  p->others++;
  if (!p->count) p->deaths = 0;
}

/* Under the lock: if nobody is left to work on what is queued. */
static struct thrumi_works forsake(struct thrumi_process_pool *p) {
  struct thrumi_works forsaken = {0};
  if (p->count || !p->queue.count) return forsaken;
  forsaken = thrumi_processes_take_queue(p, thrumi_future_begin);
  p->finished += forsaken.count;
  p->pins -= forsaken.count;
  return forsaken;
}

/* Leaves, unless there is something to do after all: what it came for may have been sent ahead to another one meanwhile. */
static bool leaves(struct thrumi_attendant *a, bool failed) {
  struct thrumi_process_pool *p = a->pool;
  thrum_lock_acquire(&p->lock);
  bool leaves = failed || (!p->queue.count && (p->broken || !steal(a)));
  struct thrumi_works forsaken = {0};
  if (leaves) {
    unlink_attendant(a);
    thrumi_processes_wake_some(p); /* one who was counted on, and failed */
    forsaken = forsake(p);
  }
  thrum_lock_release(&p->lock);
  char why[THRUMI_SENTENCE_MAX];
  snprintf(why, sizeof why, "has no process for it: %.200s", a->why);
  thrumi_processes_fail(p, forsaken, a->error, why);
  return leaves;
}

/* Whether processes of this executor have died too often, one after the other, for there to be any use in another one. */
static bool gives_up(struct thrumi_process_pool *p, bool useful) {
  thrum_lock_acquire(&p->lock);
  p->deaths = useful ? 0 : p->deaths + 1;
  bool gives_up = p->deaths >= TRIES;
  thrum_lock_release(&p->lock);
  return gives_up;
}

static void work(struct thrumi_attendant *a) {
  while (!leaves(a, a->error != 0)) {
    a->error = thrumi_attendant_hire(a);
    if (a->error) {
      snprintf(a->why, sizeof a->why, "%s", strerror(-a->error));
      continue;
    }
    if (gives_up(a->pool, serve(a))) a->error = -EPIPE;
  }
}

/* Who waits for the end is told before the pin is given back: the pool is there until then. */
static void resign(struct thrumi_attendant *a) {
  struct thrumi_process_pool *p = a->pool;
  thrum_thread self = thrum_current();
  thrum_lock_acquire(&p->lock);
  thrum_thread former = p->last_gone;
  p->last_gone = self;
  p->others--;
  if (!p->count && !p->others) thrum_cond_notify_all(&p->ended);
  bool last = thrumi_processes_unpin(p);
  thrumi_me()->arg = thrumi_attendant_left(p);
  thrum_lock_release(&p->lock);
  if (last) thrumi_processes_free(p);
  thrumi_os.free(a);
  thrum_wait(former);
}

intptr_t thrumi_attendant_main(void *attendant) {
  struct thrumi_attendant *a = attendant;
  struct thrumi_thread *me = thrumi_me();
  thrum_lock_acquire(&a->pool->lock);
  a->thread = me;
  thrum_lock_release(&a->pool->lock);
  bool here = true;
  THRUM_SHIELD(0) {
    work(a);
    thrumi_attendant_call_back(a);
    here = thrumi_processes_call_back_here(a->pool, &a->uncalled);
    if (here) resign(a);
  }
  return 0;
}
