/* Names. A name that was set is a block of its own; renaming keeps the former ones until the thread is gone, so
 * that thrum_current_name stays good. A thread without one is "Thread-N (function)", made when asked for: the
 * function's symbol is looked up only then. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <core/parking.h>
#include <core/symbol.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>

struct thrumi_name {
  struct thrumi_name *former;
  char text[THRUM_NAME_MAX];
};

struct thrumi_name *thrumi_name_make(const char *format, va_list args) {
  struct thrumi_name *name = thrumi_os.allocate(sizeof *name);
  if (name) vsnprintf(name->text, sizeof name->text, format, args);
  return name;
}

static struct thrumi_name *make(const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct thrumi_name *name = thrumi_name_make(format, args);
  va_end(args);
  return name;
}

void thrumi_name_free(struct thrumi_name *name) {
  while (name) {
    struct thrumi_name *former = name->former;
    thrumi_os.free(name);
    name = former;
  }
}

struct thrumi_name *thrumi_name_detach(struct thrumi_thread *t) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->name);
  struct thrumi_name *name = t->name;
  t->name = NULL;
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  return name;
}

/* Of a thread that was given no name. */
static struct thrumi_name_parts without_name(const struct thrumi_thread *t) {
  return (struct thrumi_name_parts){.fn = t->fn, .number = t->number, .kind = (uint8_t)t->kind};
}

bool thrumi_name_take(struct thrumi_thread *t, uint64_t generation, struct thrumi_name_parts *out) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->name);
  uint64_t life = thrumi_load(&t->life);
  bool there = THRUMI_GENERATION(life) == generation && !(THRUMI_FLAGS(life) & THRUMI_FREE);
  *out = without_name(t);
  if (there && t->name) memcpy(out->given, t->name->text, sizeof out->given);
  thrumi_bucket_unlock(bucket);
  return there;
}

/* Looking a symbol up takes libc's locks. */
void thrumi_name_write(const struct thrumi_name_parts *parts, char *buffer, size_t size) {
  char function[THRUM_NAME_MAX];
  if (parts->given[0])
    snprintf(buffer, size, "%s", parts->given);
  else if (parts->kind == THRUMI_MAIN)
    snprintf(buffer, size, "MainThread");
  else if (parts->kind == THRUMI_FOREIGN)
    snprintf(buffer, size, "Dummy-%u", parts->number);
  else if (parts->fn && thrumi_symbol_name((uintptr_t)parts->fn, function, sizeof function))
    snprintf(buffer, size, "Thread-%u (%s)", parts->number, function);
  else
    snprintf(buffer, size, "Thread-%u", parts->number);
}

int thrumi_name_copy(struct thrumi_thread *t, uint64_t generation, char *buffer, size_t size) {
  char text[THRUM_NAME_MAX];
  struct thrumi_name_parts parts;
  struct thrumi_kthread *k = thrumi_enter();
  bool there = thrumi_name_take(t, generation, &parts);
  thrumi_leave(k);
  if (!there) return -ESRCH;
  thrumi_name_write(&parts, text, sizeof text);
  return snprintf(buffer, size, "%s", text);
}

void thrumi_name_show(struct thrumi_thread *t) {
  char text[THRUM_NAME_MAX];
  if (thrumi_name_copy(t, THRUMI_GENERATION(thrumi_load(&t->life)), text, sizeof text) > 0)
    thrumi_os_name_thread(text);
}

/* ---- Public ------------------------------------------------------------------------------------------------- */

int thrum_name(thrum_thread handle, char *buffer, size_t size) {
  if (!buffer && size) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  thrumi_leave(k);
  return t ? thrumi_name_copy(t, THRUMI_GENERATION(life), buffer, size) : -ESRCH;
}

/* Whether it has not begun to be buried. */
static bool is_there(struct thrumi_thread *t, uint64_t generation) {
  uint64_t life = thrumi_load(&t->life), over = THRUMI_FINISHED | THRUMI_RELEASED;
  return THRUMI_GENERATION(life) == generation && !(life & THRUMI_FREE) && (life & over) != over;
}

/* Hangs a name before the former ones. False: the thread is gone. `extras` is set before the life is looked at, and who buries
 * a thread changes its life before it looks at `extras`: one of the two sees the other, and then the bucket's lock has them take
 * turns. */
static bool hang(struct thrumi_thread *t, uint64_t generation, struct thrumi_name *name) {
  if (!is_there(t, generation)) return false;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->name);
  thrumi_store(&t->extras, true);
  bool there = is_there(t, generation);
  if (there) {
    name->former = t->name;
    t->name = name;
  }
  thrumi_bucket_unlock(bucket);
  return there;
}

int thrum_set_name(thrum_thread handle, const char *text) {
  if (!text || !*text) return -EINVAL;
  struct thrumi_name *name = make("%s", text);
  if (!name) return -ENOMEM;
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  bool hung = t && hang(t, THRUMI_GENERATION(life), name);
  bool own = hung && t == k->current && k->role == THRUMI_ROLE_OWNED && t->kind != THRUMI_MAIN;
  thrumi_leave(k);
  if (!hung) thrumi_name_free(name);
  if (own) thrumi_os_name_thread(text);
  return hung ? 0 : -ESRCH;
}

const char *thrum_current_name(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  uint64_t generation = THRUMI_GENERATION(thrumi_load(&t->life));
  thrumi_leave(k);
  if (!t->name) {
    char text[THRUM_NAME_MAX];
    thrumi_name_copy(t, generation, text, sizeof text);
    struct thrumi_name *name = make("%s", text);
    if (!name) return "";
    k = thrumi_enter();
    if (t->name || !hang(t, generation, name)) {
      thrumi_leave(k);
      thrumi_name_free(name);
      return t->name ? t->name->text : "";
    }
    thrumi_leave(k);
  }
  return t->name->text;
}

const char *thrumi_name_given(const struct thrumi_thread *t) { return t->name ? t->name->text : NULL; }

void thrumi_name_own(const struct thrumi_thread *t, char *buffer, size_t size) {
  if (!t->name) {
    struct thrumi_name_parts parts = without_name(t);
    thrumi_name_write(&parts, buffer, size);
    return;
  }
  strncpy(buffer, t->name->text, size - 1);
  buffer[size - 1] = 0;
}
