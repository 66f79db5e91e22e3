/* The figures lie in the entries of watched.h, and are added to without a lock: relaxed counters, exact when nobody counts at the
 * moment. Of the places behind which threads waited, the four with the longest waits are kept, by Space-Saving (Metwally,
 * Agrawal and El Abbadi, 2005): a fifth takes the place of the shortest and begins with what that had. So a place that is shown may
 * have too much, by what the shortest of the four has at most, and none that has more than that is missing.
 *
 * The same for the threads that held it, by their names: all threads of one name are one. Who begins to wait takes the name down,
 * since the holder may have ended when the wait does. These are more than a word, so a lock guards them, one for all: it is taken
 * by a thread that has just waited. */
#include <check/profile.h>
#include <core/backtrace.h>
#include <sched/object.h>
#include <sched/report.h>
#include <core/spin.h>
#include <sched/self.h>
#include <sched/waits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/trace.h>

enum { ROWS = 20 };

static struct thrumi_spin holders_lock;

void thrumi_profile_fork(void) { holders_lock = (struct thrumi_spin){0}; }

/* Whoever holds it alone has its mark in the object. Readers have not: then it is the one that came last. */
static struct thrumi_thread *holder_of(const struct thrumi_watched *e, const void *object) {
  uint32_t mark = (uint32_t)(__atomic_load_n((const uint64_t *)object, __ATOMIC_RELAXED) >> 32);
  if (!mark && e) mark = thrumi_load_relaxed(&e->holder_mark);
  return thrumi_marked(mark);
}

void thrumi_profile_waits(struct thrumi_acquire *a) {
  const struct thrumi_watched *e = thrumi_watched_find(a->object);
  struct thrumi_thread *t = holder_of(e, a->object);
  a->blamed = e ? thrumi_load_relaxed(&e->holder_site) : 0;
  a->holder_known = t && thrumi_name_take(t, THRUMI_GENERATION(thrumi_handle(t).value), &a->holder);
}

/* The slot of the place, or the one that it takes over. */
static struct thrumi_blame *slot_for(struct thrumi_watched *e, uintptr_t site) {
  struct thrumi_blame *least = &e->blame[0];
  for (int i = 0; i < THRUMI_BLAMED; i++) {
    struct thrumi_blame *b = &e->blame[i];
    uintptr_t there = thrumi_load_relaxed(&b->site);
    if (there == site) return b;
    if (!there) {
      least = b;
      break;
    }
    if (thrumi_load_relaxed(&b->waited) < thrumi_load_relaxed(&least->waited)) least = b;
  }
  thrumi_store_relaxed(&least->site, site);
  return least;
}

/* Threads that were given a name are told apart by that alone. */
static bool same_name(const struct thrumi_name_parts *a, const struct thrumi_name_parts *b) {
  if (a->given[0] || b->given[0]) return strcmp(a->given, b->given) == 0;
  return a->number == b->number && a->kind == b->kind;
}

static void blame_holder(struct thrumi_watched *e, const struct thrumi_name_parts *name, int64_t waited) {
  struct thrumi_holder *least = &e->holder[0], *h = NULL;
  thrumi_spin_lock(&holders_lock);
  for (int i = 0; i < THRUMI_BLAMED && !h; i++) {
    if (e->holder[i].waited && same_name(&e->holder[i].name, name)) h = &e->holder[i];
    if (e->holder[i].waited < least->waited) least = &e->holder[i];
  }
  if (!h) {
    h = least;
    h->name = *name;
  }
  h->waited += waited;
  thrumi_spin_unlock(&holders_lock);
}

static void count_wait(struct thrumi_watched *e, const struct thrumi_acquire *a) {
  int64_t waited = thrumi_os.now() - a->since, longest = thrumi_load_relaxed(&e->longest);
  thrumi_add(&e->waits, UINT64_C(1));
  thrumi_add(&e->waited, waited);
  while (waited > longest && !thrumi_cas(&e->longest, &longest, waited)) {
  }
  if (a->blamed) thrumi_add(&slot_for(e, a->blamed)->waited, waited);
  if (a->holder_known) blame_holder(e, &a->holder, waited);
}

void thrumi_profile_ends(const struct thrumi_acquire *a) {
  struct thrumi_watched *e = thrumi_watched_get(a);
  if (!e) return;
  thrumi_add(&e->acquired, UINT64_C(1));
  if (a->since) count_wait(e, a);
  thrumi_store_relaxed(&e->holder_site, a->site);
  thrumi_store_relaxed(&e->holder_mark, thrumi_mark_of(thrumi_self()->current));
}

/* ---- Printing --------------------------------------------------------------------------------------------------------- */

static int longer_first(const void *one, const void *other) {
  int64_t a = thrumi_load_relaxed(&(*(struct thrumi_watched *const *)one)->waited);
  int64_t b = thrumi_load_relaxed(&(*(struct thrumi_watched *const *)other)->waited);
  return a < b ? 1 : -(a > b);
}

static double seconds(int64_t ns) { return (double)ns / 1e9; }

static void say_waited(struct thrumi_sink *sink, int64_t waited, const char *behind, const char *what) {
  thrumi_say(sink, "%36.6f %12s    %s %s\n", seconds(waited), "", behind, what);
}

/* Where those had acquired it that others waited for, the most waited for first. */
static void say_places(struct thrumi_sink *sink, const struct thrumi_watched *e) {
  char place[THRUMI_PLACE_MAX];
  bool said[THRUMI_BLAMED] = {false};
  for (int n = 0; n < THRUMI_BLAMED; n++) {
    int next = -1;
    int64_t most = 0;
    for (int i = 0; i < THRUMI_BLAMED; i++) {
      int64_t waited = thrumi_load_relaxed(&e->blame[i].waited);
      if (!said[i] && waited > most) next = i, most = waited;
    }
    if (next < 0) return;
    said[next] = true;
    say_waited(sink, most, "behind", thrumi_place(thrumi_load_relaxed(&e->blame[next].site), place));
  }
}

static int more_first(const void *one, const void *other) {
  int64_t a = ((const struct thrumi_holder *)one)->waited, b = ((const struct thrumi_holder *)other)->waited;
  return a < b ? 1 : -(a > b);
}

static void say_holders(struct thrumi_sink *sink, const struct thrumi_watched *e) {
  struct thrumi_holder holders[THRUMI_BLAMED];
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&holders_lock);
  memcpy(holders, e->holder, sizeof holders);
  thrumi_spin_unlock(&holders_lock);
  thrumi_leave(k);
  qsort(holders, THRUMI_BLAMED, sizeof holders[0], more_first);
  for (int i = 0; i < THRUMI_BLAMED && holders[i].waited; i++) {
    char name[THRUM_NAME_MAX], quoted[THRUM_NAME_MAX + 2];
    thrumi_name_write(&holders[i].name, name, sizeof name);
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    say_waited(sink, holders[i].waited, "held by", quoted);
  }
}

static void say_row(struct thrumi_sink *sink, struct thrumi_watched *e) {
  static const char *const kinds[] = {"lock", "rlock", "rwlock", "rwlock", "gil"};
  char text[THRUMI_OBJECT_TEXT];
  thrumi_object_describe(thrumi_load(&e->object), text, sizeof text);
  thrumi_say(sink, "%12llu %10llu %12.6f %12.6f  %s %s\n",
             (unsigned long long)thrumi_load_relaxed(&e->acquired),
             (unsigned long long)thrumi_load_relaxed(&e->waits), seconds(thrumi_load_relaxed(&e->waited)),
             seconds(thrumi_load_relaxed(&e->longest)), kinds[e->hold], text);
  say_places(sink, e);
  say_holders(sink, e);
}

static int say_profile(struct thrumi_sink *sink) {
  struct thrumi_watched **rows = thrumi_os.allocate(THRUMI_WATCHED_MAX * sizeof *rows);
  if (!rows) return -ENOMEM;
  size_t n = 0;
  for (uint32_t i = 0; i < THRUMI_WATCHED_MAX; i++) {
    struct thrumi_watched *e = thrumi_watched_at(i);
    if (e && thrumi_load_relaxed(&e->acquired)) rows[n++] = e;
  }
  qsort(rows, n, sizeof *rows, longer_first);
  thrumi_say(sink, "thrum: locks by how long threads waited for them: %zu\n", n);
  thrumi_say(sink, "%12s %10s %12s %12s\n", "acquired", "waits", "waited, s", "longest, s");
  for (size_t i = 0; i < n && i < ROWS; i++) say_row(sink, rows[i]);
  if (n > ROWS) thrumi_say(sink, "%12s and %zu locks that were waited for less\n", "", n - ROWS);
  thrumi_os.free(rows);
  return (int)n;
}

int thrum_lock_profile(int fd) {
  thrumi_leave(thrumi_enter());
  struct thrumi_sink sink = {.fd = fd};
  int n = say_profile(&sink);
  return sink.error ? sink.error : n;
}

void thrumi_profile_at_exit(void) {
  struct thrumi_sink sink = {.fd = THRUMI_SINK_LOG};
  say_profile(&sink);
}
