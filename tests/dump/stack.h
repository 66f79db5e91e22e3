/* A stack of the test's own between pages without access, and a function parked on it. */
#ifndef TESTS_DUMP_STACK_H
#define TESTS_DUMP_STACK_H

#include "../check.h"
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_PAGES = 16, STACK_PAGE = 4096, STACK_SIZE = STACK_PAGES * STACK_PAGE };

struct stack {
  char *low, *high;
  ucontext_t at;     /* where its function parked, for walks */
  ucontext_t parked; /* where it goes on; on aarch64 that is within swapcontext, which has no frame */
  ucontext_t back;   /* where stack_resume was called */
};

static inline void stack_map(struct stack *s) {
  char *all = mmap(NULL, STACK_SIZE + 2 * STACK_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(all != MAP_FAILED);
  s->low = all + STACK_PAGE;
  s->high = s->low + STACK_SIZE;
  CHECK_EQ(mprotect(s->low, STACK_SIZE, PROT_READ | PROT_WRITE), 0);
}

static inline void stack_unmap(struct stack *s) { munmap(s->low - STACK_PAGE, STACK_SIZE + 2 * STACK_PAGE); }

/* Goes on with the function until it parks or returns. */
static inline void stack_resume(struct stack *s) { CHECK_EQ(swapcontext(&s->back, &s->parked), 0); }

/* Called on the stack: goes back to stack_resume. */
static inline void stack_park(struct stack *s) {
  CHECK_EQ(getcontext(&s->at), 0);
  CHECK_EQ(swapcontext(&s->parked, &s->back), 0);
}

/* Runs fn on the stack until it parks or returns. */
static inline void stack_start(struct stack *s, void (*fn)(void)) {
  stack_map(s);
  CHECK_EQ(getcontext(&s->parked), 0);
  s->parked.uc_stack.ss_sp = s->low;
  s->parked.uc_stack.ss_size = STACK_SIZE;
  s->parked.uc_link = &s->back;
  makecontext(&s->parked, fn, 0);
  stack_resume(s);
}

#endif
