/* Servants: threads of the library's own that others count on, such as a pool's members. A light thread as a rule gets its stack
 * at its first turn, and ends with -ENOMEM if there is none, without having called its function: nobody would be told, and who
 * counts on it would wait for ever. A servant's stack is there when it has been spawned, and the spawn says if there is none. */
#ifndef THRUMI_SERVANT_H
#define THRUMI_SERVANT_H

#include <sched/stack.h>
#include <thrum/scope.h>
#include <thrum/thread.h>

/* For thrum_spawn_with. */
static inline thrum_options thrumi_servant(const char *name, int daemon) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = name;
  options.stack_size = thrumi_stack_default(); /* a size that is asked for is had at once */
  options.daemon = daemon;
  return options;
}

/* One that belongs to a scope. */
static inline int thrumi_servant_in(thrum_scope *scope, thrum_thread *out, thrum_fn *fn, void *arg,
                                    const char *name) {
  thrum_options options = thrumi_servant(name, THRUM_INHERIT);
  options.scope = scope;
  return thrum_spawn_with(out, &options, fn, arg);
}

#endif
