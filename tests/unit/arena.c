/* A shared heap beside a simple model, by operations made by chance; and killed at each of its steps.
 *
 * arena.c is compiled here so that it calls thrumi_explore_point before each access to what is shared. A process that is killed has made
 * all accesses up to some point and none behind it: so the test runs an operation once for each of its points, stops
 * there for good, makes the index again as a process would that takes the lock over, which is itself stopped at some points, and looks whether all
 * that was handed out is still there, nothing else is (but what the killed one was being given), and no free memory is lost. */
#include "../check.h"

#include <core/fatal.h>
#include <process/arena.h>
#include <setjmp.h>

enum { BYTES = 2048, BLOCKS = 64, HEADER = 16 };

/* ---- Stopping at a point ------------------------------------------------------------------------------------------------- */

static long points, stop_at = -1;
static jmp_buf stopped;

void thrumi_explore_point(void);
void thrumi_explore_point(void) {
  if (points++ == stop_at) longjmp(stopped, 1);
}

void thrumi_fatal(const char *format, ...) { check_failed(__FILE__, __LINE__, "fatal: %s", format); }

/* ---- The heap and its model ------------------------------------------------------------------------------------------------ */

struct world {
  struct thrumi_arena arena;
  _Alignas(64) char base[BYTES];
  struct held {
    uint64_t block, bytes;
    unsigned char fill;
  } held[BLOCKS];
  int count;
};

static struct world w;

static uint32_t chance(uint32_t n) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 33) % n;
}

static uint64_t word(uint64_t block) { return *(uint64_t *)(w.base + block - HEADER); }

/* How often a list names the block. */
static int times_listed(uint64_t block) {
  int times = 0;
  for (int i = 0; i < THRUMI_ARENA_LISTS; i++)
    for (uint64_t b = w.arena.first[i]; b; b = *(uint64_t *)(w.base + b)) times += b == block;
  return times;
}

static int find_held(uint64_t block) {
  for (int i = 0; i < w.count; i++)
    if (w.held[i].block == block) return i;
  return -1;
}

/* All is as arena.h says. Returns how many used blocks there are that the model does not know. */
static int check_all(void) {
  int strangers = 0, known = 0;
  bool before_free = false;
  uint64_t before = 0, block = HEADER, used = 0;
  for (uint64_t size; block < BYTES; block += size, before = size) {
    size = word(block) & ~(uint64_t)1;
    bool is_free = !(word(block) & 1);
    CHECK(size >= THRUMI_ARENA_LEAST && size % 16 == 0 && size <= BYTES - block);
    CHECK_EQ(*(uint64_t *)(w.base + block - 8), before);
    CHECK_EQ(times_listed(block), is_free);
    CHECK(!is_free || !before_free); /* neighbours are joined */
    before_free = is_free;
    if (is_free) continue;
    used += size;
    int i = find_held(block);
    if (i < 0) strangers++;
    if (i >= 0) known++;
    CHECK(i < 0 || size - HEADER >= w.held[i].bytes);
  }
  CHECK_EQ(block, BYTES);
  CHECK_EQ(known, w.count);
  CHECK_EQ(w.arena.used, used);
  CHECK_EQ(w.arena.blocks, known + strangers);
  for (int i = 0; i < THRUMI_ARENA_LISTS; i++)
    CHECK_EQ(w.arena.map[i / 64] >> i % 64 & 1, w.arena.first[i] != 0);
  for (int i = 0; i < w.count; i++)
    for (uint64_t j = 0; j < w.held[i].bytes; j++)
      CHECK_EQ((unsigned char)w.base[w.held[i].block + j], w.held[i].fill);
  return strangers;
}

/* ---- Operations ------------------------------------------------------------------------------------------------------------ */

struct operation {
  int give; /* which one; -1: take */
  uint64_t bytes;
};

static struct operation any_operation(void) {
  bool give = w.count == BLOCKS || (w.count && chance(100) < 48);
  if (give) return (struct operation){.give = (int)chance((uint32_t)w.count)};
  return (struct operation){.give = -1, .bytes = chance(10) ? chance(120) : chance(900)};
}

static void forget(int i) { w.held[i] = w.held[--w.count]; }

static void run(struct operation o) {
  if (o.give >= 0) {
    uint64_t block = w.held[o.give].block;
    forget(o.give); /* whatever becomes of it */
    CHECK(thrumi_arena_give(&w.arena, w.base, block));
    return;
  }
  uint64_t block = thrumi_arena_take(&w.arena, w.base, o.bytes);
  if (!block) return;
  CHECK(thrumi_arena_room(&w.arena, w.base, block) >= o.bytes);
  struct held *held = &w.held[w.count++];
  *held = (struct held){.block = block, .bytes = o.bytes, .fill = (unsigned char)chance(256)};
  memset(w.base + block, held->fill, o.bytes);
}

static void rebuild_all(void) { CHECK(thrumi_arena_rebuild(&w.arena, w.base)); }

/* Stops the operation at a point. False: it ended before. */
static bool stops(struct operation o, long at) {
  stop_at = at;
  points = 0;
  bool reached = setjmp(stopped);
  if (!reached) run(o);
  stop_at = -1;
  return reached;
}

static bool rebuild_stops(long at) {
  stop_at = at;
  points = 0;
  bool reached = setjmp(stopped);
  if (!reached) rebuild_all();
  stop_at = -1;
  return reached;
}

/* The operation is killed at each point, and who mends it at some of its own. */
static void kill_everywhere(struct operation o) {
  static struct world before;
  before = w;
  for (long at = 0;; at++) {
    w = before;
    if (!stops(o, at)) break;
    for (long i = chance(30); i < 2000 && rebuild_stops(i); i += 1 + chance(300)) {
    }
    rebuild_all();
    CHECK(check_all() <= 1);
  }
  CHECK_EQ(check_all(), 0); /* the last one was run to its end */
}

/* ---- What is checked -------------------------------------------------------------------------------------------------------- */

static void fresh(void) {
  memset(&w, 0, sizeof w);
  thrumi_arena_format(&w.arena, w.base, BYTES);
  CHECK_EQ(check_all(), 0);
}

static void beside_the_model(int operations) {
  fresh();
  for (int i = 0; i < operations; i++) {
    run(any_operation());
    CHECK_EQ(check_all(), 0);
  }
  while (w.count) run((struct operation){.give = 0});
  CHECK_EQ(check_all(), 0);
  CHECK_EQ(word(HEADER), BYTES - HEADER); /* one block again */
}

static void killed(int operations) {
  fresh();
  for (int i = 0; i < operations; i++) kill_everywhere(any_operation());
}

/* It goes on behind one that was killed and mended; what was lost in flight stays lost and does no harm. */
static void go_on_after_kills(int operations) {
  fresh();
  int lost = 0;
  for (int i = 0; i < operations; i++) {
    if (lost < 10 && chance(4) == 0 && stops(any_operation(), chance(40))) rebuild_all();
    run(any_operation());
    lost = check_all();
  }
}

/* A heap can be used up to its last byte, and what does not fit is refused. */
static void used_up(void) {
  fresh();
  CHECK_EQ(thrumi_arena_take(&w.arena, w.base, BYTES - 2 * HEADER + 1), 0);
  CHECK_EQ(thrumi_arena_take(&w.arena, w.base, UINT64_MAX), 0);
  CHECK_EQ(thrumi_arena_take(&w.arena, w.base, UINT64_MAX - 8), 0);
  uint64_t all = thrumi_arena_take(&w.arena, w.base, BYTES - 2 * HEADER);
  CHECK_EQ(all, HEADER);
  CHECK_EQ(thrumi_arena_take(&w.arena, w.base, 0), 0);
  CHECK(thrumi_arena_give(&w.arena, w.base, all));
  int n = 0;
  while (thrumi_arena_take(&w.arena, w.base, 0)) n++;
  CHECK_EQ(n, (BYTES - HEADER) / THRUMI_ARENA_LEAST);
}

/* Not a block, or not a used one: refused, and nothing changes. */
static void bad_blocks(void) {
  fresh();
  uint64_t one = thrumi_arena_take(&w.arena, w.base, 40), two = thrumi_arena_take(&w.arena, w.base, 40);
  const uint64_t bad[] = {0,        1,        8,          15,    one + 1,    one + 8,
                          one + 16, two - 16, BYTES - 16, BYTES, BYTES + 16, UINT64_MAX};
  *(uint64_t *)(w.base + one) = 33; /* looks like the header of a used block of 32 bytes */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!thrumi_arena_give(&w.arena, w.base, bad[i]));
  CHECK(thrumi_arena_give(&w.arena, w.base, one));
  CHECK(!thrumi_arena_give(&w.arena, w.base, one)); /* twice */
  CHECK(thrumi_arena_give(&w.arena, w.base, two));
  CHECK(!thrumi_arena_give(&w.arena, w.base, two));
  CHECK(!thrumi_arena_give(&w.arena, w.base, one));
  CHECK_EQ(check_all(), 0);
}

/* Words that somebody wrote over are found when the index is made again. */
static void spoiled(void) {
  const uint64_t words[] = {0, 8, 16, 33, 4096, UINT64_MAX, UINT64_MAX & ~(uint64_t)15};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    fresh();
    uint64_t one = thrumi_arena_take(&w.arena, w.base, 40), two = thrumi_arena_take(&w.arena, w.base, 40);
    CHECK(one && two);
    *(uint64_t *)(w.base + two - HEADER) = words[i];
    CHECK(!thrumi_arena_rebuild(&w.arena, w.base));
  }
}

int main(void) {
  used_up();
  bad_blocks();
  spoiled();
  beside_the_model(20000);
  killed(3000);
  go_on_after_kills(20000);
  return 0;
}
