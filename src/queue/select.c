/* Select. Each round polls all cases, and if none is ready enlists in all and waits.
 *
 *     poll       in random order; the first that is ready happens, and that is it
 *     arm        the wait word says ARMED
 *     enlist     in all, in the order of their addresses. One that is ready by now: end the wait, withdraw, next round
 *     park       until somebody claims the wait
 *     withdraw   from all
 *
 * Nothing happens while the select is enlisted but by whoever claims its wait. In particular it does not serve others then: for
 * that two waits would have to be claimed in one step, its own and the other's. Polling serves others, and needs
 * to claim only theirs.
 *
 * Exactly one. What happens to a case happens in a poll, when no case is enlisted, or by who won the claim; and a wait
 * is claimed once.
 *
 * No wake-up is lost. Each case was enlisted under the lock of its thing, which was not ready then. Who makes it ready does so
 * under that lock, finds the entry, and tries to claim. If it loses, somebody else has claimed before: then another case
 * happens, or the next round polls all cases anew, this one too (the wait was ended because a case was ready, or by
 * THRUMI_AGAIN). The maker that lost goes on as if the entry had not been there, so what it made ready is still
 * ready.
 *
 * Progress. A round is in vain only if a case was ready when it was to be enlisted, and was not when it was polled again.
 * If a channel was ready by its items or room, another thread has put or got. If by the offer of a thread that waits,
 * and that one was claimed by another thread, that one has put or got. There remains the offer of another select that
 * ended its wait because it, too, had found a case ready. Call that A gives up because of B at channel p; then B enlisted
 * in p before A came there, and gives up because of C at a channel that it came to later: at one of a higher address
 * than p, since B enlists in ascending order, and in all its cases of p in one step. So along A, B, C, ... the channels
 * ascend, no select comes twice, and the last one gives up because of somebody who does not: whose offer stands until it
 * is served. So of all selects that meet, one goes on. (Own offers do not make a case ready. Enlisting put and get of one
 * channel in two steps, two selects could give up because of each other for ever; the exhaustive driver found that.)
 *
 * None is ready. A poll alone cannot say so: it looks at one case after the other, and what was ready may have moved behind
 * its back, to a queue that it had looked at. So who does not wait (a try, or a time that is up), and has polled in vain,
 * enlists all the same, in its queues only, ends the wait itself, withdraws, and polls once more:
 *
 *     arm, enlist in all queues, disarm (this is the moment), withdraw, poll
 *
 * If the disarm wins, the wait was not claimed before it. Up to then each queue had a live offer for each of its cases, so
 * by I1, I2 and I4 (channel.h) none was ready whenever its lock was free. If a lock was held at the moment, what is done
 * under it to serve that offer loses its claim, and nobody has seen anything of it: it comes after the moment. So at that
 * one moment no queue was ready. If the disarm loses, a case has happened, or it looks again, as behind any wait. (Room
 * that set_capacity makes counts from when that call has let putters in.)
 * Of the other cases: once ready, an event stays so for this select, since it goes by the round in which the select began,
 * and likewise times, ends of threads and of children, futures and broadcasts: what makes them ready is for good. (That an
 * event was set when the select began and was cleared then does no harm: the first poll saw it cleared, and a later set is
 * another round.) The last poll comes behind the moment: what is not ready in it was not ready then. Of descriptors and
 * signals this holds as long as no other thread takes what there is. Nobody waits for anybody in this, and no two locks are
 * held at once. A select that gave up because of an offer of such a one finds that it was served, or has returned, or has
 * given up itself; the addresses ascend here, too, so there is progress as above.
 *
 * Fairness. Polling in random order chooses among what is ready, each as likely. What becomes ready while
 * the select waits happens at once.
 *
 * Rejected. To lock all channels together (Go): a thousand small locks held inside the runtime, and none of them may be a
 * lock that is waited for as threads wait, which PRIORITY needs. To claim the own wait and then the other's (Parallel
 * Concurrent ML): who has claimed itself in vain must give the claim back, and others must wait for that. */
#include <io/process.h>
#include <limits.h>
#include <poll.h>
#include <queue/selectable.h>
#include <thrum/io/file.h>
#include <thrum/time.h>

/* ---- Channels ------------------------------------------------------------------------------------------------------- */

static struct thrumi_channel *channel_in(const thrum_case *c) { return thrumi_channel_of(c->object); }

static enum thrumi_way way_of(const thrum_case *c) {
  return c->kind == THRUMI_CASE_PUT ? THRUMI_PUT : THRUMI_GET;
}

static int channel_prepare(thrum_case *c) {
  struct thrumi_entry *e = thrumi_entry_of(c);
  struct thrumi_channel *channel = channel_in(c);
  e->box = NULL;
  if (c->size == 0 || channel->item_size != c->size) return -EINVAL;
  bool boxed = thrumi_is_boxed(channel);
  e->offer.item = boxed ? &e->box : c->item;
  if (boxed && c->kind == THRUMI_CASE_PUT && !(e->box = thrumi_box_make(channel, c->item))) return -ENOMEM;
  return 0;
}

/* A put that happened has given its box away; a get that happened has got one. */
static void channel_release(thrum_case *c, bool fired) {
  void *box = thrumi_entry_of(c)->box;
  bool happened = fired && c->status == 0;
  if (!box || happened != (c->kind == THRUMI_CASE_GET)) return;
  if (happened) memcpy(c->item, (char *)box + sizeof(void *), c->size);
  thrumi_box_give(channel_in(c), box);
}

static int channel_poll(thrum_case *c) {
  return thrumi_channel_try(channel_in(c), way_of(c), thrumi_entry_of(c)->offer.item);
}

static struct thrumi_offers *list_of(thrum_case *c) {
  return c->kind == THRUMI_CASE_PUT ? &channel_in(c)->putters : &channel_in(c)->getters;
}

static bool any_is_ready(thrum_case *c, const struct thrumi_selection *s) {
  for (; c; c = thrumi_entry_of(c)->more)
    if (thrumi_channel_is_ready(channel_in(c), way_of(c), s)) return true;
  return false;
}

/* All cases of the channel under one lock: see Progress. */
static bool channel_enlist(thrum_case *c, struct thrumi_selection *s) {
  struct thrumi_channel *channel = channel_in(c);
  thrumi_channel_lock(channel);
  bool ready = any_is_ready(c, s);
  for (; !ready && c; c = thrumi_entry_of(c)->more) {
    struct thrumi_offer *o = &thrumi_entry_of(c)->offer;
    o->selection = s;
    thrumi_announce(o->item);
    thrumi_offer_append(list_of(c), o);
  }
  thrumi_channel_unlock(channel);
  return !ready;
}

/* Who claims for a channel says which case it was in the selection. */
static bool channel_withdraw(thrum_case *c) {
  thrumi_channel_lock(channel_in(c));
  thrumi_offer_remove(list_of(c), &thrumi_entry_of(c)->offer);
  thrumi_channel_unlock(channel_in(c));
  return false;
}

/* ---- Ends of threads ------------------------------------------------------------------------------------------------ */

static thrum_thread thread_in(const thrum_case *c) { return (thrum_thread){(uint64_t)c->value}; }

static int thread_poll(thrum_case *c) { return thrumi_end_poll(thread_in(c)); }

static bool thread_enlist(thrum_case *c, struct thrumi_selection *s) {
  struct thrumi_waiter *w = &thrumi_entry_of(c)->waiter;
  w->thread = s->thread;
  w->ticket = s->ticket;
  return thrumi_end_enlist(thread_in(c), w);
}

/* Who ended may have meant those who waited for the thread that had its record before. */
static bool thread_withdraw(thrum_case *c) {
  return thrumi_withdraw(&thrumi_entry_of(c)->waiter) && thread_poll(c) != -EAGAIN;
}

/* ---- Events --------------------------------------------------------------------------------------------------------- */

static thrum_event *event_in(const thrum_case *c) { return c->object; }

/* The round in which the select began: a set that is cleared right after, while it is between two waits, is no less one. */
static int event_prepare(thrum_case *c) {
  thrumi_entry_of(c)->round.round = thrumi_event_round(event_in(c));
  return 0;
}

static int event_poll(thrum_case *c) {
  bool was_set = thrumi_event_round(event_in(c)) != thrumi_entry_of(c)->round.round;
  if (!was_set && !thrum_event_is_set(event_in(c))) return -EAGAIN;
  thrumi_rely_on(event_in(c));
  return 0;
}

static bool event_enlist(thrum_case *c, struct thrumi_selection *s) {
  struct thrumi_round_wait *wait = &thrumi_entry_of(c)->round;
  wait->waiter.thread = s->thread;
  wait->waiter.ticket = s->ticket;
  return thrumi_event_enlist(event_in(c), wait);
}

static bool event_withdraw(thrum_case *c) {
  return thrumi_event_withdraw(event_in(c), &thrumi_entry_of(c)->round);
}

/* ---- Broadcasts ----------------------------------------------------------------------------------------------------- */

static thrum_broadcast *broadcast_in(const thrum_case *c) { return c->object; }
static uint64_t next_of(const thrum_case *c) { return *(const uint64_t *)c->item; }

static int broadcast_prepare(thrum_case *c) { return broadcast_in(c)->item_size ? 0 : -EINVAL; }

static int broadcast_poll(thrum_case *c) {
  int status = thrumi_broadcast_look(broadcast_in(c), next_of(c));
  if (status == -EPIPE) { /* who has heard of the end may free it: not before whoever ended it has let go */
    thrumi_leave(thrumi_self());
    thrumi_broadcast_pass(broadcast_in(c));
    thrumi_enter();
  }
  if (status != -EAGAIN) thrumi_rely_on(broadcast_in(c));
  return status;
}

static bool broadcast_enlist(thrum_case *c, struct thrumi_selection *s) {
  struct thrumi_round_wait *wait = &thrumi_entry_of(c)->round;
  wait->waiter.thread = s->thread;
  wait->waiter.ticket = s->ticket;
  return thrumi_broadcast_enlist(broadcast_in(c), next_of(c), wait);
}

/* What it was let go for is still ready, and the next round says with which status: who is enlisted elsewhere must not wait for
 * whoever has closed it. */
static bool broadcast_withdraw(thrum_case *c) {
  thrumi_broadcast_withdraw(broadcast_in(c), &thrumi_entry_of(c)->round);
  if (thrumi_broadcast_look(broadcast_in(c), next_of(c)) != 0) return false;
  thrumi_rely_on(broadcast_in(c));
  return true;
}

/* ---- Descriptors ---------------------------------------------------------------------------------------------------- */

static int descriptor_prepare(thrum_case *c) {
  struct thrumi_fd_wait *wait = &thrumi_entry_of(c)->descriptor;
  wait->result = thrumi_fd_start((int)c->value);
  return 0; /* what is wrong with it is the status of the case */
}

/* What went wrong when it was enlisted, or closed meanwhile, is kept. */
static int descriptor_poll(thrum_case *c) {
  int error = thrumi_entry_of(c)->descriptor.result;
  int ready = error ? error : thrumi_fd_poll((int)c->value, (uint32_t)c->size);
  return ready > 0 ? 0 : ready == 0 ? -EAGAIN : ready;
}

static bool enlist_fd(thrum_case *c, int fd, uint32_t events, struct thrumi_selection *s) {
  struct thrumi_fd_wait *wait = &thrumi_entry_of(c)->descriptor;
  wait->thread = s->thread;
  wait->ticket = s->ticket;
  int error = thrumi_fd_enlist(wait, fd, events);
  if (error && error != -EPERM)
    wait->result = error; /* that one is always ready. If enlisted, it is its waker's */
  return !error;
}

static bool descriptor_enlist(thrum_case *c, struct thrumi_selection *s) {
  return enlist_fd(c, (int)c->value, (uint32_t)c->size, s);
}

static bool descriptor_withdraw(thrum_case *c) {
  thrumi_fd_withdraw(&thrumi_entry_of(c)->descriptor);
  return false; /* the next poll says what there is */
}

/* ---- Signals and children: descriptors behind which somebody else may have taken what there was --------------------------------- */

static int start_fd(thrum_case *c, int fd) {
  int error = fd < 0 ? fd : thrumi_fd_start(fd);
  thrumi_entry_of(c)->descriptor.result = error; /* the status of the case */
  return 0;
}

static int signal_prepare(thrum_case *c) {
  int error = thrumi_signal_start((int)c->value);
  return start_fd(c, error ? error : thrumi_signal_counter((int)c->value));
}

static int signal_poll(thrum_case *c) {
  int error = thrumi_entry_of(c)->descriptor.result;
  return error ? error : thrumi_signal_take((int)c->value) ? 0 : -EAGAIN;
}

static bool signal_enlist(thrum_case *c, struct thrumi_selection *s) {
  return enlist_fd(c, thrumi_signal_counter((int)c->value), POLLIN, s);
}

static int *child_fd(thrum_case *c) { return (int *)(void *)&thrumi_entry_of(c)->box; }

static int child_prepare(thrum_case *c) {
  *child_fd(c) = c->value > 0 ? thrumi_os.process_open((pid_t)c->value) : -EINVAL;
  return start_fd(c, *child_fd(c));
}

static void child_release(thrum_case *c, bool fired) {
  (void)fired;
  if (*child_fd(c) >= 0) thrum_close(*child_fd(c));
}

/* Also when there is no descriptor: an error of its own is what there is to say of one that is no child, or is reaped. */
static int child_poll(thrum_case *c) {
  int error = thrumi_entry_of(c)->descriptor.result;
  pid_t reaped = error == -EINVAL ? error : thrumi_child_reap((pid_t)c->value, c->item);
  return reaped > 0 ? 0 : reaped < 0 ? reaped : error ? error : -EAGAIN;
}

static bool child_enlist(thrum_case *c, struct thrumi_selection *s) {
  return enlist_fd(c, *child_fd(c), POLLIN, s);
}

/* ---- What never happens, and time ----------------------------------------------------------------------------------- */

static int nothing_prepare(thrum_case *c) { return (void)c, 0; }
static void nothing_release(thrum_case *c, bool fired) { (void)c, (void)fired; }
static bool nothing_enlist(thrum_case *c, struct thrumi_selection *s) { return (void)c, (void)s, true; }
static bool nothing_withdraw(thrum_case *c) { return (void)c, false; }
static int never_poll(thrum_case *c) { return (void)c, -EAGAIN; }

static thrum_time *time_of(thrum_case *c) { return (thrum_time *)(void *)&thrumi_entry_of(c)->box; }

static int time_prepare(thrum_case *c) {
  *time_of(c) = c->kind == THRUMI_CASE_AT ? c->value : thrum_after(c->value);
  return 0;
}

static int time_poll(thrum_case *c) {
  return *time_of(c) != THRUM_FOREVER && thrumi_os.now() >= *time_of(c) ? 0 : -EAGAIN;
}

static const struct thrumi_selectable selectables[THRUMI_CASE_KINDS] = {
    [THRUMI_CASE_NEVER] = {nothing_prepare, nothing_release, never_poll, nothing_enlist, nothing_withdraw},
    [THRUMI_CASE_PUT] = {channel_prepare, channel_release, channel_poll, channel_enlist, channel_withdraw},
    [THRUMI_CASE_GET] = {channel_prepare, channel_release, channel_poll, channel_enlist, channel_withdraw},
    [THRUMI_CASE_AT] = {time_prepare, nothing_release, time_poll, nothing_enlist, nothing_withdraw},
    [THRUMI_CASE_AFTER] = {time_prepare, nothing_release, time_poll, nothing_enlist, nothing_withdraw},
    [THRUMI_CASE_THREAD] = {nothing_prepare, nothing_release, thread_poll, thread_enlist, thread_withdraw},
    [THRUMI_CASE_EVENT] = {event_prepare, nothing_release, event_poll, event_enlist, event_withdraw},
    [THRUMI_CASE_BROADCAST] = {broadcast_prepare, nothing_release, broadcast_poll, broadcast_enlist,
                               broadcast_withdraw},
    [THRUMI_CASE_SIGNAL] = {signal_prepare, nothing_release, signal_poll, signal_enlist, descriptor_withdraw},
    [THRUMI_CASE_CHILD] = {child_prepare, child_release, child_poll, child_enlist, descriptor_withdraw},
    [THRUMI_CASE_FD] = {descriptor_prepare, nothing_release, descriptor_poll, descriptor_enlist,
                        descriptor_withdraw},
};

/* ---- The select ----------------------------------------------------------------------------------------------------- */

struct select {
  thrum_case *cases;
  size_t n;
  struct thrumi_selection selection;
  int64_t deadline; /* of the call */
  int64_t when;     /* of the earliest case that is a time, */
  int timer;        /* which is this one */
  int flags;        /* of its waits */
  bool at_once;     /* it does not wait: only queues are enlisted in */
};

/* Futures lie above queues and plug themselves in. */
static const struct thrumi_selectable *of(const thrum_case *c) {
  return c->kind == THRUMI_CASE_FUTURE ? thrumi_load(&thrumi_hooks.case_future) : &selectables[c->kind];
}

static bool is_time(const thrum_case *c) { return c->kind == THRUMI_CASE_AT || c->kind == THRUMI_CASE_AFTER; }

static bool is_channel(const thrum_case *c) {
  return c->kind == THRUMI_CASE_PUT || c->kind == THRUMI_CASE_GET;
}

static bool is_left_out(const struct select *x, const thrum_case *c) { return x->at_once && !is_channel(c); }

static struct thrumi_entry *entry(const struct select *x, size_t i) { return thrumi_entry_of(&x->cases[i]); }

/* xorshift64* (Vigna 2016). */
static uint32_t random_below(struct thrumi_thread *me, uint32_t n) {
  uint64_t r = me->random ? me->random : ((uint64_t)me->slot << 32 | 1) * UINT64_C(0x9e3779b97f4a7c15);
  r ^= r >> 12;
  r ^= r << 25;
  r ^= r >> 27;
  me->random = r;
  return (uint32_t)((r * UINT64_C(0x2545f4914f6cdd1d) >> 32) * n >> 32);
}

/* The i-th that is polled: shuffled as far as it is asked for (Fisher and Yates). */
static uint32_t polled(struct select *x, uint32_t i) {
  uint32_t j = i + random_below(x->selection.thread, (uint32_t)x->n - i), at_j = entry(x, j)->polled;
  entry(x, j)->polled = entry(x, i)->polled;
  entry(x, i)->polled = at_j;
  return at_j;
}

/* The index of the case that happened, -EAGAIN, or -ENOMEM. */
static int poll_all(struct select *x) {
  for (uint32_t i = 0; i < x->n; i++) {
    uint32_t at = polled(x, i);
    thrum_case *c = &x->cases[at];
    int status = of(c)->poll(c);
    if (status == -EAGAIN) continue;
    if (status == -ENOMEM) return -ENOMEM;
    c->status = status > 0 ? -status : status;
    return (int)at;
  }
  return -EAGAIN;
}

/* ---- The order of enlisting: by address, a heap sort ------------------------------------------------------------------ */

static uintptr_t key(const struct select *x, uint32_t at) { return (uintptr_t)x->cases[at].object; }

static void sift(struct select *x, size_t hole, size_t n, uint32_t at) {
  for (size_t child; (child = 2 * hole + 1) < n; hole = child) {
    if (child + 1 < n && key(x, entry(x, child + 1)->enlisted) > key(x, entry(x, child)->enlisted)) child++;
    if (key(x, entry(x, child)->enlisted) <= key(x, at)) break;
    entry(x, hole)->enlisted = entry(x, child)->enlisted;
  }
  entry(x, hole)->enlisted = at;
}

static void sort(struct select *x) {
  for (size_t i = x->n / 2; i-- > 0;) sift(x, i, x->n, entry(x, i)->enlisted);
  for (size_t n = x->n; n > 1; n--) {
    uint32_t last = entry(x, n - 1)->enlisted;
    entry(x, n - 1)->enlisted = entry(x, 0)->enlisted;
    sift(x, 0, n - 1, last);
  }
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

/* Behind the sort: links neighbours that are of one channel. */
static void link_cases(struct select *x) {
  for (size_t i = 0; i < x->n; i++) {
    thrum_case *c = &x->cases[entry(x, i)->enlisted];
    thrum_case *next = i + 1 < x->n ? &x->cases[entry(x, i + 1)->enlisted] : NULL;
    bool same = next && is_channel(c) && is_channel(next) && c->object == next->object;
    thrumi_entry_of(c)->more = same ? next : NULL;
  }
}

/* How many are enlisted: all, or those before the first that is ready. */
static size_t enlist_all(struct select *x) {
  bool linked = false; /* enlisted with the one before */
  for (size_t i = 0; i < x->n; i++) {
    thrum_case *c = &x->cases[entry(x, i)->enlisted];
    if (is_left_out(x, c)) continue;
    if (!linked && !of(c)->enlist(c, &x->selection)) return i;
    linked = thrumi_entry_of(c)->more;
  }
  return x->n;
}

/* The index of the case whose maker claimed the wait, as far as it is told here, or that became ready all the same; else
 * -EAGAIN. */
static int withdraw(struct select *x, size_t n) {
  int fired = -EAGAIN;
  for (size_t i = 0; i < n; i++) {
    uint32_t at = entry(x, i)->enlisted;
    if (is_left_out(x, &x->cases[at])) continue;
    if (of(&x->cases[at])->withdraw(&x->cases[at])) fired = (int)at;
  }
  return fired;
}

/* The wait is over, nothing is enlisted any more. `fired` is what withdraw said: also where time ran out, or a cancellation
 * came, after an event was set. */
static int conclude(struct select *x, enum thrumi_wait_state outcome, int fired) {
  if (outcome != THRUMI_WOKEN && fired < 0) {
    if (outcome == THRUMI_CANCELLED) return -ECANCELED;
    if (x->when > x->deadline) return -ETIMEDOUT;
    fired = x->timer;
  }
  int status = 0;
  bool served = thrumi_load(&x->selection.settled); /* by a channel */
  if (served) {
    fired = (int)x->selection.fired;
    status = x->selection.status;
  }
  if (fired < 0 || status == THRUMI_AGAIN) return -EAGAIN;
  const thrum_case *c = &x->cases[fired];
  if (served && !status && is_channel(c)) thrumi_channel_served(channel_in(c), way_of(c), &x->selection);
  x->cases[fired].status = status;
  return fired;
}

/* The index of the case that happened, an error, or -EAGAIN: another round. */
static int wait_once(struct select *x) {
  struct thrumi_selection *s = &x->selection;
  enum thrumi_wait_state outcome;
  thrumi_store_relaxed(&s->settled, 0);
  s->ticket = thrumi_arm(s->thread, "one of several things", NULL, x->flags);
  size_t n = enlist_all(x);
  bool gave_up = n < x->n && thrumi_disarm(s->thread, s->ticket, &outcome);
  if (n == x->n) outcome = thrumi_park(s->thread, s->ticket, x->when < x->deadline ? x->when : x->deadline);
  int fired = withdraw(x, n);
  return gave_up ? -EAGAIN : conclude(x, outcome, fired);
}

/* ---- Without waiting ------------------------------------------------------------------------------------------------ */

/* Whether what is ready may move from case to case and be missed by a poll: not if there is one case, nor if all stay ready. */
static bool may_be_missed(const struct select *x) {
  bool moves = false;
  for (size_t i = 0; i < x->n; i++)
    moves |= is_channel(&x->cases[i]) || x->cases[i].kind == THRUMI_CASE_EVENT;
  return moves && x->n > 1;
}

/* Is enlisted in all queues for a moment. *none: no queue was ready then. Else as wait_once. */
static int offer_at_once(struct select *x, bool *none) {
  struct thrumi_selection *s = &x->selection;
  enum thrumi_wait_state outcome;
  thrumi_store_relaxed(&s->settled, 0);
  s->ticket = thrumi_arm(s->thread, "one of several things", NULL, 0);
  size_t n = enlist_all(x);
  bool unclaimed = thrumi_disarm(s->thread, s->ticket, &outcome);
  withdraw(x, n);
  *none = unclaimed && n == x->n;
  return unclaimed ? -EAGAIN : conclude(x, outcome, -EAGAIN);
}

/* Behind a poll in vain, of who does not wait: the index of the case that happened after all, -ENOMEM, or -EAGAIN: there was a
 * moment at which none was ready. See None is ready. */
static int look_again(struct select *x) {
  bool none = false;
  int fired = -EAGAIN;
  if (!may_be_missed(x)) return fired;
  x->at_once = true;
  sort(x);
  link_cases(x);
  while (fired == -EAGAIN && !none) {
    fired = offer_at_once(x, &none);
    if (fired == -EAGAIN) fired = poll_all(x);
  }
  return fired;
}

/* Inside. */
static int select_inside(struct select *x, bool try) {
  int64_t began = x->deadline;
  if (!try && thrumi_is_cancelled(x->selection.thread)) return -ECANCELED;
  int fired = poll_all(x);
  if (fired != -EAGAIN) return fired;
  if (try) return look_again(x);
  if (began != THRUM_FOREVER && thrumi_os.now() >= x->deadline) {
    fired = look_again(x);
    return fired == -EAGAIN ? -ETIMEDOUT : fired;
  }
  sort(x);
  link_cases(x);
  do {
    fired = wait_once(x);
    if (fired == -EAGAIN) fired = poll_all(x);
  } while (fired == -EAGAIN);
  return fired;
}

static int prepare(struct select *x, size_t *prepared) {
  for (size_t i = 0; i < x->n; i++) {
    thrum_case *c = &x->cases[i];
    struct thrumi_entry *e = entry(x, i);
    e->polled = e->enlisted = (uint32_t)i;
    e->offer.index = (uint32_t)i;
    c->status = 0;
    int error = c->kind < THRUMI_CASE_KINDS ? of(c)->prepare(c) : -EINVAL;
    if (error) return error;
    if (c->kind == THRUMI_CASE_EVENT) x->flags |= THRUMI_BY_SIGNAL;
    if (is_time(c) && *time_of(c) < x->when) {
      x->when = *time_of(c);
      x->timer = (int)i;
    }
    *prepared = i + 1;
  }
  return 0;
}

static int run(thrum_case *cases, size_t n, thrum_time deadline, bool try) {
  if (n > INT_MAX || (n && !cases)) return -EINVAL;
  struct select x = {.cases = cases,
                     .n = n,
                     .deadline = deadline,
                     .when = THRUM_FOREVER,
                     .timer = -1,
                     .flags = THRUMI_CANCELLABLE};
  size_t prepared = 0;
  int fired = prepare(&x, &prepared);
  if (fired == 0) {
    x.selection.thread = thrumi_enter()->current;
    fired = select_inside(&x, try);
    thrumi_leave(thrumi_self());
  }
  for (size_t i = 0; i < prepared; i++) of(&cases[i])->release(&cases[i], fired == (int)i);
  return fired;
}

int thrum_select(thrum_case *cases, size_t n) { return run(cases, n, THRUM_FOREVER, false); }

int thrum_select_for(thrum_case *cases, size_t n, thrum_duration timeout) {
  return run(cases, n, thrum_after(timeout), false);
}

int thrum_try_select(thrum_case *cases, size_t n) { return run(cases, n, THRUM_FOREVER, true); }
