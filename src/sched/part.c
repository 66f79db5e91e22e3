#include <sched/part.h>

#include <arch/arch.h>
#include <sched/self.h>
#include <sched/tree.h>
#include <stdio.h>

struct thrumi_thread *thrumi_me(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *me = k->current;
  thrumi_leave(k);
  return me;
}

/* In main and foreign threads thrum_exit does not look at the mark. In the others it closes the scopes, and runs the clean-up
 * handlers, that the call has left, up to a handler without a function: what lies around the call is not its own. */
intptr_t thrumi_part_call(struct thrumi_thread *me, thrum_fn *fn, void *arg) {
  void *outer = me->exit_mark;
  bool in_loop = me->in_loop;
  const struct thrumi_scope *innermost = thrumi_load_relaxed(&me->scopes);
  struct thrum_cleanup bound = {.next = me->cleanups};
  bound.thrumi[0] = (void *)(uintptr_t)(innermost ? innermost->depth : 0);
  me->cleanups = &bound;
  me->in_loop = false;
  intptr_t result = thrumi_call(fn, arg, &me->exit_mark);
  me->exit_mark = outer;
  me->in_loop = in_loop;
  thrumi_check_closed(me, innermost, &bound);
  me->cleanups = bound.next;
  return result;
}

char *thrumi_sentence_make(const char *format, va_list args) {
  char *sentence = thrumi_os.allocate(THRUMI_SENTENCE_MAX);
  if (sentence) vsnprintf(sentence, THRUMI_SENTENCE_MAX, format, args);
  return sentence;
}

char *thrumi_sentence_swap(struct thrumi_thread *me, char *sentence) {
  if (thrumi_likely(!sentence && !thrumi_load_relaxed(&me->extras))) return NULL;
  char *former = me->sentence;
  me->sentence = sentence;
  if (sentence) thrumi_store_relaxed(&me->extras, true);
  return former;
}

void thrumi_tell_uncaught(struct thrumi_thread *me, intptr_t failure, const char *sentence) {
  thrumi_load (&thrumi_uncaught)(thrumi_handle(me), failure, sentence ? sentence : "");
}
