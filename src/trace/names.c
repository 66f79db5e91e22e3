#define _GNU_SOURCE
#include <core/symbol.h>
#include <sched/object.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <trace/names.h>
#include <unistd.h>

enum {
  TEXT = 2 * THRUM_NAME_MAX,
  LEAST_ADDRESS = 64 * 1024, /* below it are descriptors, not objects */
  LOOKUPS = 64,              /* of objects in one go: the rest is looked up at the end */
};

static uint64_t hash(uint64_t key) { return key * UINT64_C(0x9e3779b97f4a7c15) >> 32; }

/* ---- Functions ------------------------------------------------------------------------------------------------- */

/* The name of a thread's function; NULL: not known. A crash knows those alone that were looked up before. */
static const char *function_name(struct thrumi_drain *d, uint64_t function) {
  size_t at = hash(function) % THRUMI_DRAIN_FUNCTIONS;
  char *name = d->function[at].name;
  if (function && d->function[at].function == function) return *name ? name : NULL;
  if (!function || d->plain) return NULL;
  if (!thrumi_symbol_name((uintptr_t)function, name, THRUM_NAME_MAX)) *name = 0;
  d->function[at].function = function;
  return *name ? name : NULL;
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

/* Decimal digits, by ourselves: printf is not for handlers. */
static char *put_number(char *to, uint32_t n) {
  char digits[10];
  int count = 0;
  do digits[count++] = (char)('0' + n % 10);
  while (n /= 10);
  while (count) *to++ = digits[--count];
  return to;
}

static char *put_text(char *to, const char *text) {
  size_t length = strlen(text);
  memcpy(to, text, length);
  return to + length;
}

/* As thrumi_name_write does, for a handler too. */
static void write_name(struct thrumi_drain *d, char out[TEXT], uint8_t kind, uint32_t number,
                       uint64_t function) {
  const char *name = kind == THRUMI_LIGHT || kind == THRUMI_BOUND ? function_name(d, function) : NULL;
  if (kind == THRUMI_MAIN) {
    *put_text(out, "MainThread") = 0;
    return;
  }
  char *end = put_number(put_text(out, kind == THRUMI_FOREIGN ? "Dummy-" : "Thread-"), number);
  if (name) end = put_text(put_text(put_text(end, " ("), name), ")");
  *end = 0;
}

void thrumi_drain_name(struct thrumi_drain *d, const struct thrumi_event *event) {
  char text[TEXT];
  write_name(d, text, (uint8_t)event->worker, event->detail, event->object);
  thrumi_file_thread(&d->file, event->thread, text);
}

/* In a handler nobody may be waited for, and the name may be freed at any moment: the kernel reads it for us, and says so if it cannot. */
static bool peek_given(const struct thrumi_thread *t, char out[THRUM_NAME_MAX]) {
  const char *given = thrumi_name_given(t);
  struct iovec to = {out, THRUM_NAME_MAX}, from = {(void *)(uintptr_t)given, THRUM_NAME_MAX};
  if (!given || process_vm_readv(getpid(), &to, 1, &from, 1, 0) != THRUM_NAME_MAX) return false;
  return memchr(out, 0, THRUM_NAME_MAX) != NULL;
}

static void name_plainly(struct thrumi_drain *d, struct thrumi_thread *t, uint64_t id) {
  char text[TEXT];
  if (!peek_given(t, text)) write_name(d, text, t->kind, t->number, (uintptr_t)t->fn);
  thrumi_file_thread(&d->file, id, text);
}

static void name(struct thrumi_drain *d, struct thrumi_thread *t, uint64_t id) {
  struct thrumi_name_parts parts;
  char text[TEXT];
  struct thrumi_kthread *k = thrumi_enter();
  bool there = thrumi_name_take(t, THRUMI_GENERATION(id), &parts);
  thrumi_leave(k);
  if (!there) return;
  if (!parts.given[0]) write_name(d, text, parts.kind, parts.number, (uintptr_t)parts.fn);
  thrumi_file_thread(&d->file, id, parts.given[0] ? parts.given : text);
}

static bool is_living(struct thrumi_thread *t) {
  uint64_t life = thrumi_load(&t->life);
  return t == thrumi_sched.main || !(THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED));
}

void thrumi_drain_living(struct thrumi_drain *d) {
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    if (!t || !is_living(t)) continue;
    if (d->plain)
      name_plainly(d, t, thrumi_handle(t).value);
    else
      name(d, t, thrumi_handle(t).value);
  }
}

/* ---- Objects --------------------------------------------------------------------------------------------------- */

/* "lock `table`", of "a lock" and "table". False: it has neither a name nor a symbol. */
static bool describe(uint64_t object, uint32_t what, char *out, size_t size) {
  char given[THRUM_NAME_MAX];
  char symbol[THRUM_NAME_MAX];
  const char *sort = thrumi_string(what), *name = given;
  struct thrumi_kthread *k = thrumi_enter();
  bool known = thrumi_object_given_name((const void *)(uintptr_t)object, given);
  thrumi_leave(k);
  if (!known) known = thrumi_symbol_of_data((uintptr_t)object, symbol, sizeof symbol), name = symbol;
  if (!known) return false;
  if (!sort) sort = "object";
  if (strncmp(sort, "a ", 2) == 0) sort += 2;
  if (strncmp(sort, "an ", 3) == 0) sort += 3;
  snprintf(out, size, "%s `%s`", sort, name);
  return true;
}

static void try_to_name(struct thrumi_drain *d, size_t at) {
  char text[2 * TEXT];
  if (!describe(d->object[at].object, d->object[at].what, text, sizeof text)) return;
  d->object[at].named = true;
  thrumi_file_object(&d->file, d->object[at].object, text);
}

/* Who waits for a thread's end names that by its handle. */
static bool is_thread(uint32_t what) {
  const char *sort = thrumi_string(what);
  return sort && strncmp(sort, "the end of", 10) == 0;
}

/* One that falls on another's place puts that one out: it was named then, or has no name yet, and may come again. */
void thrumi_drain_object(struct thrumi_drain *d, uint64_t object, uint32_t what) {
  size_t at = hash(object) % THRUMI_DRAIN_OBJECTS;
  if (object < LEAST_ADDRESS || d->plain || is_thread(what)) return;
  if (d->object[at].object == object && d->object[at].what == what) return;
  d->object[at].object = object;
  d->object[at].what = what;
  d->object[at].named = false;
  if (d->lookups < LOOKUPS) try_to_name(d, at);
  d->lookups++;
}

void thrumi_drain_objects(struct thrumi_drain *d) {
  for (size_t at = 0; at < THRUMI_DRAIN_OBJECTS; at++)
    if (d->object[at].object && !d->object[at].named) try_to_name(d, at);
}
