/* thrum_lock. */
#include <thrum/sync.h>
#include <sched/self.h>
