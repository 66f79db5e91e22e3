/* What tasks and callbacks are called by, without the threads that fail: for models of futures and of pools. */
#ifndef EXPLORE_CALLING_H
#define EXPLORE_CALLING_H

#include <future/case.h>
#include <sched/part.h>
#include <sched/self.h>

struct thrumi_thread *thrumi_me(void) {
  return thrumi_self()->current;
}
char *thrumi_sentence_swap(struct thrumi_thread *me, char *sentence) {
  return (void)me, (void)sentence, NULL;
}
void thrumi_tell_uncaught(struct thrumi_thread *me, intptr_t failure, const char *sentence) {
  (void)me, (void)failure, (void)sentence;
}
intptr_t thrumi_part_call(struct thrumi_thread *me, thrum_fn *fn, void *arg) { return (void)me, fn(arg); }
void thrumi_case_start(void) {}

#endif
