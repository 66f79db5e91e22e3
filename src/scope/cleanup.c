/* Clean-up handlers, and the end of a thread by thrum_exit.
 *
 * A handler knows how many scopes its thread had open when it was pushed. What was pushed or opened last lies innermost, so of the
 * last handler and the innermost scope the handler is the inner one if it was pushed within that scope. */
#include <core/fatal.h>
#include <scope/scope.h>
#include <sched/self.h>

static struct thrumi_thread *self(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *me = k->current;
  thrumi_leave(k);
  return me;
}

static uintptr_t depth_of(struct thrumi_thread *me) {
  const struct thrumi_scope *innermost = thrumi_load_relaxed(&me->scopes);
  return innermost ? innermost->depth : 0;
}

void thrum_cleanup_push(thrum_cleanup *c, void (*fn)(void *), void *arg) {
  struct thrumi_thread *me = self();
  *c = (thrum_cleanup){.next = me->cleanups, .fn = fn, .arg = arg};
  c->thrumi[0] =
      (void *)depth_of(me); /* NOLINT(performance-no-int-to-ptr): a number that is never followed */
  me->cleanups = c;
  me->scoped |= THRUMI_OPENER;
  thrumi_scope_hook_exit();
}

/* It has been taken out. */
static void run(thrum_cleanup *c) {
  THRUM_SHIELD(0) { c->fn(c->arg); }
}

void thrum_cleanup_pop(thrum_cleanup *c, bool runs) {
  struct thrumi_thread *me = self();
  if (me->cleanups != c)
    thrumi_fatal("thread %s takes back a clean-up handler that is not the last one it pushed",
                 thrum_current_name());
  me->cleanups = c->next;
  if (runs) run(c);
}

/* A handler that calls thrum_exit itself comes back here: it is out of the list, and its shield is the innermost scope. One without
 * a function bounds what ends (sched/part.c); main ends as a whole. */
void thrumi_scope_exit(struct thrumi_thread *t) {
  for (;;) {
    thrum_cleanup *c = t->cleanups;
    thrum_scope *s = (thrum_scope *)thrumi_load_relaxed(&t->scopes);
    if (c && (uintptr_t)c->thrumi[0] >= depth_of(t)) {
      if (!c->fn && t->kind != THRUMI_MAIN) return;
      t->cleanups = c->next;
      if (c->fn) run(c);
    } else if (s) {
      thrum_scope_cancel(s);
      thrumi_scope_leave(s);
    } else {
      return;
    }
  }
}
