/* Threads, as JSON. What is said of one was true at one moment; of two, at two. */
#include <core/backtrace.h>
#include <inspect/inspect.h>
#include <sched/object.h>
#include <sched/self.h>
#include <sched/tree.h>

enum { SCOPES = 16 }; /* that are said of a thread */

/* ---- Scopes ------------------------------------------------------------------------------------------------- */

struct opened {
  const void *scope;
  uint32_t threads;
  bool cancelled, shield;
};

/* Those that t has open, the innermost first. */
static size_t copy_opened(struct thrumi_thread *t, struct opened *out) {
  size_t n = 0;
  if (!thrumi_load_relaxed(&t->scopes)) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&t->tree);
  for (const struct thrumi_scope *s = thrumi_load_relaxed(&t->scopes); s && n < SCOPES; s = s->outer)
    out[n++] = (struct opened){.scope = s,
                               .threads = thrumi_load_relaxed(&s->count),
                               .cancelled = thrumi_causes_cancel(thrumi_load_relaxed(&s->cancelled)),
                               .shield = s->shield};
  thrumi_spin_unlock(&t->tree);
  thrumi_leave(k);
  return n;
}

/* The scope that t belongs to is its opener's to guard: read under that lock, and only if t still belongs to one of it. */
static const void *scope_of(struct thrumi_thread *t, uint64_t opener) {
  uint64_t life;
  const void *scope = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *o = thrumi_lookup((thrum_thread){opener}, &life);
  if (o) {
    thrumi_spin_lock(&o->tree);
    if (thrumi_load_relaxed(&t->scope_of) == opener) scope = t->scope;
    thrumi_spin_unlock(&o->tree);
  }
  thrumi_leave(k);
  return scope;
}

static void write_scopes(struct thrumi_json *j, struct thrumi_thread *t) {
  struct opened opened[SCOPES];
  uint64_t opener = thrumi_load_relaxed(&t->scope_of);
  const void *scope = opener ? scope_of(t, opener) : NULL;
  if (scope) {
    thrumi_json_open(j, "member_of", '{');
    thrumi_json_address(j, "scope", scope);
    thrumi_json_count(j, "opener", opener);
    thrumi_json_close(j, '}');
  }
  size_t n = copy_opened(t, opened);
  if (!n) return;
  thrumi_json_open(j, "scopes", '[');
  for (size_t i = 0; i < n; i++) {
    thrumi_json_open(j, NULL, '{');
    thrumi_json_address(j, "scope", opened[i].scope);
    thrumi_json_count(j, "threads", opened[i].threads);
    thrumi_json_bool(j, "cancelled", opened[i].cancelled);
    thrumi_json_bool(j, "shield", opened[i].shield);
    thrumi_json_close(j, '}');
  }
  thrumi_json_close(j, ']');
}

/* ---- Waits --------------------------------------------------------------------------------------------------- */

static void write_owner(struct thrumi_json *j, const struct thrumi_look *look) {
  char name[THRUM_NAME_MAX];
  if (!look->next) return;
  uint64_t id = thrumi_handle(look->next).value;
  if (thrumi_name_copy(look->next, THRUMI_GENERATION(id), name, sizeof name) < 0) return;
  thrumi_json_count(j, "owner", id);
  thrumi_json_string(j, "owner_name", name);
}

static void write_wait(struct thrumi_json *j, struct thrumi_thread *t, int64_t now) {
  struct thrumi_look look;
  char object[THRUMI_OBJECT_TEXT];
  struct thrumi_kthread *k = thrumi_enter();
  bool waits = thrumi_look_at(t, &look);
  thrumi_leave(k);
  if (!waits) return;
  thrumi_json_open(j, "waits", '{');
  thrumi_json_string(j, "for", thrumi_without_article(look.what));
  if (thrumi_look_object(&look, object, sizeof object)) thrumi_json_string(j, "object", object);
  bool memory = !(look.how & THRUMI_THREAD) && !thrumi_is_on_descriptor(look.what);
  if (look.object && memory) thrumi_json_address(j, "address", look.object);
  write_owner(j, &look);
  thrumi_json_number(j, "ns", now > look.since ? now - look.since : 0);
  thrumi_json_bool(j, "timed", look.how & THRUMI_TIMED);
  thrumi_json_close(j, '}');
}

/* ---- Stacks -------------------------------------------------------------------------------------------------- */

void thrumi_json_frames(struct thrumi_json *j, const struct thrumi_backtrace *trace) {
  enum { FRAME = 3 * 1024 }; /* more than one takes, with every byte escaped */
  thrumi_json_open(j, "stack", '[');
  for (size_t i = 0; i < trace->count && thrumi_json_room(j) > FRAME; i++) {
    struct thrumi_frame f;
    thrumi_describe(trace->pcs[i], trace->exact && i == 0, &f);
    thrumi_json_open(j, NULL, '{');
    thrumi_json_address(j, "pc", (const void *)trace->pcs[i]);
    if (f.function[0]) thrumi_json_string(j, "function", f.function);
    if (f.file[0]) thrumi_json_string(j, "file", f.file);
    if (f.line) thrumi_json_number(j, "line", f.line);
    thrumi_json_close(j, '}');
  }
  thrumi_json_close(j, ']');
}

static void write_stack(struct thrumi_json *j, struct thrumi_thread *t) {
  struct thrumi_backtrace trace;
  bool answers = thrumi_backtrace_take(t, &trace);
  thrumi_json_frames(j, &trace);
  if (!answers) thrumi_json_bool(j, "answers", false);
}

/* ---- One thread ------------------------------------------------------------------------------------------------ */

static const char *state_word(enum thrumi_state state) {
  return state == THRUMI_BLOCKED ? "blocked" : thrumi_state_words[state];
}

void thrumi_json_thread(struct thrumi_json *j, struct thrumi_thread *t, uint64_t generation, int64_t now,
                        bool stack) {
  char name[THRUM_NAME_MAX];
  bool exact;
  if (thrumi_name_copy(t, generation, name, sizeof name) < 0) return;
  enum thrumi_state state = (enum thrumi_state)thrumi_load_relaxed(&t->state);
  struct thrumi_kthread *k = thrumi_carrier(t);
  thrumi_json_open(j, NULL, '{');
  thrumi_json_count(j, "id", generation << THRUMI_LIFE_BITS | t->slot);
  thrumi_json_string(j, "name", name);
  thrumi_json_string(j, "kind", thrumi_kind_words[t->kind]);
  thrumi_json_bool(j, "daemon", t->daemon);
  thrumi_json_string(j, "state", state_word(state));
  if (k) thrumi_json_number(j, "kernel_thread", k->tid);
  int64_t used = thrumi_usage_of(t, generation, &exact);
  thrumi_json_number(j, "cpu_ns", used);
  thrumi_json_bool(j, "cpu_exact", exact);
  write_wait(j, t, now);
  write_scopes(j, t);
  if (stack) write_stack(j, t);
  thrumi_json_close(j, '}');
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

/* The record in this slot, if a thread has it. */
static struct thrumi_thread *living(uint32_t slot, uint64_t *life) {
  struct thrumi_thread *t = thrumi_record(slot);
  *life = t ? thrumi_load(&t->life) : THRUMI_FREE;
  return THRUMI_FLAGS(*life) & (THRUMI_FREE | THRUMI_FINISHED) ? NULL : t;
}

void thrumi_answer_threads(struct thrumi_json *j, uint64_t from) {
  int64_t now = thrumi_os.now();
  uint64_t slot = from ? from : 1, life;
  thrumi_json_number(j, "now_ns", now);
  thrumi_json_open(j, "threads", '[');
  for (; slot < thrumi_record_count() && thrumi_json_room(j) > THRUMI_THREAD_TEXT; slot++) {
    struct thrumi_thread *t = living((uint32_t)slot, &life);
    if (t) thrumi_json_thread(j, t, THRUMI_GENERATION(life), now, false);
  }
  thrumi_json_close(j, ']');
  thrumi_json_count(j, "next", slot < thrumi_record_count() ? slot : 0);
}

void thrumi_answer_stack(struct thrumi_json *j, uint64_t id) {
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup((thrum_thread){id}, &life);
  if (!t || THRUMI_FLAGS(life) & THRUMI_FINISHED) {
    thrumi_json_string(j, "error", "there is no such thread any more");
    return;
  }
  thrumi_json_open(j, "threads", '[');
  thrumi_json_thread(j, t, THRUMI_GENERATION(life), thrumi_os.now(), true);
  thrumi_json_close(j, ']');
}

void thrumi_json_states(struct thrumi_json *j) {
  uint64_t count[THRUMI_ENDED + 1] = {0}, life;
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = living(slot, &life);
    uint8_t state = t ? thrumi_load_relaxed(&t->state) : THRUMI_ENDED;
    if (state < THRUMI_ENDED) count[state]++;
  }
  thrumi_json_open(j, "states", '{');
  for (enum thrumi_state s = THRUMI_NEW; s < THRUMI_ENDED; s++) thrumi_json_count(j, state_word(s), count[s]);
  thrumi_json_close(j, '}');
}
