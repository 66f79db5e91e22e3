/* Functions of the scheduler that the sources under test refer to but no model reaches. They are weak: a model that
 * does reach one brings its own. Their types do not matter, since none returns. */
#include "explore.h"

#include <stdbool.h>

struct thrumi_thread;

#define NEVER(name) \
  __attribute__((weak)) void name(void); \
  __attribute__((weak)) void name(void) { explore_fail(#name " was called"); }

NEVER(thrum_close)
NEVER(thrum_current_name)
NEVER(thrum_name)
NEVER(thrum_sleep)
NEVER(thrumi_attend)
NEVER(thrumi_breed)
NEVER(thrumi_broadcast_enlist)
NEVER(thrumi_broadcast_look)
NEVER(thrumi_broadcast_pass)
NEVER(thrumi_broadcast_withdraw)
NEVER(thrumi_child_reap)
NEVER(thrumi_cycle_suspect)
NEVER(thrumi_end_enlist)
NEVER(thrumi_end_poll)
NEVER(thrumi_enter_first)
NEVER(thrumi_enter_slow)
NEVER(thrumi_event_enlist)
NEVER(thrumi_event_round)
NEVER(thrumi_event_withdraw)
NEVER(thrumi_exit_main)
NEVER(thrumi_fatal)
NEVER(thrumi_fd_enlist)
NEVER(thrumi_fd_poll)
NEVER(thrumi_fd_start)
NEVER(thrumi_fd_withdraw)
NEVER(thrumi_fiber_begin)
NEVER(thrumi_fiber_end)
NEVER(thrumi_is_short)
NEVER(thrumi_leave_handler_slow)
NEVER(thrumi_leave_slow)
NEVER(thrumi_locals_destroy)
NEVER(thrumi_locals_free)
NEVER(thrumi_lock_acquire_slow)
NEVER(thrumi_lock_release_slow)
NEVER(thrumi_log)
NEVER(thrumi_member_failed)
NEVER(thrumi_monitor_rouse)
NEVER(thrumi_name_detach)
NEVER(thrumi_name_free)
NEVER(thrumi_name_own)
NEVER(thrumi_object_text)
NEVER(thrumi_observe_begins)
NEVER(thrumi_observe_ends)
NEVER(thrumi_observe_release)
NEVER(thrumi_observe_waits)
NEVER(thrumi_pour_out)
NEVER(thrumi_preempt_hog)
NEVER(thrumi_preempt_self)
NEVER(thrumi_rouse)
NEVER(thrumi_scope_quit)
NEVER(thrumi_signal_counter)
NEVER(thrumi_signal_start)
NEVER(thrumi_signal_take)
NEVER(thrumi_spare_push_locked)
NEVER(thrumi_stack_clean)
NEVER(thrumi_stack_drain)
NEVER(thrumi_timeout_start)
NEVER(thrumi_timeout_stop)
NEVER(thrumi_timeouts_wait)
NEVER(thrumi_uncapture)

/* Read by no model either. */
__attribute__((weak)) _Atomic uint8_t thrumi_stack_default_bits;

/* Waiting in a circle is the model of cycle.c; names are outside of all models. */
__attribute__((weak)) bool thrumi_closes_cycle(struct thrumi_thread *me);
__attribute__((weak)) bool thrumi_closes_cycle(struct thrumi_thread *me) { return (void)me, false; }
__attribute__((weak)) void thrumi_object_forget(const void *object);
__attribute__((weak)) void thrumi_object_forget(const void *object) { (void)object; }
