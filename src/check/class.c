#include <check/class.h>
#include <core/fatal.h>
#include <core/symbol.h>
#include <sched/object.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>

static struct {
  struct thrumi_spin lock;
  _Atomic(struct thrumi_lock_class *) classes; /* by number, 1 and up */
  uint32_t count;
  uint32_t *place; /* numbers, open addressing by key; twice as many places as classes */
  bool full;
} table;

enum { PLACES = 2 * THRUMI_CLASSES_MAX };

struct thrumi_lock_class *thrumi_class(uint32_t number) {
  return thrumi_load(&table.classes) + number;
}

static uint64_t mix(uint64_t key) {
  key = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
  return key ^ key >> 29;
}

/* FNV-1a. */
static uint64_t hash_text(const char *text) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
  return hash;
}

/* ---- The table -------------------------------------------------------------------------------------------------------- */

static bool reserve_locked(void) {
  if (thrumi_load(&table.classes)) return true;
  if (!table.place) table.place = thrumi_os.reserve(PLACES * sizeof *table.place);
  if (!table.place) return false;
  struct thrumi_lock_class *classes = thrumi_os.reserve((THRUMI_CLASSES_MAX + 1) * sizeof *classes);
  thrumi_store(&table.classes, classes);
  return classes;
}

static uint32_t get_locked(const struct thrumi_lock_class *wanted) {
  if (!reserve_locked()) return 0;
  uint32_t *place = NULL;
  for (uint64_t at = mix(wanted->key);; at++) {
    place = &table.place[at % PLACES];
    if (!*place || thrumi_class(*place)->key == wanted->key) break;
  }
  if (!*place && table.count < THRUMI_CLASSES_MAX) {
    *place = ++table.count;
    struct thrumi_lock_class *c = thrumi_class(*place);
    c->key = wanted->key;
    c->site = wanted->site;
    c->variable = wanted->variable;
    memcpy(c->text, wanted->text, sizeof c->text);
  }
  return *place;
}

static uint32_t get(const struct thrumi_lock_class *wanted) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&table.lock);
  uint32_t number = get_locked(wanted);
  bool say = !number && !table.full;
  table.full |= say;
  thrumi_spin_unlock(&table.lock);
  thrumi_leave(k);
  if (say)
    thrumi_log("more than %d classes of locks: the order of the rest is not checked", THRUMI_CLASSES_MAX);
  return number;
}

/* ---- The class of an object ------------------------------------------------------------------------------------------- */

/* A name is the same class wherever it is given; a variable is one by its address, since names of static ones may repeat. */
static uint32_t make(const struct thrumi_acquire *a, uintptr_t first_site) {
  struct thrumi_lock_class wanted = {0};
  char name[THRUM_NAME_MAX];
  struct thrumi_kthread *k = thrumi_enter();
  bool given = thrumi_object_given_name(a->object, name);
  thrumi_leave(k);
  if (given) {
    snprintf(wanted.text, sizeof wanted.text, "\"%s\"", name);
    wanted.key = hash_text(wanted.text);
  } else if (thrumi_symbol_of_data((uintptr_t)a->object, wanted.text, sizeof wanted.text)) {
    wanted.key = mix((uintptr_t)a->object);
    wanted.variable = true;
  } else {
    wanted.site = first_site;
    wanted.key = mix(first_site) + 1;
  }
  if (!wanted.key) wanted.key = 1;
  return get(&wanted);
}

/* Two threads may have made the object's class at the same time: it counts as one object. */
static uint32_t settle(struct thrumi_watched *e, uint32_t number) {
  if (!number) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&table.lock);
  bool first = !thrumi_load(&e->klass);
  struct thrumi_lock_class *c = thrumi_class(number);
  if (first && !(c->variable && thrumi_load_relaxed(&c->objects))) thrumi_add(&c->objects, 1u);
  if (first) thrumi_store(&e->klass, number);
  thrumi_spin_unlock(&table.lock);
  thrumi_leave(k);
  return number;
}

uint32_t thrumi_class_of(const struct thrumi_acquire *a) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_watched *e = thrumi_watched_get(a);
  uint32_t number = e ? thrumi_load(&e->klass) : 0;
  uintptr_t site = e ? thrumi_load(&e->first_site) : 0;
  thrumi_leave(k);
  if (!e || number) return number;
  return settle(e, make(a, site));
}

bool thrumi_class_is_single(uint32_t number) {
  return thrumi_load_relaxed(&thrumi_class(number)->objects) == 1;
}

bool thrumi_class_blocks(uint32_t number) {
  return thrumi_load_relaxed(&thrumi_class(number)->uses) & THRUMI_CLASS_WRITTEN;
}

bool thrumi_class_begins_to_block(uint32_t number, enum thrumi_hold hold) {
  uint8_t use = hold == THRUMI_HOLD_READ ? THRUMI_CLASS_READ : THRUMI_CLASS_WRITTEN;
  _Atomic uint8_t *uses = &thrumi_class(number)->uses;
  if (thrumi_load_relaxed(uses) & use) return false;
  return thrumi_or(uses, use) == THRUMI_CLASS_READ && use == THRUMI_CLASS_WRITTEN;
}

const char *thrumi_class_text(uint32_t number, char *text, size_t size) {
  const struct thrumi_lock_class *c = thrumi_class(number);
  char place[THRUMI_PLACE_MAX];
  if (c->text[0])
    snprintf(text, size, "%s", c->text);
  else
    snprintf(text, size, "(first taken in %s)", thrumi_place(c->site, place));
  return text;
}

void thrumi_class_fork(void) { table.lock = (struct thrumi_spin){0}; }
