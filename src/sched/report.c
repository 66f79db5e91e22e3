#include <core/fatal.h>
#include <sched/object.h>
#include <sched/report.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN = 32 }; /* threads of a cycle */

const char *const thrumi_kind_words[] = {"light", "bound", "main", "foreign"};
const char *const thrumi_state_words[] = {"new",  "ready", "running", "waiting", "blocked in a plain call",
                                          "ended"};

static void flush(struct thrumi_sink *sink) {
  if (sink->put) {
    sink->put(sink, sink->line, sink->used);
    sink->used = 0;
    return;
  }
  if (sink->fd == THRUMI_SINK_LOG) thrumi_log_write(sink->line, sink->used);
  for (size_t done = 0; sink->fd != THRUMI_SINK_LOG && done < sink->used && !sink->error;) {
    ssize_t n = write(sink->fd, sink->line + done, sink->used - done);
    if (n < 0 && errno != EINTR) sink->error = -errno;
    if (n > 0) done += (size_t)n;
  }
  sink->used = 0;
}

/* What is too long for a line is cut. */
void thrumi_say(struct thrumi_sink *sink, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t room = sizeof sink->line - sink->used;
  int length = vsnprintf(sink->line + sink->used, room, format, args);
  va_end(args);
  sink->used += length < (int)room ? (size_t)length : room - 1;
  bool full = sink->used == sizeof sink->line - 1;
  if (full) sink->line[sink->used - 1] = '\n';
  if (full || (sink->used && sink->line[sink->used - 1] == '\n')) flush(sink);
}

/* ---- One wait --------------------------------------------------------------------------------------------------------- */

const char *thrumi_without_article(const char *what) {
  if (strncmp(what, "a ", 2) == 0) return what + 2;
  return strncmp(what, "an ", 3) == 0 ? what + 3 : what;
}

/* In quotes; "a thread that has ended", without. */
static void name_thread(struct thrumi_thread *t, uint64_t generation, char *text, size_t size) {
  char name[THRUM_NAME_MAX];
  if (t && thrumi_name_copy(t, generation, name, sizeof name) > 0)
    snprintf(text, size, "\"%s\"", name);
  else
    snprintf(text, size, "a thread that has ended");
}

static void name_of_handle(uint64_t handle, char *text, size_t size) {
  name_thread(thrumi_record((uint32_t)THRUMI_FLAGS(handle)), THRUMI_GENERATION(handle), text, size);
}

/* Its object is the number then, which may be 0. */
bool thrumi_is_on_descriptor(const char *what) {
  static const char end[] = "on descriptor";
  size_t length = strlen(what), least = sizeof end - 1;
  return length >= least && strcmp(what + length - least, end) == 0;
}

bool thrumi_look_object(const struct thrumi_look *l, char *text, size_t size) {
  if (!l->object && !thrumi_is_on_descriptor(l->what)) return false;
  if (l->how & THRUMI_THREAD)
    name_of_handle((uint64_t)(uintptr_t)l->object, text, size);
  else if (thrumi_is_on_descriptor(l->what))
    snprintf(text, size, "%d", (int)(intptr_t)l->object);
  else
    thrumi_object_describe(l->object, text, size);
  return true;
}

/* In a word or two: its own entry in the dump has the rest. */
static void say_what_it_does(struct thrumi_sink *sink, struct thrumi_thread *t) {
  struct thrumi_look look;
  struct thrumi_kthread *k = thrumi_enter();
  bool waits = thrumi_look_at(t, &look);
  thrumi_leave(k);
  if (waits)
    thrumi_say(sink, " (waits for %s)", thrumi_without_article(look.what));
  else
    thrumi_say(sink, " (%s)", thrumi_state_words[thrumi_load_relaxed(&t->state)]);
}

static void say_holder(struct thrumi_sink *sink, const struct thrumi_look *l, bool what_it_does) {
  char name[THRUM_NAME_MAX + 32];
  if (!l->mark) return;
  name_thread(l->next, l->next ? THRUMI_GENERATION(thrumi_handle(l->next).value) : 0, name, sizeof name);
  thrumi_say(sink, " held by %s%s", name, l->next == l->thread ? ", itself" : "");
  if (what_it_does && l->next && l->next != l->thread) say_what_it_does(sink, l->next);
}

static void say_look(struct thrumi_sink *sink, const struct thrumi_look *l, int64_t now,
                     bool what_holder_does) {
  char object[THRUMI_OBJECT_TEXT];
  if (thrumi_look_object(l, object, sizeof object))
    thrumi_say(sink, "waits for %s %s", thrumi_without_article(l->what), object);
  else
    thrumi_say(sink, "waits for %s", l->what);
  say_holder(sink, l, what_holder_does);
  thrumi_say(sink, ", for %.3f s", now > l->since ? (double)(now - l->since) / 1e9 : 0.0);
}

void thrumi_say_wait(struct thrumi_sink *sink, struct thrumi_thread *t, int64_t now) {
  struct thrumi_look look;
  struct thrumi_kthread *k = thrumi_enter();
  bool waits = thrumi_look_at(t, &look);
  thrumi_leave(k);
  if (!waits) return;
  thrumi_say(sink, ", ");
  say_look(sink, &look, now, true);
}

/* ---- Cycles ----------------------------------------------------------------------------------------------------------- */

void thrumi_say_cycle(struct thrumi_sink *sink, const struct thrumi_cycle *cycle) {
  int64_t now = thrumi_os.now();
  const char *certain = cycle->exact ? "deadlock" : "suspected deadlock";
  if (cycle->count == 1)
    thrumi_say(sink, "thrum: %s: a thread waits for itself", certain);
  else
    thrumi_say(sink, "thrum: %s: %zu threads wait for each other", certain, cycle->count);
  thrumi_say(sink, cycle->exact ? ", and nothing can end that\n"
                                : "; it lasts unless another thread releases what they hold\n");
  for (size_t i = 0; i < cycle->count && i < SHOWN; i++) {
    char name[THRUM_NAME_MAX + 32];
    name_of_handle(cycle->of[i].handle, name, sizeof name);
    thrumi_say(sink, "thrum:   %s ", name);
    say_look(sink, &cycle->of[i], now, false); /* the next line says what the holder does */
    thrumi_say(sink, "\n");
  }
  if (cycle->count > SHOWN) thrumi_say(sink, "thrum:   and %zu others\n", cycle->count - SHOWN);
}

void thrumi_report_suspected(const struct thrumi_cycle *cycle) {
  struct thrumi_sink sink = {.fd = THRUMI_SINK_LOG};
  int64_t now = thrumi_os.now();
  struct thrumi_holdings holdings;
  thrumi_say_cycle(&sink, cycle);
  thrumi_holdings_gather(&holdings);
  for (size_t i = 0; i < cycle->count && i < SHOWN; i++)
    thrumi_say_thread(&sink, cycle->of[i].thread, THRUMI_GENERATION(cycle->of[i].handle), now, &holdings);
  thrumi_holdings_free(&holdings);
  thrumi_say(&sink, "\n");
}
