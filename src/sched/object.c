#include <core/backtrace.h>
#include <core/hooks.h>
#include <core/symbol.h>
#include <sched/object.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>

struct named {
  struct named *next;
  const void *object;
  const char *kind; /* NULL: not told */
  char name[THRUM_NAME_MAX];
};

/* A chain a hash of the address; under the lock. `count` is read outside of it as a hint: who names an object and who destroys
 * it are ordered by the program. */
static struct {
  struct thrumi_spin lock;
  _Atomic size_t count;
  struct named *chain[THRUMI_OBJECT_CHAINS];
} names;

/* Where the object's entry is linked in, or would be. */
static struct named **find_locked(const void *object) {
  uint64_t key = (uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15);
  struct named **link = &names.chain[key >> 54];
  while (*link && (*link)->object != object) link = &(*link)->next;
  return link;
}

/* Puts `new` in the place of the object's entry, and returns that; either may be NULL. */
static struct named *exchange(const void *object, struct named *new) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&names.lock);
  struct named **link = find_locked(object), *old = *link;
  if (old) *link = old->next;
  if (new) {
    new->next = *link;
    *link = new;
  }
  thrumi_add(&names.count, (size_t)(new != NULL) - (old != NULL));
  thrumi_spin_unlock(&names.lock);
  thrumi_leave(k);
  return old;
}

int thrumi_object_name(const void *object, const char *name) {
  return thrumi_object_name_as(object, name, NULL);
}

int thrumi_object_name_as(const void *object, const char *name, const char *kind) {
  struct named *new = NULL;
  if (name && *name) {
    new = thrumi_os.allocate(sizeof *new);
    if (!new) return -ENOMEM;
    new->object = object;
    new->kind = kind;
    snprintf(new->name, sizeof new->name, "%s", name);
  }
  struct named *old = exchange(object, new);
  if (old) thrumi_os.free(old);
  return 0;
}

void thrumi_object_forget(const void *object) {
  if (thrumi_load_relaxed(&names.count)) thrumi_object_name(object, NULL);
  if (!thrumi_hooks.watch_forget) return;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_hooks.watch_forget(object);
  thrumi_leave(k);
}

bool thrumi_object_given_name(const void *object, char name[THRUM_NAME_MAX]) {
  if (!thrumi_load_relaxed(&names.count)) return false;
  thrumi_spin_lock(&names.lock);
  const struct named *named = *find_locked(object);
  if (named) memcpy(name, named->name, THRUM_NAME_MAX);
  thrumi_spin_unlock(&names.lock);
  return named;
}

size_t thrumi_objects_of_kind(uint32_t chain, const char *kind, const void **out, size_t room) {
  size_t n = 0;
  thrumi_spin_lock(&names.lock);
  for (const struct named *at = names.chain[chain]; at && n < room; at = at->next)
    if (at->kind && strcmp(at->kind, kind) == 0) out[n++] = at->object;
  thrumi_spin_unlock(&names.lock);
  return n;
}

void thrumi_object_fork(void) { names.lock = (struct thrumi_spin){0}; }

/* Where somebody who watches saw it acquired first; 0: nobody did. */
static uintptr_t first_site(const void *object) {
  if (!thrumi_hooks.watch_site) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  uintptr_t site = thrumi_hooks.watch_site(object);
  thrumi_leave(k);
  return site;
}

void thrumi_object_describe(const void *object, char *text, size_t size) {
  char name[THRUM_NAME_MAX];
  struct thrumi_kthread *k = thrumi_enter();
  bool given = thrumi_object_given_name(object, name);
  thrumi_leave(k);
  if (given) {
    snprintf(text, size, "\"%s\"", name);
    return;
  }
  if (thrumi_symbol_of_data((uintptr_t)object, text, size)) return;
  uintptr_t site = first_site(object);
  char place[THRUMI_PLACE_MAX];
  if (site)
    snprintf(text, size, "%p, first taken in %s", object, thrumi_place(site, place));
  else
    snprintf(text, size, "%p", object);
}

const char *thrumi_object_text(const void *object, char text[THRUMI_OBJECT_TEXT]) {
  thrumi_object_describe(object, text, THRUMI_OBJECT_TEXT);
  return text;
}
