#include <check/held.h>
#include <core/fatal.h>

enum { CHUNK = 256, CHUNKS = (1 << THRUMI_LIFE_BITS) / CHUNK };

static struct {
  _Atomic uint32_t period;
  _Atomic(struct thrumi_held_stack *) chunk[CHUNKS];
} all;

/* The first one to need a chunk makes it; of two at once one gives its own back. NULL: no memory. */
static struct thrumi_held_stack *chunk_of(uint32_t slot) {
  _Atomic(struct thrumi_held_stack *) *at = &all.chunk[slot / CHUNK];
  struct thrumi_held_stack *chunk = thrumi_load(at), *none = NULL;
  if (chunk) return chunk;
  size_t size = CHUNK * sizeof *chunk;
  chunk = thrumi_os.reserve(size);
  if (!chunk || thrumi_cas(at, &none, chunk)) return chunk;
  thrumi_os.release(chunk, size);
  return none;
}

/* The thread's stack, locked. */
static struct thrumi_held_stack *lock(struct thrumi_thread *t) {
  struct thrumi_held_stack *chunk = chunk_of(t->slot);
  if (!chunk) return NULL;
  struct thrumi_held_stack *stack = &chunk[t->slot % CHUNK];
  uint64_t owner = thrumi_handle(t).value;
  uint32_t period = thrumi_load(&all.period);
  thrumi_spin_lock(&stack->lock);
  if (stack->owner != owner || stack->period != period) {
    stack->owner = owner;
    stack->period = period;
    stack->count = stack->more = 0;
  }
  return stack;
}

static void unlock(struct thrumi_held_stack *stack) { thrumi_spin_unlock(&stack->lock); }

bool thrumi_held_push(struct thrumi_thread *t, const struct thrumi_held *held) {
  struct thrumi_held_stack *stack = lock(t);
  if (!stack) return false;
  bool fits = stack->count < THRUMI_HELD_MAX;
  if (fits)
    stack->of[stack->count++] = *held;
  else
    stack->more++;
  unlock(stack);
  return fits;
}

bool thrumi_held_pop(struct thrumi_thread *t, const void *object, struct thrumi_held *out) {
  struct thrumi_held_stack *stack = lock(t);
  if (!stack) return false;
  uint32_t i = stack->count;
  while (i && stack->of[i - 1].object != object) i--;
  if (i) {
    *out = stack->of[i - 1];
    for (stack->count--; i <= stack->count; i++) stack->of[i - 1] = stack->of[i];
  } else if (stack->more) {
    stack->more--;
  }
  unlock(stack);
  return i;
}

uint32_t thrumi_held_copy(struct thrumi_thread *t, struct thrumi_held out[THRUMI_HELD_MAX]) {
  struct thrumi_held_stack *stack = lock(t);
  if (!stack) return 0;
  uint32_t n = stack->count;
  for (uint32_t i = 0; i < n; i++) out[i] = stack->of[i];
  unlock(stack);
  return n;
}

void thrumi_held_afresh(void) { thrumi_add(&all.period, 1u); }

/* Whoever held a stack's lock is not there. */
void thrumi_held_fork(void) {
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_held_stack *chunk = thrumi_load(&all.chunk[slot / CHUNK]);
    if (chunk) chunk[slot % CHUNK].lock = (struct thrumi_spin){0};
  }
}
