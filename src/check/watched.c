#include <check/watched.h>
#include <core/fatal.h>
#include <core/spin.h>
#include <string.h>

static struct {
  struct thrumi_spin lock;
  _Atomic(struct thrumi_watched *) entries;
  uint32_t count;       /* entries that are not NONE */
  _Atomic uint8_t full; /* enum fullness */
} table;

/* It is said when somebody is outside: the log is the user's. */
enum fullness { THERE_IS_ROOM, FULL, FULL_AND_SAID };

static uint32_t first_place(const void *object) {
  uint64_t key = (uintptr_t)object;
  key *= UINT64_C(0x9e3779b97f4a7c15);
  return (uint32_t)(key >> (64 - THRUMI_WATCHED_BITS));
}

/* The object's entry, or the free one where the search for it ends; NULL: neither. */
static struct thrumi_watched *search(struct thrumi_watched *entries, const void *object) {
  uint32_t place = first_place(object);
  for (uint32_t n = 0; n < THRUMI_WATCHED_MAX; n++, place++) {
    struct thrumi_watched *e = &entries[place % THRUMI_WATCHED_MAX];
    const void *there = thrumi_load(&e->object);
    if (there == object || !there) return e;
  }
  return NULL;
}

struct thrumi_watched *thrumi_watched_find(const void *object) {
  struct thrumi_watched *entries = thrumi_load(&table.entries);
  struct thrumi_watched *e = entries ? search(entries, object) : NULL;
  return e && thrumi_load(&e->object) == object && thrumi_load(&e->state) == THRUMI_WATCHED_LIVE ? e : NULL;
}

/* Under the lock. */
static struct thrumi_watched *entries_locked(void) {
  struct thrumi_watched *entries = thrumi_load(&table.entries);
  if (!entries) entries = thrumi_os.reserve(THRUMI_WATCHED_MAX * sizeof *entries);
  thrumi_store(&table.entries, entries);
  return entries;
}

/* The first entry on the object's way whose own object is gone; else `e`. */
static struct thrumi_watched *vacant(struct thrumi_watched *entries, const void *object,
                                     struct thrumi_watched *e) {
  uint32_t place = first_place(object);
  for (uint32_t n = 0; n < THRUMI_WATCHED_MAX; n++, place++) {
    struct thrumi_watched *other = &entries[place % THRUMI_WATCHED_MAX];
    if (other == e || thrumi_load(&other->state) == THRUMI_WATCHED_GONE) return other;
  }
  return e;
}

static void forget_figures(struct thrumi_watched *e) {
  thrumi_store(&e->klass, 0);
  thrumi_store(&e->holder_site, 0);
  thrumi_store(&e->holder_mark, 0);
  thrumi_store(&e->acquired, 0);
  thrumi_store(&e->waits, 0);
  thrumi_store(&e->waited, 0);
  thrumi_store(&e->longest, 0);
  for (int i = 0; i < THRUMI_BLAMED; i++) {
    thrumi_store(&e->blame[i].site, 0);
    thrumi_store(&e->blame[i].waited, 0);
  }
  memset(e->holder, 0,
         sizeof e->holder); /* whom the object was destroyed under has no business here any more */
}

static struct thrumi_watched *add_locked(const struct thrumi_acquire *a) {
  struct thrumi_watched *entries = entries_locked();
  if (!entries) return NULL;
  struct thrumi_watched *e = search(entries, a->object);
  if (!e || thrumi_load(&e->object) != a->object) e = vacant(entries, a->object, e);
  if (!e) return NULL;
  if (thrumi_load(&e->state) == THRUMI_WATCHED_LIVE) return e;
  forget_figures(e);
  thrumi_store(&e->first_site, a->site);
  e->hold = a->hold;
  thrumi_store(&e->object, a->object);
  thrumi_store(&e->state, THRUMI_WATCHED_LIVE);
  return e;
}

struct thrumi_watched *thrumi_watched_get(const struct thrumi_acquire *a) {
  struct thrumi_watched *e = thrumi_watched_find(a->object);
  if (thrumi_likely(e)) return e;
  thrumi_spin_lock(&table.lock);
  e = add_locked(a);
  if (!e && !thrumi_load_relaxed(&table.full)) thrumi_store(&table.full, FULL);
  thrumi_spin_unlock(&table.lock);
  return e;
}

void thrumi_watched_say_full(void) {
  uint8_t full = FULL;
  if (thrumi_likely(thrumi_load_relaxed(&table.full) != FULL) ||
      !thrumi_cas(&table.full, &full, FULL_AND_SAID))
    return;
  thrumi_log("more than %d locks are watched at once: the rest are not", THRUMI_WATCHED_MAX);
}

struct thrumi_watched *thrumi_watched_at(uint32_t i) {
  struct thrumi_watched *entries = thrumi_load(&table.entries);
  return entries && thrumi_load(&entries[i].state) == THRUMI_WATCHED_LIVE ? &entries[i] : NULL;
}

uintptr_t thrumi_watched_site(const void *object) {
  struct thrumi_watched *e = thrumi_watched_find(object);
  return e ? thrumi_load(&e->first_site) : 0;
}

void thrumi_watched_forget(const void *object) {
  if (!thrumi_watched_find(object)) return;
  thrumi_spin_lock(&table.lock);
  struct thrumi_watched *e = thrumi_watched_find(object);
  if (e) thrumi_store(&e->state, THRUMI_WATCHED_GONE);
  thrumi_spin_unlock(&table.lock);
}

void thrumi_watched_fork(void) { table.lock = (struct thrumi_spin){0}; }
