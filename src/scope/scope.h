/* What the parts of scopes have of each other. */
#ifndef THRUMI_SCOPE_H
#define THRUMI_SCOPE_H

#include <sched/await.h>
#include <sched/tree.h>

/* The hooks of core/hooks.h. */
bool thrumi_scope_restarts(struct thrumi_thread *t, intptr_t result);
void thrumi_scope_exit(struct thrumi_thread *t);

#endif
