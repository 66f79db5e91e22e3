/* The switch, frames and machine contexts of the CPU that this is built for. */
#define _GNU_SOURCE
#include "../check.h"

#include <arch/arch.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <unwind.h>
#endif

enum { STACK_SIZE = 64 * 1024, INTEGERS = 12, DOUBLES = 10, TURNS = 100 };

/* ---- A context on a stack of its own ------------------------------------------------------------------- */

static void *outer, *inner;
static void (*body)(void);

/* In the library the scheduler's; here the body of the test. */
void thrumi_thread_main(void) {
  body();
  abort(); /* a body switches out for good */
}

static char *start(void (*fn)(void)) {
  char *stack = malloc(STACK_SIZE);
  CHECK(stack);
  body = fn;
  inner = thrumi_frame_make(stack, STACK_SIZE);
  thrumi_switch(&outer, inner);
  return stack;
}

/* Its frame is what is looked for: no jump in place of the call, and no copy elsewhere. */
static __attribute__((noinline)) void switch_out(void) {
  thrumi_switch(&inner, outer);
  __asm__ volatile("");
}

static void switch_in(void) { thrumi_switch(&outer, inner); }

/* ---- What is kept -------------------------------------------------------------------------------------- */

/* More values than the CPU has registers that a callee keeps, so all of those are in use across the switch. */
static void keep(void (*leave)(void), uint64_t seed) {
  uint64_t n[INTEGERS];
  double d[DOUBLES];
  for (int i = 0; i < INTEGERS; i++) n[i] = seed * 1000 + (uint64_t)i;
  for (int i = 0; i < DOUBLES; i++) d[i] = (double)(seed * 1000) + i;
  uint64_t a = n[0], b = n[1], c = n[2], e = n[3], f = n[4], g = n[5], h = n[6], k = n[7], l = n[8], m = n[9];
  double p = d[0], q = d[1], r = d[2], s = d[3], t = d[4], u = d[5], v = d[6], w = d[7];
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(e), "+r"(f));
  __asm__ volatile("" : "+r"(g), "+r"(h), "+r"(k), "+r"(l), "+r"(m));
#if defined(__x86_64__)
  __asm__ volatile("" : "+x"(p), "+x"(q), "+x"(r), "+x"(s), "+x"(t), "+x"(u), "+x"(v), "+x"(w));
#else
  __asm__ volatile("" : "+w"(p), "+w"(q), "+w"(r), "+w"(s), "+w"(t), "+w"(u), "+w"(v), "+w"(w));
#endif
  leave();
  CHECK(a == n[0] && b == n[1] && c == n[2] && e == n[3] && f == n[4]);
  CHECK(g == n[5] && h == n[6] && k == n[7] && l == n[8] && m == n[9]);
  CHECK(p == d[0] && q == d[1] && r == d[2] && s == d[3]);
  CHECK(t == d[4] && u == d[5] && v == d[6] && w == d[7]);
}

static void keep_inside(void) {
  for (uint64_t i = 1;; i++) keep(switch_out, i * 7);
}

static void registers_are_kept(void) {
  char *stack = start(keep_inside);
  for (uint64_t i = 1; i < TURNS; i++) keep(switch_in, i);
  free(stack);
}

static void round_upward(void) {
  CHECK_EQ(fegetround(), FE_TONEAREST); /* as when thrumi_control_start was called */
  fesetround(FE_UPWARD);
  for (;;) {
    switch_out();
    CHECK_EQ(fegetround(), FE_UPWARD);
  }
}

static void rounding_follows_the_context(void) {
  thrumi_control_start();
  fesetround(FE_DOWNWARD);
  char *stack = start(round_upward);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(fegetround(), FE_DOWNWARD);
    switch_in();
  }
  thrumi_control_reset();
  CHECK_EQ(fegetround(), FE_TONEAREST);
  switch_in();
  CHECK_EQ(fegetround(), FE_TONEAREST);
  free(stack);
}

static void *stack_seen;

static void look_at_stack(void) {
  _Alignas(16) char here;
  stack_seen = &here;
  CHECK_EQ((uintptr_t)&here % 16, 0);
  switch_out();
}

/* Within the kilobyte that colours stacks, and one for its own frames. */
static void a_frame_lies_at_the_top(void) {
  char *stack = start(look_at_stack);
  CHECK((char *)stack_seen > stack + STACK_SIZE - 2048 && (char *)stack_seen < stack + STACK_SIZE);
  CHECK_EQ((uintptr_t)inner % 8, 0);
  CHECK((char *)inner > stack && (char *)inner + THRUMI_FRAME_WORDS * sizeof(void *) < stack + STACK_SIZE);
  free(stack);
}

/* ---- Returning from below ------------------------------------------------------------------------------ */

static void *mark;

static __attribute__((noinline)) void descend(int depth) {
  volatile char frame[100];
  frame[0] = (char)depth;
  if (depth > 0) descend(depth - 1);
  if (frame[0] == 0) thrumi_return(mark, 4711);
}

static intptr_t return_early(void *arg) {
  CHECK(arg == &mark);
  descend(20);
  return 0;
}

static intptr_t return_plainly(void *arg) { return *(int *)arg; }

static void call_plainly(void) {
  int value = -42;
  CHECK_EQ(thrumi_call(return_plainly, &value, &mark), -42);
}

static void call_and_return_early(void) { CHECK_EQ(thrumi_call(return_early, &mark, &mark), 4711); }

static void calls_return(void) {
  for (uint64_t i = 0; i < TURNS; i++) {
    keep(call_plainly, i);
    keep(call_and_return_early, i);
  }
}

/* On another stack, to its very end, and back. */
static intptr_t note_stack(void *arg) {
  _Alignas(16) char here;
  stack_seen = &here;
  CHECK_EQ((uintptr_t)&here % 16, 0);
  return *(int *)arg + 1;
}

static char *elsewhere;

static void call_elsewhere(void) {
  int value = 41;
  CHECK_EQ(thrumi_call_on(elsewhere + STACK_SIZE, note_stack, &value), 42);
  CHECK((char *)stack_seen > elsewhere + STACK_SIZE - 1024 && (char *)stack_seen < elsewhere + STACK_SIZE);
}

static void calls_go_to_another_stack(void) {
  elsewhere = aligned_alloc(16, STACK_SIZE);
  CHECK(elsewhere);
  for (uint64_t i = 0; i < TURNS; i++) keep(call_elsewhere, i);
  free(elsewhere);
}

/* ---- Contexts ------------------------------------------------------------------------------------------ */

static void frames_become_contexts(void) {
  ucontext_t context;
  char *stack = start(look_at_stack);
  thrumi_frame_context(inner, &context);
  uintptr_t pc = thrumi_context_pc(&context);
  CHECK(pc > (uintptr_t)switch_out && pc < (uintptr_t)switch_out + 256);
  CHECK_EQ(thrumi_context_sp(&context), (uintptr_t)inner + THRUMI_FRAME_WORDS * sizeof(void *));
  free(stack);
}

#if defined(__GLIBC__) /* the compiler's unwinder in a static program of musl's lacks a function of glibc's */
struct trace {
  int frames, entries;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg) {
  struct trace *trace = arg;
  uintptr_t pc = _Unwind_GetIP(context);
  trace->frames++;
  uintptr_t entry = (uintptr_t)thrumi_thread_entry;
  if (pc >= entry && pc < entry + 64) trace->entries++;
  return trace->frames < 50 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static intptr_t trace_stack(void *arg) {
  struct trace *trace = arg;
  CHECK_EQ(_Unwind_Backtrace(note_frame, trace), _URC_END_OF_STACK);
  return 0;
}

static struct trace trace;

static intptr_t trace_elsewhere(void *arg) {
  return thrumi_call_on(elsewhere + STACK_SIZE, trace_stack, arg);
}

static void trace_inside(void) {
  thrumi_call(trace_elsewhere, &trace, &mark);
  switch_out();
}

/* Through thrumi_call_on and thrumi_call to the bottom, and no further. */
static void unwinding_ends_at_the_entry(void) {
  elsewhere = aligned_alloc(16, STACK_SIZE);
  CHECK(elsewhere);
  char *stack = start(trace_inside);
  free(elsewhere);
  CHECK_EQ(trace.entries, 1);
  CHECK(trace.frames >= 4 && trace.frames < 50);
  free(stack);
}
#else
static void unwinding_ends_at_the_entry(void) {}
#endif

static volatile sig_atomic_t signals, cut;

/* The signal's sender looks at `cut`: volatile is enough between a handler and who waits for it. */
__attribute__((no_sanitize_thread)) static void note_cut(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  if (thrumi_context_cut_call(context))
    cut = 1; /* and so it stays: another signal may come behind the one that did it */
  signals = 1;
}

/* Sends signals until one came in the pause: a signal before it would be waited for in vain otherwise. */
__attribute__((no_sanitize_thread)) static void *pester(void *thread) {
  while (!cut) {
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    usleep(100);
  }
  return NULL;
}

static void calls_cut_short_are_seen(void) {
  struct sigaction action = {.sa_sigaction = note_cut, .sa_flags = SA_SIGINFO};
  pthread_t self = pthread_self(), other;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  CHECK_EQ(pthread_kill(self, SIGUSR1), 0);
  CHECK(signals && !cut); /* the call that sent it succeeded */
  CHECK_EQ(pthread_create(&other, NULL, pester, &self), 0);
  while (!cut) CHECK_EQ(pause(), -1);
  CHECK_EQ(pthread_join(other, NULL), 0);
}

int main(void) {
  registers_are_kept();
  rounding_follows_the_context();
  a_frame_lies_at_the_top();
  calls_return();
  calls_go_to_another_stack();
  frames_become_contexts();
  unwinding_ends_at_the_entry();
  calls_cut_short_are_seen();
  return 0;
}
