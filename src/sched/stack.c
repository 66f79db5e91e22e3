#define _GNU_SOURCE
#include <core/sanitize.h>
#include <sched/stack.h>

#include <core/spin.h>
#include <os/os.h>

#include <errno.h>
#include <sys/mman.h>

enum {
  SIZE_MIN_BITS = 12,
  SIZE_MAX_BITS = 40,
  POOLS = SIZE_MAX_BITS - SIZE_MIN_BITS + 1,
  SLAB_FIRST = 16, /* stacks of a pool's first slab; the next ones have four times as many, up to the most */
  SLAB_MOST = 256,
  SLAB_WORDS = SLAB_MOST / 64,
  TRIM_MOST = 1024, /* stacks of one call, about 2 ms */
};
static const size_t slab_bytes_most = (size_t)128 << 20;
static const int64_t trim_period = 1000000000;

/* At the start of its mapping. Written under the lock, but for what never changes. */
struct thrumi_stack_slab {
  struct thrumi_stack_slab *next; /* of the pool's slabs with a raw or cold stack */
  char *first;                    /* the guard of stack 0 */
  size_t size;
  bool listed;
  uint64_t raw[SLAB_WORDS], cold[SLAB_WORDS];
};

/* In the topmost bytes of a warm stack in a pool. */
struct warm {
  struct warm *next;
  struct thrumi_stack_slab *slab;
};

struct pool {
  uint64_t total; /* stacks of all its slabs */
  struct thrumi_stack_slab *slabs;
  struct warm *warm;
  size_t count;    /* warm ones */
  size_t idle;     /* the least that `count` was since trim looked: so many were not needed */
  size_t growth;   /* stacks of the next slab; 0: SLAB_FIRST */
  int64_t trim_at; /* trim looks again */
};

static struct thrumi_spin lock; /* of all pools. Held for a few instructions, never during a system call. */
static struct pool pools[POOLS];
_Atomic uint8_t thrumi_stack_default_bits = 18;

/* ---- Sizes and places ---------------------------------------------------------------------------------- */

/* The power of two that serves `size`; 0: too large. */
static size_t round_up(size_t size) {
  size_t least = thrumi_os_page();
  if (size > (size_t)1 << SIZE_MAX_BITS) return 0;
  if (size <= least) return least;
  return (size_t)1 << (64 - __builtin_clzll(size - 1));
}

static struct pool *pool_of(size_t size) { return &pools[__builtin_ctzll(size) - SIZE_MIN_BITS]; }

static size_t stride_of(size_t size) { return THRUMI_STACK_GUARD + size; }

static struct thrumi_stack stack_at(struct thrumi_stack_slab *slab, size_t index) {
  char *guard = slab->first + index * stride_of(slab->size);
  return (struct thrumi_stack){.low = guard + THRUMI_STACK_GUARD, .size = slab->size, .slab = slab};
}

static size_t index_of(const struct thrumi_stack *stack) {
  return (size_t)(stack->low - stack->slab->first) / stride_of(stack->size);
}

/* ---- Guards -------------------------------------------------------------------------------------------- */

enum guard_kind { MARKED, PROTECTED, UNGUARDED };

/* What the next one gets; only ever rises. LeakSanitizer reads all that may be read, and knows no markers. */
static _Atomic int guard_kind = THRUMI_ASAN ? PROTECTED : MARKED;
static _Atomic uint64_t guard_counts[UNGUARDED + 1];

/* 0, or what the OS said. */
static int try_guard(enum guard_kind kind, char *guard) {
  if (kind == MARKED) return thrumi_os.guard(guard, THRUMI_STACK_GUARD);
  if (kind == UNGUARDED) return 0;
  if (thrumi_load_relaxed(&guard_counts[PROTECTED]) >= THRUMI_STACK_PROTECTED_MAX) return -ENOMEM;
  return thrumi_os.protect(guard, THRUMI_STACK_GUARD);
}

/* -ENOMEM: failed for now; the stack stays raw. */
static int make_guard(char *guard) {
  for (;;) {
    int kind = thrumi_load_relaxed(&guard_kind);
    if (kind == MARKED && thrumi_on_valgrind()) kind = PROTECTED;
    int error = try_guard((enum guard_kind)kind, guard);
    if (error == 0) {
      thrumi_add(&guard_counts[kind], 1);
      return 0;
    }
    bool ended = error == (kind == MARKED ? -EINVAL : -ENOMEM); /* no markers here; no more mappings */
    if (!ended) return -ENOMEM;
    thrumi_cas(&guard_kind, &kind, kind + 1);
  }
}

void thrumi_stack_count(struct thrumi_stack_counts *out) {
  out->marked = thrumi_load_relaxed(&guard_counts[MARKED]);
  out->protected = thrumi_load_relaxed(&guard_counts[PROTECTED]);
  out->unguarded = thrumi_load_relaxed(&guard_counts[UNGUARDED]);
  out->mapped = out->marked + out->protected + out->unguarded;
}

bool thrumi_stack_guard_hit(const struct thrumi_stack *stack, uintptr_t address) {
  uintptr_t low = (uintptr_t)stack->low;
  return low && address < low && address >= low - THRUMI_STACK_GUARD;
}

/* ---- Slabs: raw and cold stacks ------------------------------------------------------------------------ */

static void list_slab(struct pool *pool, struct thrumi_stack_slab *slab) {
  if (slab->listed) return;
  slab->listed = true;
  slab->next = pool->slabs;
  pool->slabs = slab;
}

/* The index of a set bit, which is cleared, or -1. */
static int claim_bit(uint64_t *words) {
  for (int i = 0; i < SLAB_WORDS; i++)
    if (words[i]) {
      int bit = __builtin_ctzll(words[i]);
      words[i] &= words[i] - 1;
      return i * 64 + bit;
    }
  return -1;
}

static void set_bit(uint64_t *words, size_t index) { words[index / 64] |= UINT64_C(1) << index % 64; }

/* Takes a stack out of a slab. Under the lock. False: every slab is exhausted. */
static bool claim(struct pool *pool, struct thrumi_stack *out, bool *raw) {
  for (struct thrumi_stack_slab *slab; (slab = pool->slabs); pool->slabs = slab->next, slab->listed = false) {
    int index = claim_bit(slab->cold);
    *raw = index < 0;
    if (*raw) index = claim_bit(slab->raw);
    if (index < 0) continue;
    *out = stack_at(slab, (size_t)index);
    return true;
  }
  return false;
}

static void put_back(const struct thrumi_stack *stack, bool raw) {
  thrumi_spin_lock(&lock);
  set_bit(raw ? stack->slab->raw : stack->slab->cold, index_of(stack));
  list_slab(pool_of(stack->size), stack->slab);
  thrumi_spin_unlock(&lock);
}

/* As many stacks as wished in one mapping, or as there is room for. */
static struct thrumi_stack_slab *map_slab(size_t size, size_t wished, size_t *count) {
  size_t most = slab_bytes_most / stride_of(size);
  *count = wished < most ? wished : most ? most : 1;
  for (; *count; *count /= 2) {
    struct thrumi_stack_slab *slab = thrumi_os.reserve(thrumi_os_page() + *count * stride_of(size));
    if (slab) return slab;
  }
  return NULL;
}

/* Maps one more slab. Two threads may do so at once: the second one is needed a little later. */
static int grow(struct pool *pool, size_t size) {
  thrumi_spin_lock(&lock);
  size_t count, wished = pool->growth ? pool->growth : SLAB_FIRST;
  thrumi_spin_unlock(&lock);
  struct thrumi_stack_slab *slab = map_slab(size, wished, &count);
  if (!slab) return -ENOMEM;
  thrumi_leak_root(slab, thrumi_os_page() + count * stride_of(size));
  slab->first = (char *)slab + thrumi_os_page();
  slab->size = size;
  for (size_t i = 0; i < count; i++) set_bit(slab->raw, i);
  thrumi_spin_lock(&lock);
  list_slab(pool, slab);
  pool->total += count;
  pool->growth = wished * 4 < SLAB_MOST ? wished * 4 : SLAB_MOST;
  thrumi_spin_unlock(&lock);
  return 0;
}

int thrumi_stack_reserve(uint64_t count) {
  size_t size = thrumi_stack_default();
  for (struct pool *pool = pool_of(size);;) {
    thrumi_spin_lock(&lock);
    bool enough = pool->total >= count;
    thrumi_spin_unlock(&lock);
    if (enough) return 0;
    if (grow(pool, size) != 0) return -ENOMEM;
  }
}

/* ---- Pools: warm stacks -------------------------------------------------------------------------------- */

/* Under the lock. */
static void push_warm(struct pool *pool, const struct thrumi_stack *stack) {
  struct warm *warm = (struct warm *)(void *)(stack->low + stack->size) - 1;
  *warm = (struct warm){.next = pool->warm, .slab = stack->slab};
  pool->warm = warm;
  pool->count++;
}

static bool pop_warm(struct pool *pool, struct thrumi_stack *out) {
  struct warm *warm = pool->warm;
  if (!warm) return false;
  size_t size = warm->slab->size;
  *out = (struct thrumi_stack){.low = (char *)(warm + 1) - size, .size = size, .slab = warm->slab};
  pool->warm = warm->next;
  if (--pool->count < pool->idle) pool->idle = pool->count;
  return true;
}

/* A stack from the pool, and into the cache (if any) what else is warm there, up to a batch. */
static int take_pooled(struct thrumi_stack_cache *cache, size_t size, struct thrumi_stack *out) {
  struct pool *pool = pool_of(size);
  bool raw = false;
  for (;;) {
    thrumi_spin_lock(&lock);
    bool found = pop_warm(pool, out);
    struct thrumi_stack more;
    while (found && cache && cache->count < THRUMI_STACK_BATCH - 1 && pop_warm(pool, &more))
      cache->magazine[cache->count++] = (struct thrumi_stack_entry){more.low, more.slab};
    found = found || claim(pool, out, &raw);
    thrumi_spin_unlock(&lock);
    if (found) break;
    if (grow(pool, size) != 0) return -ENOMEM;
  }
  if (raw) thrumi_valgrind_stack(out->low, out->size);
  if (!raw || make_guard(out->low - THRUMI_STACK_GUARD) == 0) return 0;
  put_back(out, true);
  *out = (struct thrumi_stack){0};
  return -ENOMEM;
}

static void give_pooled(const struct thrumi_stack *stack) {
  thrumi_spin_lock(&lock);
  push_warm(pool_of(stack->size), stack);
  thrumi_spin_unlock(&lock);
}

/* ---- Magazines ----------------------------------------------------------------------------------------- */

/* Moves the oldest `n` to the pool. */
static void unload(struct thrumi_stack_cache *cache, unsigned n) {
  if (n == 0) return;
  thrumi_spin_lock(&lock);
  for (unsigned i = 0; i < n; i++) {
    struct thrumi_stack_entry *entry = &cache->magazine[i];
    push_warm(pool_of(cache->size), &(struct thrumi_stack){entry->low, cache->size, entry->slab});
  }
  thrumi_spin_unlock(&lock);
  cache->count -= n;
  for (unsigned i = 0; i < cache->count; i++) cache->magazine[i] = cache->magazine[i + n];
}

static void follow_default(struct thrumi_stack_cache *cache, size_t size) {
  if (thrumi_likely(cache->size == size)) return;
  unload(cache, cache->count);
  cache->size = size;
}

int thrumi_stack_take(struct thrumi_stack_cache *cache, size_t size, struct thrumi_stack *out) {
  size_t usual = thrumi_stack_default();
  if (size != usual) size = size ? round_up(size) : usual;
  *out = (struct thrumi_stack){0};
  if (size == 0) return -ENOMEM;
  if (!cache) return take_pooled(NULL, size, out);
  if (size != usual) {
    if (cache->other.size != size) return take_pooled(NULL, size, out);
    *out = cache->other;
    cache->other = (struct thrumi_stack){0};
    return 0;
  }
  follow_default(cache, usual);
  if (cache->count == 0) return take_pooled(cache, size, out);
  struct thrumi_stack_entry *entry = &cache->magazine[--cache->count];
  *out = (struct thrumi_stack){entry->low, size, entry->slab};
  return 0;
}

void thrumi_stack_give(struct thrumi_stack_cache *cache, struct thrumi_stack *stack) {
  struct thrumi_stack given = *stack;
  *stack = (struct thrumi_stack){0};
  if (!given.low) return;
  if (!cache) {
    give_pooled(&given);
  } else if (given.size == cache->size) {
    if (cache->count == THRUMI_STACK_MAGAZINE) unload(cache, THRUMI_STACK_BATCH);
    cache->magazine[cache->count++] = (struct thrumi_stack_entry){given.low, given.slab};
  } else {
    if (cache->other.low) give_pooled(&cache->other);
    cache->other = given;
    __builtin_prefetch(given.low + given.size - sizeof(struct warm), 1); /* give_pooled writes there next */
  }
}

void thrumi_stack_drain(struct thrumi_stack_cache *cache) {
  unload(cache, cache->count);
  if (cache->other.low) give_pooled(&cache->other);
  cache->other = (struct thrumi_stack){0};
}

void thrumi_stack_set_default(size_t size) {
  size = round_up(size);
  if (size) thrumi_store_relaxed(&thrumi_stack_default_bits, (uint8_t)__builtin_ctzll(size));
}

/* ---- Trimming ------------------------------------------------------------------------------------------ */

/* Makes up to `most` warm stacks cold; returns how many, which is fewer if the OS refuses. */
static size_t chill(struct pool *pool, size_t most) {
  struct thrumi_stack batch[THRUMI_STACK_BATCH];
  size_t n = 0, done = 0;
  thrumi_spin_lock(&lock);
  while (n < most && n < THRUMI_STACK_BATCH && pop_warm(pool, &batch[n])) n++;
  thrumi_spin_unlock(&lock);
  for (size_t i = 0; i < n; i++) {
    if (thrumi_os.discard(batch[i].low, batch[i].size) == 0) {
      put_back(&batch[i], false);
      done++;
    } else {
      give_pooled(&batch[i]);
    }
  }
  return done;
}

/* How many to trim now; 0 and when to look again otherwise. */
static size_t surplus_of(struct pool *pool, int64_t now, int64_t *again) {
  size_t surplus = 0;
  *again = INT64_MAX;
  thrumi_spin_lock(&lock);
  if (pool->count > THRUMI_STACK_WARM) {
    if (now >= pool->trim_at) {
      surplus = pool->count - THRUMI_STACK_WARM;
      if (surplus > pool->idle) surplus = pool->idle;
      pool->trim_at = now + trim_period;
      pool->idle = pool->count;
    }
    *again = pool->trim_at;
  }
  thrumi_spin_unlock(&lock);
  return surplus;
}

static int64_t trim_pool(struct pool *pool, int64_t now) {
  int64_t again;
  size_t surplus = surplus_of(pool, now, &again), done = 0;
  while (done < surplus && done < TRIM_MOST) {
    size_t n = chill(pool, surplus - done);
    if (n == 0) return again;
    done += n;
  }
  if (done == surplus) return again;
  thrumi_spin_lock(&lock); /* the rest has waited long enough, too: it is next, once others had their turn */
  pool->trim_at = now;
  thrumi_spin_unlock(&lock);
  return now;
}

int64_t thrumi_stack_trim(int64_t now) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < POOLS; i++) {
    int64_t again = trim_pool(&pools[i], now);
    if (again < next) next = again;
  }
  return next;
}

/* ---- How much of it was used --------------------------------------------------------------------------- */

/* Pages that are locked (mlockall) cannot be given back; they are there, then. What the last user left poisoned may be written. */
__attribute__((no_sanitize_address)) void thrumi_stack_clean(const struct thrumi_stack *stack) {
  if (thrumi_os.discard(stack->low, stack->size) == 0) return;
  volatile uint64_t *words = (volatile uint64_t *)(void *)stack->low;
  for (size_t i = 0; i < stack->size / sizeof *words; i++) words[i] = 0;
}

/* It may be the stack of a thread that runs; what that writes meanwhile is counted or not. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static const char *first_set(const char *from,
                                                                                      size_t size) {
  const volatile uint64_t *words = (const volatile uint64_t *)(const void *)from;
  for (size_t i = 0; i < size / sizeof *words; i++)
    if (words[i]) return from + i * sizeof *words;
  return NULL;
}

/* mincore is asked directly: it neither waits nor takes anything, and tells of this memory alone. */
ssize_t thrumi_stack_used(const struct thrumi_stack *stack) {
  unsigned char resident[1024];
  const size_t page = thrumi_os_page(), step = sizeof resident * page;
  const char *high = stack->low + stack->size;
  int errno_before = errno;
  for (char *at = stack->low; at < high; at += step) {
    size_t bytes = (size_t)(high - at) < step ? (size_t)(high - at) : step;
    if (mincore(at, bytes, resident) != 0) {
      int error = errno;
      errno = errno_before;
      return -error;
    }
    for (size_t i = 0; i < bytes / page; i++) {
      const char *found = resident[i] & 1 ? first_set(at + i * page, page) : NULL;
      if (found) return high - found;
    }
  }
  return 0;
}

/* ---- Fork ---------------------------------------------------------------------------------------------- */

void thrumi_stack_fork(void) {
  /* Somebody may have been in the middle of it, and a fork copies page by page: what the pools held is lost to
   * this process, and costs addresses only. */
  for (int i = 0; i < POOLS; i++) pools[i] = (struct pool){0};
  lock = (struct thrumi_spin){0};
}
