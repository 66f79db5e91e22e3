/* What a dump knows without libthrum-dump: frame pointers lead to every caller, exported functions have their names,
 * and of the others a dump says where they are in the file. */
#define _GNU_SOURCE 1
#include "stack.h"
#include <core/backtrace.h>
#include <stdbool.h>

enum { MAX = 16 };

#define NOINLINE __attribute__((noinline))

static struct stack stack;

void exported_inner(void);
void exported_outer(void);

NOINLINE void exported_inner(void) {
  stack_park(&stack);
  __asm__ volatile("" ::: "memory");
}

static NOINLINE void hidden_middle(void) {
  exported_inner();
  __asm__ volatile("" ::: "memory");
}

NOINLINE void exported_outer(void) {
  hidden_middle();
  __asm__ volatile("" ::: "memory");
}

static bool is_in_hidden_middle(uintptr_t pc) {
  return pc > (uintptr_t)hidden_middle && pc < (uintptr_t)hidden_middle + 64;
}

/* The index of the frame that has this name. */
static size_t find(const struct thrumi_frame *frames, size_t n, const char *function) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(frames[i].function, function) == 0) return i;
  check_failed(__FILE__, __LINE__, "no frame of %s", function);
}

int main(int argc, char **argv) {
  (void)argc;
  const struct thrumi_backtracer *b = &thrumi_backtracer_fallback;
  stack_start(&stack, exported_outer);

  uintptr_t pcs[MAX];
  struct thrumi_frame frames[MAX];
  size_t n = b->walk(&stack.at, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, MAX);
  for (size_t i = 0; i < n; i++) b->describe(pcs[i], false, &frames[i]);

  size_t inner = find(frames, n, "exported_inner"), outer = find(frames, n, "exported_outer");
  CHECK_EQ(outer, inner + 2);
  CHECK(is_in_hidden_middle(pcs[inner + 1]));
  CHECK_STR(frames[inner + 1].function, "");
  CHECK_HAS(frames[inner + 1].file, strrchr(argv[0], '/'));
  CHECK_HAS(frames[inner + 1].file, "+0x");
  CHECK_EQ(frames[inner + 1].line, 0);
  CHECK(n <= outer + 2);

  CHECK_EQ(b->walk(&stack.at, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, 2), 2);
  CHECK(b->walk(&stack.at, 0, 0, pcs, MAX) >= outer + 1); /* bounds unknown: the kernel is asked */
  return 0;
}
