/* A walk of a stack that holds anything, with registers that hold anything, ends without a fault and reads nothing
 * outside of the bounds: memory beside the stack holds an address that must never be reported. */
#define _GNU_SOURCE 1
#include "stack.h"
#include <core/backtrace.h>
#include <signal.h>
#include <stdbool.h>

enum { MAX = 64, ROUNDS = 3000, DECOY_WORDS = 512 };

#define NOINLINE __attribute__((noinline))

static struct stack stack;
static uintptr_t *decoy; /* readable, above the stack, and no part of it */

static NOINLINE void sentinel(void) { __asm__ volatile("nop\nnop\nnop\nnop"); }

/* As if sentinel had called. */
static uintptr_t sentinel_pc(void) { return (uintptr_t)sentinel + 4; }

static bool reports_sentinel(const struct thrumi_backtracer *b, const ucontext_t *context, bool bounded) {
  uintptr_t pcs[MAX];
  uintptr_t low = bounded ? (uintptr_t)stack.low : 0, high = bounded ? (uintptr_t)stack.high : 0;
  size_t n = b->walk(context, low, high, pcs, MAX);
  CHECK(n <= MAX);
  for (size_t i = 0; i < n; i++)
    if (pcs[i] == sentinel_pc()) return true;
  return false;
}

#if defined(__x86_64__)
enum { REGISTERS = 17 }; /* with pc and sp */
static uintptr_t *register_at(ucontext_t *c, int i) { return (uintptr_t *)&c->uc_mcontext.gregs[i]; }
static uintptr_t *frame_pointer(ucontext_t *c) { return register_at(c, REG_RBP); }
static uintptr_t *stack_pointer(ucontext_t *c) { return register_at(c, REG_RSP); }
static uintptr_t *program_counter(ucontext_t *c) { return register_at(c, REG_RIP); }
#else
enum { REGISTERS = 31 };
static uintptr_t *register_at(ucontext_t *c, int i) { return (uintptr_t *)&c->uc_mcontext.regs[i]; }
static uintptr_t *frame_pointer(ucontext_t *c) { return register_at(c, 29); }
static uintptr_t *stack_pointer(ucontext_t *c) { return (uintptr_t *)&c->uc_mcontext.sp; }
static uintptr_t *program_counter(ucontext_t *c) { return (uintptr_t *)&c->uc_mcontext.pc; }
#endif

/* ---- One frame pointer that leads away ------------------------------------------------------------------ */

static volatile size_t bytes = 100;

/* The size of its frame is known at run time only, so its caller is found by the frame pointer. */
static NOINLINE void with_frame_pointer(void) {
  char *room = __builtin_alloca(bytes);
  memset(room, 1, bytes);
  stack_park(&stack);
  __asm__ volatile("" ::"r"(room) : "memory");
}

static void walk_does_not_follow_a_pointer_out_of_the_stack(const struct thrumi_backtracer *b) {
  stack_start(&stack, with_frame_pointer);
  CHECK(!reports_sentinel(b, &stack.at, true));
  ucontext_t led_away = stack.at;
  *frame_pointer(&led_away) = (uintptr_t)&decoy[DECOY_WORDS / 2];
  CHECK(reports_sentinel(b, &led_away, false)); /* without bounds it does follow: the test can fail */
  CHECK(!reports_sentinel(b, &led_away, true));
  stack_unmap(&stack);
}

/* ---- Garbage ------------------------------------------------------------------------------------------------ */

static uintptr_t trampoline; /* where signal handlers return to */

static NOINLINE void on_signal(int signo) {
  (void)signo;
  trampoline = (uintptr_t)__builtin_return_address(0);
}

static uint64_t seed;

/* Marsaglia's xorshift64. */
static uint64_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  return seed ^= seed << 17;
}

static uintptr_t random_code(void) {
  uintptr_t starts[] = {
      (uintptr_t)with_frame_pointer, (uintptr_t)qsort,  (uintptr_t)snprintf, (uintptr_t)raise,
      (uintptr_t)next_random,        (uintptr_t)memset, trampoline};
  size_t i = next_random() % (sizeof starts / sizeof starts[0]);
  return starts[i] == trampoline ? trampoline : starts[i] + next_random() % 200;
}

static uintptr_t random_word(void) {
  uintptr_t low = (uintptr_t)stack.low, beyond = STACK_SIZE + 2 * STACK_PAGE;
  switch (next_random() % 16) {
  case 0: return next_random();
  case 1: return next_random() % 256;
  case 2: return (uintptr_t)&decoy[next_random() % DECOY_WORDS];
  case 3: return low - STACK_PAGE + next_random() % beyond; /* into the guards too */
  case 4: return low + next_random() % STACK_SIZE / 16 * 16;
  default: return random_code();
  }
}

/* Of an aligned pair more often than not a frame link that leads a little further up, so that walks go on for a while
 * before they go wrong. */
static void fill_pair(uintptr_t *pair) {
  bool plausible = next_random() % 8;
  pair[0] = plausible ? (uintptr_t)(pair + 2 + next_random() % 16 * 2) : random_word();
  pair[1] = plausible ? random_code() : random_word();
}

static void fill_with_garbage(ucontext_t *context) {
  for (uintptr_t *p = (uintptr_t *)stack.low; p < (uintptr_t *)stack.high; p += 2) fill_pair(p);
  for (int i = 0; i < REGISTERS; i++) *register_at(context, i) = random_word();
  *program_counter(context) = next_random() % 4 ? random_code() : random_word();
  uintptr_t depth = next_random() % 2 ? STACK_SIZE : 512; /* often close to the top */
  if (next_random() % 8) *stack_pointer(context) = (uintptr_t)stack.high - next_random() % depth / 16 * 16;
  if (next_random() % 2) *frame_pointer(context) = *stack_pointer(context) + next_random() % 16 * 16;
}

static void garbage_is_walked_within_bounds(const struct thrumi_backtracer *b) {
  stack_map(&stack);
  ucontext_t context;
  CHECK_EQ(getcontext(&context), 0);
  size_t deep = 0;
  for (uint64_t round = 1; round <= ROUNDS; round++) {
    seed = round * 0x9e3779b97f4a7c15;
    fill_with_garbage(&context);
    if (reports_sentinel(b, &context, true))
      check_failed(__FILE__, __LINE__, "left the stack in round %lu", round);
    uintptr_t pcs[MAX];
    deep += b->walk(&context, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, MAX) > 4;
  }
  printf("%zu of %d walks went beyond four frames\n", deep, ROUNDS);
  CHECK(deep > ROUNDS / 20); /* the garbage is of the kind that leads on */
  stack_unmap(&stack);
}

/* A stack pointer outside of the stack, as on an alternate signal stack: the innermost address alone. */
static void foreign_stack_pointer_ends_the_walk(const struct thrumi_backtracer *b) {
  stack_start(&stack, with_frame_pointer);
  ucontext_t context = stack.at;
  uintptr_t pcs[MAX];
  *stack_pointer(&context) = (uintptr_t)decoy;
  *frame_pointer(&context) = (uintptr_t)decoy;
  CHECK_EQ(b->walk(&context, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, MAX), 1);
  CHECK_EQ(pcs[0], *program_counter(&context));
  stack_unmap(&stack);
}

static void check_backtracer(const char *name, const struct thrumi_backtracer *b) {
  printf("%s\n", name);
  walk_does_not_follow_a_pointer_out_of_the_stack(b);
  garbage_is_walked_within_bounds(b);
  foreign_stack_pointer_ends_the_walk(b);
}

int main(void) {
  uintptr_t room[DECOY_WORDS];
  decoy = room;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < DECOY_WORDS; i++)
    decoy[i] = i % 2 ? sentinel_pc() : (uintptr_t)&decoy[DECOY_WORDS - 8];
  signal(SIGUSR1, on_signal);
  raise(SIGUSR1);
  CHECK(trampoline);
  CHECK(thrumi_backtracer_get() != &thrumi_backtracer_fallback);
  check_backtracer("libthrum-dump", thrumi_backtracer_get());
  check_backtracer("fallback", &thrumi_backtracer_fallback);
  return 0;
}
