/* The figures lie in the entries of watched.h, and are added to without a lock: relaxed counters, exact when nobody counts at the
 * moment. Of the places behind which threads waited, the four with the longest waits are kept, by Space-Saving (Metwally,
 * Agrawal and El Abbadi, 2005): a fifth takes the place of the shortest and begins with what that had. So a place that is shown may
 * have too much, by what the shortest of the four has at most, and none that has more than that is missing. */
#include <check/profile.h>
#include <core/backtrace.h>
#include <sched/object.h>
#include <sched/report.h>
#include <sched/self.h>
#include <stdlib.h>
#include <thrum/trace.h>

enum { ROWS = 20 };

void thrumi_profile_waits(struct thrumi_acquire *a) {
  struct thrumi_watched *e = thrumi_watched_find(a->object);
  a->blamed = e ? thrumi_load_relaxed(&e->holder_site) : 0;
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

static void count_wait(struct thrumi_watched *e, const struct thrumi_acquire *a) {
  int64_t waited = thrumi_os.now() - a->since, longest = thrumi_load_relaxed(&e->longest);
  thrumi_add(&e->waits, UINT64_C(1));
  thrumi_add(&e->waited, waited);
  while (waited > longest && !thrumi_cas(&e->longest, &longest, waited)) {
  }
  if (a->blamed) thrumi_add(&slot_for(e, a->blamed)->waited, waited);
}

void thrumi_profile_ends(const struct thrumi_acquire *a) {
  struct thrumi_watched *e = thrumi_watched_get(a);
  if (!e) return;
  thrumi_add(&e->acquired, UINT64_C(1));
  if (a->since) count_wait(e, a);
  thrumi_store_relaxed(&e->holder_site, a->site);
}

/* ---- Printing --------------------------------------------------------------------------------------------------------- */

static int longer_first(const void *one, const void *other) {
  int64_t a = thrumi_load_relaxed(&(*(struct thrumi_watched *const *)one)->waited);
  int64_t b = thrumi_load_relaxed(&(*(struct thrumi_watched *const *)other)->waited);
  return a < b ? 1 : -(a > b);
}

static double seconds(int64_t ns) { return (double)ns / 1e9; }

static void say_row(struct thrumi_sink *sink, struct thrumi_watched *e) {
  static const char *const kinds[] = {"lock", "rlock", "rwlock", "rwlock", "gil"};
  char text[THRUMI_OBJECT_TEXT], place[THRUMI_PLACE_MAX];
  thrumi_object_describe(thrumi_load(&e->object), text, sizeof text);
  thrumi_say(sink, "%12llu %10llu %12.6f %12.6f  %s %s\n",
             (unsigned long long)thrumi_load_relaxed(&e->acquired),
             (unsigned long long)thrumi_load_relaxed(&e->waits), seconds(thrumi_load_relaxed(&e->waited)),
             seconds(thrumi_load_relaxed(&e->longest)), kinds[e->hold], text);
  for (int i = 0; i < THRUMI_BLAMED; i++) {
    uintptr_t site = thrumi_load_relaxed(&e->blame[i].site);
    int64_t waited = thrumi_load_relaxed(&e->blame[i].waited);
    if (site && waited)
      thrumi_say(sink, "%36.6f %12s    behind %s\n", seconds(waited), "", thrumi_place(site, place));
  }
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
