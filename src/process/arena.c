/* Blocks of a shared heap; how it is laid out, and why a killed process does no harm, is said in arena.h. */
#include <core/fatal.h>
#include <process/arena.h>

enum { USED = 1, HEADER = 16, TRIES = 8 };

struct block {
  _Atomic uint64_t size;       /* the truth: with the header; | USED */
  _Atomic uint64_t before;     /* size of the block before; 0: it is the first */
  _Atomic uint64_t next, prev; /* of a free one: in its list */
};

static struct block *at(char *base, uint64_t block) { return (struct block *)(base + block - HEADER); }

static uint64_t size_of(struct block *b) { return thrumi_load_relaxed(&b->size) & ~(uint64_t)USED; }
static bool is_used(struct block *b) { return thrumi_load_relaxed(&b->size) & USED; }

/* The one store that changes the truth. Release: what was written inside comes before it. */
static void commit(struct block *b, uint64_t size) { thrumi_store(&b->size, size); }

/* A list's number; of blocks from 4 << k to 8 << k bytes in steps of 1 << k. */
static unsigned list_of(uint64_t size) {
  unsigned top = 63 - (unsigned)__builtin_clzll(size);
  return (top - 5) * 4 + (size >> (top - 2)) % 4;
}

THRUM_NORETURN static void spoiled(void) {
  thrumi_fatal("the heap of a shared memory was written over: somebody wrote beyond the end of a block");
}

/* ---- Lists ------------------------------------------------------------------------------------------------------------- */

static void mark(struct thrumi_arena *a, unsigned list, bool any) {
  uint64_t bit = UINT64_C(1) << list % 64, map = thrumi_load_relaxed(&a->map[list / 64]);
  thrumi_store_relaxed(&a->map[list / 64], any ? map | bit : map & ~bit);
}

static void insert(struct thrumi_arena *a, char *base, uint64_t block) {
  struct block *b = at(base, block);
  unsigned list = list_of(size_of(b));
  uint64_t first = thrumi_load_relaxed(&a->first[list]);
  thrumi_store_relaxed(&b->next, first);
  thrumi_store_relaxed(&b->prev, 0);
  if (first) thrumi_store_relaxed(&at(base, first)->prev, block);
  thrumi_store_relaxed(&a->first[list], block);
  mark(a, list, true);
}

static void take_out(struct thrumi_arena *a, char *base, uint64_t block) {
  struct block *b = at(base, block);
  uint64_t next = thrumi_load_relaxed(&b->next), prev = thrumi_load_relaxed(&b->prev);
  unsigned list = list_of(size_of(b));
  if (next) thrumi_store_relaxed(&at(base, next)->prev, prev);
  if (prev) {
    thrumi_store_relaxed(&at(base, prev)->next, next);
  } else {
    thrumi_store_relaxed(&a->first[list], next);
    if (!next) mark(a, list, false);
  }
}

/* The first list from this one on that is not empty; THRUMI_ARENA_LISTS: none. */
static unsigned find_list(struct thrumi_arena *a, unsigned from) {
  for (unsigned i = from / 64; i < THRUMI_ARENA_MAP; i++) {
    uint64_t map = thrumi_load_relaxed(&a->map[i]);
    if (i == from / 64) map &= ~UINT64_C(0) << from % 64;
    if (map) return i * 64 + (unsigned)__builtin_ctzll(map);
  }
  return THRUMI_ARENA_LISTS;
}

/* What a list names is a free block of some list's size, or somebody wrote over it. */
static uint64_t check(struct thrumi_arena *a, char *base, uint64_t block) {
  if (block % THRUMI_ARENA_UNIT || block > a->bytes - HEADER) spoiled();
  uint64_t size = thrumi_load_relaxed(&at(base, block)->size);
  if (size % THRUMI_ARENA_UNIT || size < THRUMI_ARENA_LEAST || size > a->bytes - block) spoiled();
  return block;
}

static uint64_t find(struct thrumi_arena *a, char *base, uint64_t size) {
  unsigned list = list_of(size);
  unsigned ample = list_of(size + (UINT64_C(1) << (61 - __builtin_clzll(size))) - 1);
  unsigned found = find_list(a, ample);
  if (found < THRUMI_ARENA_LISTS) return check(a, base, thrumi_load_relaxed(&a->first[found]));
  uint64_t block = thrumi_load_relaxed(&a->first[list]);
  for (int i = 0; block && i < TRIES; i++) {
    if (size_of(at(base, check(a, base, block))) >= size) return block;
    block = thrumi_load_relaxed(&at(base, block)->next);
  }
  return 0;
}

/* ---- Making the index ---------------------------------------------------------------------------------------------------- */

static void count(struct thrumi_arena *a, uint64_t size, bool more) {
  uint64_t used = thrumi_load_relaxed(&a->used), blocks = thrumi_load_relaxed(&a->blocks);
  thrumi_store_relaxed(&a->used, more ? used + size : used - size);
  thrumi_store_relaxed(&a->blocks, more ? blocks + 1 : blocks - 1);
}

static void clear(struct thrumi_arena *a) {
  thrumi_store_relaxed(&a->used, 0);
  thrumi_store_relaxed(&a->blocks, 0);
  for (unsigned i = 0; i < THRUMI_ARENA_MAP; i++) thrumi_store_relaxed(&a->map[i], 0);
  for (unsigned i = 0; i < THRUMI_ARENA_LISTS; i++) thrumi_store_relaxed(&a->first[i], 0);
}

static bool is_size(const struct thrumi_arena *a, uint64_t block, uint64_t size) {
  return size % THRUMI_ARENA_UNIT == 0 && size >= THRUMI_ARENA_LEAST && size <= a->bytes - block;
}

/* Joins what is free behind a free block. */
static bool join(struct thrumi_arena *a, char *base, uint64_t block) {
  for (;;) {
    struct block *b = at(base, block);
    uint64_t next = block + size_of(b);
    if (next > a->bytes - HEADER) return next == a->bytes;
    if (is_used(at(base, next))) return true;
    if (!is_size(a, next, size_of(at(base, next)))) return false;
    commit(b, size_of(b) + size_of(at(base, next)));
  }
}

bool thrumi_arena_rebuild(struct thrumi_arena *a, char *base) {
  clear(a);
  uint64_t before = 0, block = HEADER;
  while (block < a->bytes) {
    struct block *b = at(base, block);
    if (!is_size(a, block, size_of(b))) return false;
    if (!is_used(b) && !join(a, base, block)) return false;
    thrumi_store_relaxed(&b->before, before);
    before = size_of(b);
    if (is_used(b))
      count(a, before, true);
    else
      insert(a, base, block);
    block += before;
  }
  thrumi_store_relaxed(&at(base, block)->before, before);
  return block == a->bytes;
}

/* The last unit of the heap is the header of a block that is used for ever and has no size: nothing is joined with it. */
void thrumi_arena_format(struct thrumi_arena *a, char *base, uint64_t bytes) {
  a->bytes = bytes;
  commit(at(base, bytes), USED);
  commit(at(base, HEADER), bytes - HEADER);
  thrumi_arena_rebuild(a, base);
}

/* ---- Taking and giving --------------------------------------------------------------------------------------------------- */

/* The rest of a block of which `size` bytes are to be handed out, if it is worth a block. Inside the block still. */
static uint64_t prepare_rest(char *base, uint64_t block, uint64_t size) {
  uint64_t whole = size_of(at(base, block));
  if (whole - size < THRUMI_ARENA_LEAST) return 0;
  struct block *rest = at(base, block + size);
  thrumi_store_relaxed(&rest->size, whole - size);
  thrumi_store_relaxed(&rest->before, size);
  return block + size;
}

uint64_t thrumi_arena_take(struct thrumi_arena *a, char *base, uint64_t bytes) {
  if (bytes > THRUMI_ARENA_MOST) return 0;
  uint64_t size = (bytes + HEADER + THRUMI_ARENA_UNIT - 1) & ~(uint64_t)(THRUMI_ARENA_UNIT - 1);
  if (size < THRUMI_ARENA_LEAST) size = THRUMI_ARENA_LEAST;
  uint64_t block = find(a, base, size);
  if (!block) return 0;
  struct block *b = at(base, block);
  uint64_t whole = size_of(b), behind = block + whole;
  take_out(a, base, block);
  uint64_t rest = prepare_rest(base, block, size);
  if (!rest) size = whole;
  commit(b, size | USED);
  count(a, size, true);
  if (rest) {
    thrumi_store_relaxed(&at(base, behind)->before, whole - size);
    insert(a, base, rest);
  }
  return block;
}

uint64_t thrumi_arena_room(const struct thrumi_arena *a, const char *base, uint64_t block) {
  if (block % THRUMI_ARENA_UNIT || block < HEADER || block >= a->bytes) return 0;
  struct block *b = at((char *)base, block);
  uint64_t size = thrumi_load(&b->size);
  if (!(size & USED) || !is_size(a, block, size - USED)) return 0;
  size -= USED;
  return thrumi_load_relaxed(&at((char *)base, block + size)->before) == size ? size - HEADER : 0;
}

/* Free blocks on either side are joined with it, so no two of them are ever neighbours. */
bool thrumi_arena_give(struct thrumi_arena *a, char *base, uint64_t block) {
  uint64_t size = thrumi_arena_room(a, base, block);
  if (!size) return false;
  size += HEADER;
  struct block *b = at(base, block);
  commit(b, size);
  count(a, size, false);
  uint64_t next = block + size, before = thrumi_load_relaxed(&b->before);
  if (!is_used(at(base, next))) {
    take_out(a, base, check(a, base, next));
    size += size_of(at(base, next));
    commit(b, size);
  }
  if (before % THRUMI_ARENA_UNIT || before > block - HEADER) spoiled();
  if (before && !is_used(at(base, block - before))) {
    block = check(a, base, block - before);
    take_out(a, base, block);
    size += size_of(at(base, block));
    commit(at(base, block), size);
  }
  thrumi_store_relaxed(&at(base, block + size)->before, size);
  insert(a, base, block);
  return true;
}
