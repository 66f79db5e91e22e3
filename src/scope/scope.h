/* What the parts of scopes have of each other. */
#ifndef THRUMI_SCOPE_H
#define THRUMI_SCOPE_H

#include <sched/await.h>
#include <core/hooks.h>
#include <sched/tree.h>

/* The hooks of core/hooks.h. */
bool thrumi_scope_restarts(struct thrumi_thread *t, intptr_t result);
void thrumi_scope_exit(struct thrumi_thread *t);

/* Set by each that may need it, and written once: all threads read the line. */
static inline void thrumi_scope_hook_exit(void) {
  if (thrumi_unlikely(!thrumi_load_relaxed(&thrumi_hooks.scope_exit)))
    thrumi_store(&thrumi_hooks.scope_exit, thrumi_scope_exit);
}

#endif
