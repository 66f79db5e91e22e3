/* What the program says itself. */
#include <sched/self.h>
#include <sched/step.h>
#include <thrum/trace.h>
#include <trace/rings.h>
#include <trace/strings.h>

/* Tracing may have been switched off since the caller looked. */
static void say(enum thrumi_event_kind kind, uint64_t object, const char *name) {
  struct thrumi_kthread *k = thrumi_enter();
  if (thrumi_has_mode(THRUMI_MODE_TRACE))
    thrumi_hooks.trace(kind, thrumi_id_of(k->current), object, thrumi_string_number(name), 0);
  thrumi_leave(k);
}

void thrumi_span_begin_slow(const char *name) { say(THRUMI_EVENT_SPAN_BEGIN, 0, name); }
void thrumi_span_end_slow(void) { say(THRUMI_EVENT_SPAN_END, 0, NULL); }

void thrumi_trace_count_slow(const char *name, int64_t value) {
  say(THRUMI_EVENT_COUNTER, (uint64_t)value, name);
}

void thrumi_trace_mark_slow(const char *name) { say(THRUMI_EVENT_MARK, 0, name); }
