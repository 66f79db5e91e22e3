/* What threads hold. Nobody keeps account of it while nobody watches: an acquire is one instruction on the object, and the
 * object has its holder's mark, not the holder a list of objects. So what is known without cost is what others wait for: each wait
 * names its object, and the object the holder. A dump reads all waits once, as cycles do (waits.h), and sorts them by holder.
 * While somebody watches (check/observe.h), what was acquired meanwhile is known too, waited for or not.
 *
 * Either is right for the moment at which it was read; threads go on. */
#include <core/backtrace.h>
#include <core/hooks.h>
#include <sched/object.h>
#include <sched/report.h>
#include <sched/self.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHED = 32 }; /* at most so many are said of those that somebody who watches knows of */

struct thrumi_holding {
  uint64_t holder; /* handle */
  const void *object;
  const char *what;
};

/* ---- Gathering -------------------------------------------------------------------------------------------------------- */

static bool make_room(struct thrumi_holdings *all) {
  if (all->count < all->room) return true;
  size_t room = all->room ? 2 * all->room : 64;
  struct thrumi_holding *more = thrumi_os.allocate(room * sizeof *more);
  if (!more) return false;
  if (all->count) memcpy(more, all->of, all->count * sizeof *more);
  if (all->of) thrumi_os.free(all->of);
  all->of = more;
  all->room = room;
  return true;
}

static int compare(const void *one, const void *other) {
  const struct thrumi_holding *a = one, *b = other;
  if (a->holder != b->holder) return a->holder < b->holder ? -1 : 1;
  return (uintptr_t)a->object < (uintptr_t)b->object ? -1 : (uintptr_t)a->object > (uintptr_t)b->object;
}

/* False: it does not wait for what a thread holds. */
static bool read_one(struct thrumi_thread *t, struct thrumi_holding *out) {
  struct thrumi_look look;
  struct thrumi_kthread *k = thrumi_enter();
  bool held = thrumi_look_at(t, &look) && look.how & THRUMI_HELD && look.next;
  if (held)
    *out = (struct thrumi_holding){
        .holder = thrumi_handle(look.next).value, .object = look.object, .what = look.what};
  thrumi_leave(k);
  return held;
}

void thrumi_holdings_gather(struct thrumi_holdings *out) {
  *out = (struct thrumi_holdings){0};
  for (uint32_t slot = 1; slot < thrumi_record_count() && make_room(out); slot++)
    if (read_one(thrumi_record(slot), &out->of[out->count])) out->count++;
  if (out->count) qsort(out->of, out->count, sizeof *out->of, compare);
}

void thrumi_holdings_free(struct thrumi_holdings *holdings) {
  if (holdings->of) thrumi_os.free(holdings->of);
  *holdings = (struct thrumi_holdings){0};
}

/* ---- Saying it -------------------------------------------------------------------------------------------------------- */

/* Where those begin that this thread holds. */
static size_t find(const struct thrumi_holdings *all, uint64_t holder) {
  size_t low = 0, high = all->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (all->of[middle].holder < holder)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* How many of those from `at` on wait for the same object of the same holder. */
static size_t same(const struct thrumi_holdings *all, size_t at) {
  size_t n = 1;
  while (at + n < all->count && compare(&all->of[at], &all->of[at + n]) == 0) n++;
  return n;
}

static bool is_holders(const struct thrumi_holdings *all, size_t at, uint64_t holder) {
  return at < all->count && all->of[at].holder == holder;
}

static size_t waiters_of(const struct thrumi_holdings *all, uint64_t holder, const void *object) {
  for (size_t at = find(all, holder); is_holders(all, at, holder); at += same(all, at))
    if (all->of[at].object == object) return same(all, at);
  return 0;
}

/* "holds rwlock shelf": what a wait is for, "an rwlock to read", says how as well. */
static void say_object(struct thrumi_sink *sink, const char *what, const void *object) {
  char text[THRUMI_OBJECT_TEXT];
  size_t length = strcspn(what, " ");
  const char *kind = what + (what[length] ? length + 1 : 0);
  thrumi_object_describe(object, text, sizeof text);
  thrumi_say(sink, "  holds %.*s %s", (int)strcspn(kind, " "), kind, text);
}

static void say_waiters(struct thrumi_sink *sink, size_t n) {
  if (n) thrumi_say(sink, n == 1 ? ", for which 1 thread waits" : ", for which %zu threads wait", n);
  thrumi_say(sink, "\n");
}

/* What somebody who watches knows: in the order in which it was taken. */
static void say_watched(struct thrumi_sink *sink, const struct thrumi_holdings *all, uint64_t holder,
                        const struct thrumi_watched_hold *holds, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    char place[THRUMI_PLACE_MAX];
    say_object(sink, holds[i].what, holds[i].object);
    thrumi_say(sink, "%s, taken in %s", holds[i].to_read ? " to read" : "",
               thrumi_place(holds[i].site, place));
    say_waiters(sink, waiters_of(all, holder, holds[i].object));
  }
}

static bool is_among(const struct thrumi_watched_hold *holds, uint32_t n, const void *object) {
  for (uint32_t i = 0; i < n; i++)
    if (holds[i].object == object) return true;
  return false;
}

void thrumi_say_holdings(struct thrumi_sink *sink, const struct thrumi_holdings *all,
                         struct thrumi_thread *t) {
  struct thrumi_watched_hold holds[WATCHED];
  uint32_t watched = 0;
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t holder = thrumi_handle(t).value;
  if (thrumi_hooks.watch_held) watched = thrumi_hooks.watch_held(t, holds, WATCHED);
  thrumi_leave(k);
  say_watched(sink, all, holder, holds, watched);
  for (size_t at = find(all, holder); is_holders(all, at, holder); at += same(all, at)) {
    if (is_among(holds, watched, all->of[at].object)) continue;
    say_object(sink, all->of[at].what, all->of[at].object);
    say_waiters(sink, same(all, at));
  }
}
