/* The heap's lock, and what is done around it; the heap itself is in arena.c.
 *
 *   `heap_lock`            meaning                                     written by
 *   0                      free                                        who holds it (unlock)
 *   holder                 held by a thread of that process            who takes it at once, from 0
 *   holder | CONTENDED     the same, and somebody may sleep on it      who has to wait; who takes it after having slept, or from a dead
 *                                                                      holder. Legal although nobody sleeps.
 *
 * Whoever finds that its holder is dead (slot.h) takes it from that one by a compare-and-swap, and makes the heap's index again before
 * anything else. If it dies in that, the next one does.
 *
 * No wake-up is lost to a death for long. The kernel wakes one sleeper at an unlock; one that is killed before it takes the lock, or
 * an unlocker that is killed between its two steps, leaves others asleep: these look again after RECHECK. A dead holder is
 * found in the same way. So a death costs the others that long at most, and nothing else costs them anything.
 *
 * It is held inside the runtime, where nobody is preempted by thrum, for some hundred instructions, and waited for outside, in
 * the kernel: who waits longer than that waits for a process that is stopped, and gives its worker up as in any call that blocks. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <errno.h>
#include <process/segment.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/process/memory.h>

enum { LARGE = 256 * 1024, TRIES = 100 };
#define CONTENDED UINT32_C(0x80000000)
#define RECHECK THRUM_MS(10)

static struct thrumi_segment *of(const thrum_shared_memory *m) { return (struct thrumi_segment *)m; }

/* ---- The lock ------------------------------------------------------------------------------------------------------------- */

/* Inside. Takes it from `seen`, free or a dead holder's. */
static bool take(struct thrumi_segment *s, uint32_t seen, uint32_t mine) {
  if (!thrumi_cas(&s->header->heap_lock, &seen, mine)) return false;
  if (seen && !thrumi_arena_rebuild(&s->header->arena, thrumi_segment_heap(s)))
    thrumi_fatal("the heap of a shared memory was written over, and a process died in it");
  thrumi_rely_on(&s->header->heap_lock);
  return true;
}

static bool try(struct thrumi_segment *s, uint32_t seen, uint32_t mine) {
  struct thrumi_kthread *k = thrumi_enter();
  bool taken = take(s, seen, mine);
  if (!taken) thrumi_leave(k);
  return taken;
}

static uint32_t spin(thrumi_futex *word) {
  uint32_t seen = thrumi_load(word);
  for (int i = 0; seen && i < TRIES; i++) {
    thrumi_pause();
    seen = thrumi_load(word);
  }
  return seen;
}

/* Outside; the caller is inside when it has the lock. */
static int lock(struct thrumi_segment *s) {
  thrumi_holder me;
  int error = thrumi_segment_slot(s, &me);
  if (error) return error;
  thrumi_futex *word = &s->header->heap_lock;
  if (thrumi_likely(try(s, 0, me))) return 0;
  for (uint32_t mine = me;;) {
    uint32_t seen = spin(word);
    if (seen == 0) {
      if (try(s, 0, mine)) return 0;
    } else if (thrumi_slot_is_dead(s, seen & ~CONTENDED)) {
      if (try(s, seen, me | CONTENDED)) return 0;
    } else if (seen & CONTENDED || thrumi_cas(word, &seen, seen | CONTENDED)) {
      thrumi_os.shared_wait(word, seen | CONTENDED, thrumi_os.now() + RECHECK);
      mine = me | CONTENDED;
    }
  }
}

/* Inside; outside afterwards. */
static void unlock(struct thrumi_segment *s) {
  thrumi_futex *word = &s->header->heap_lock;
  thrumi_announce(word);
  if (thrumi_swap(word, 0) & CONTENDED) thrumi_os.shared_wake(word, 1);
  thrumi_leave(thrumi_self());
}

/* ---- Blocks --------------------------------------------------------------------------------------------------------------- */

/* Makes a large block's whole pages zero and gives them back; what of it is left for memset is in *head and *tail. */
static bool empty_pages(char *block, size_t size, size_t *head, size_t *tail) {
  const size_t page = thrumi_os_page();
  *head = -(uintptr_t)block % page;
  *tail = ((uintptr_t)block + size) % page;
  return thrumi_os.empty(block + *head, size - *head - *tail) == 0;
}

static void clear(char *block, size_t size) {
  size_t head, tail;
  if (size >= LARGE && empty_pages(block, size, &head, &tail)) {
    memset(block, 0, head);
    memset(block + size - tail, 0, tail);
  } else {
    memset(block, 0, size);
  }
}

void *thrum_shared_alloc(thrum_shared_memory *m, size_t size) {
  struct thrumi_segment *s = of(m);
  if (!s->header->heap || lock(s) != 0) return NULL;
  uint64_t block = thrumi_arena_take(&s->header->arena, thrumi_segment_heap(s), size);
  unlock(s);
  if (!block) return NULL;
  char *start = thrumi_segment_heap(s) + block;
  clear(start, size);
  return start;
}

void *thrum_shared_alloc_array(thrum_shared_memory *m, size_t n, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(n, size, &bytes) ? NULL : thrum_shared_alloc(m, bytes);
}

/* Pages of a large block go back while it is still the caller's. */
static uint64_t block_of(struct thrumi_segment *s, char *start) {
  uintptr_t block = (uintptr_t)start - (uintptr_t)thrumi_segment_heap(s);
  uint64_t room = s->header->heap ? thrumi_arena_room(&s->header->arena, thrumi_segment_heap(s), block) : 0;
  size_t head, tail;
  if (room >= LARGE) empty_pages(start, room, &head, &tail);
  return room ? block : 0;
}

int thrum_shared_free(thrum_shared_memory *m, void *start) {
  struct thrumi_segment *s = of(m);
  if (!start) return 0;
  uint64_t block = block_of(s, start);
  if (!block) return -EINVAL;
  int error = lock(s);
  if (error) return error;
  bool given = thrumi_arena_give(&s->header->arena, thrumi_segment_heap(s), block);
  unlock(s);
  return given ? 0 : -EINVAL;
}

size_t thrum_shared_used(const thrum_shared_memory *m) {
  return of(m)->header->heap ? thrumi_load_relaxed(&of(m)->header->arena.used) : 0;
}
