/* Locks that are waited for, and queues.
 *
 * Nobody keeps lists of objects. What threads wait for is found by a pass over all of them, which holds at most one bucket of the
 * parking table at a time, for one thread; what an object is named is known to the table of names. Both lists are bounded: what
 * does not fit is counted.
 *
 * A queue is read where it lies, and its owner may free it at any moment. So it is read through the kernel, for which memory that
 * is not there is an error and no fault, and believed if a thread that waited in it before still does so in the same wait: until
 * that ends it keeps the queue. Of one that has a name, and nobody in it, the name is all the proof there is: it is forgotten by
 * thrum_queue_destroy before the memory goes. */
#define _GNU_SOURCE
#include <core/parking.h>
#include <inspect/inspect.h>
#include <queue/channel.h>
#include <sched/object.h>
#include <sched/self.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OBJECTS = 256, WATCHED = 32, OBJECT_TEXT = 4 * 1024 };

struct found {
  const void *object; /* NULL: free */
  const char *what;
  uint64_t owner;   /* a handle; 0: not known */
  uint64_t waiters; /* of a queue: getters */
  uint64_t putters, joiners;
  int64_t longest; /* ns */
  size_t depth, capacity;
  bool to_read, is_read; /* held to read; the queue's depth is known */
};

struct findings {
  struct found of[OBJECTS];
  size_t count;
  uint64_t left_out; /* waits, or holdings, for which there was no room */
  bool queues;       /* looks for queues, else for locks */
  int64_t now;
};

/* An object's entry; a lock that several read is one for each. NULL: no room. */
static struct found *entry(struct findings *all, const void *object, uint64_t owner) {
  size_t start = ((uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) + owner) >> 56;
  for (size_t i = 0; i < OBJECTS; i++) {
    struct found *f = &all->of[(start + i) % OBJECTS];
    if (f->object == object && f->owner == owner) return f;
    if (f->object) continue;
    f->object = object;
    f->owner = owner;
    all->count++;
    return f;
  }
  all->left_out++;
  return NULL;
}

static void note_longest(struct found *f, const struct thrumi_look *look, int64_t now) {
  if (now - look->since > f->longest) f->longest = now - look->since;
}

/* ---- Locks -------------------------------------------------------------------------------------------------- */

static void note_lock(struct findings *all, const struct thrumi_look *look) {
  uint64_t owner = look->next ? thrumi_handle(look->next).value : 0;
  struct found *f = entry(all, look->object, owner);
  if (!f) return;
  f->what = look->what;
  f->waiters++;
  note_longest(f, look, all->now);
}

/* What the checker or the profile knows that t holds, waited for or not. */
static void note_held(struct findings *all, struct thrumi_thread *t) {
  struct thrumi_watched_hold holds[WATCHED];
  if (!thrumi_hooks.watch_held) return;
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t owner = thrumi_handle(t).value;
  uint32_t n = thrumi_hooks.watch_held(t, holds, WATCHED);
  thrumi_leave(k);
  for (uint32_t i = 0; i < n; i++) {
    struct found *f = entry(all, holds[i].object, owner);
    if (!f) continue;
    if (!f->what) f->what = holds[i].what;
    f->to_read = holds[i].to_read;
  }
}

/* ---- Queues ------------------------------------------------------------------------------------------------- */

/* Copies what a channel says of itself. False: it is none, or is not there. */
static bool read_channel(const void *object, struct found *f) {
  struct thrumi_channel c;
  struct iovec to = {&c, sizeof c}, from = {(void *)(uintptr_t)object, sizeof c};
  if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != (ssize_t)sizeof c) return false;
  if (c.item_size == 0 || c.order > THRUM_PRIORITY) return false;
  f->depth = thrumi_load_relaxed(&c.count);
  f->capacity = c.limit;
  return true;
}

static bool waits_still(const struct thrumi_look *look) {
  struct thrumi_look now;
  struct thrumi_kthread *k = thrumi_enter();
  bool same = thrumi_look_at(look->thread, &now) && now.object == look->object &&
              now.word / THRUMI_WAIT_STATES == look->word / THRUMI_WAIT_STATES && now.handle == look->handle;
  thrumi_leave(k);
  return same;
}

static bool is_queue(const char *what) {
  return strcmp(what, "room in queue") == 0 || strcmp(what, "an item of queue") == 0 ||
         strcmp(what, "the tasks of queue") == 0;
}

static void note_queue(struct findings *all, const struct thrumi_look *look) {
  struct found read = {0}, *f = entry(all, look->object, 0);
  if (!f) return;
  if (!f->is_read && read_channel(look->object, &read) && waits_still(look)) {
    f->is_read = true;
    f->depth = read.depth;
    f->capacity = read.capacity;
  }
  f->waiters += look->what[0] == 'a';
  f->putters += look->what[0] == 'r';
  f->joiners += look->what[0] == 't';
  note_longest(f, look, all->now);
}

static void note_named(struct findings *all) {
  const void *objects[OBJECTS];
  for (uint32_t chain = 0; chain < THRUMI_OBJECT_CHAINS; chain++) {
    struct thrumi_kthread *k = thrumi_enter();
    size_t n = thrumi_objects_of_kind(chain, "queue", objects, OBJECTS);
    thrumi_leave(k);
    for (size_t i = 0; i < n; i++) {
      struct found *f = entry(all, objects[i], 0);
      if (f && !f->is_read) f->is_read = read_channel(objects[i], f);
    }
  }
}

/* ---- The pass ------------------------------------------------------------------------------------------------ */

static void note(struct findings *all, struct thrumi_thread *t) {
  struct thrumi_look look;
  struct thrumi_kthread *k = thrumi_enter();
  bool waits = thrumi_look_at(t, &look);
  thrumi_leave(k);
  if (waits && look.object && all->queues && is_queue(look.what)) note_queue(all, &look);
  if (waits && !all->queues && look.how & THRUMI_HELD) note_lock(all, &look);
  if (!all->queues) note_held(all, t);
}

static void pass(struct findings *all) {
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    if (!(THRUMI_FLAGS(thrumi_load(&t->life)) & (THRUMI_FREE | THRUMI_FINISHED))) note(all, t);
  }
}

/* "an rwlock to read" is an rwlock. */
static void write_kind(struct thrumi_json *j, const char *what) {
  const char *kind = thrumi_without_article(what);
  thrumi_json_begin_string(j, "kind");
  thrumi_json_part(j, kind, strcspn(kind, " "));
  thrumi_json_end_string(j);
}

static void write_object(struct thrumi_json *j, const struct found *f) {
  thrumi_json_string(j, "object", THRUMI_NAME_OF(f->object));
  thrumi_json_address(j, "address", f->object);
}

static void write_lock(struct thrumi_json *j, const struct found *f) {
  char name[THRUM_NAME_MAX];
  write_kind(j, f->what);
  write_object(j, f);
  if (f->owner && thrum_name((thrum_thread){f->owner}, name, sizeof name) >= 0) {
    thrumi_json_count(j, "owner", f->owner);
    thrumi_json_string(j, "owner_name", name);
    thrumi_json_bool(j, "to_read", f->to_read);
  }
  thrumi_json_count(j, "waiters", f->waiters);
  thrumi_json_number(j, "longest_ns", f->longest);
}

static void write_queue(struct thrumi_json *j, const struct found *f) {
  write_object(j, f);
  if (f->is_read) {
    thrumi_json_count(j, "depth", f->depth);
    if (f->capacity != SIZE_MAX) thrumi_json_count(j, "capacity", f->capacity);
  }
  thrumi_json_count(j, "getters", f->waiters);
  thrumi_json_count(j, "putters", f->putters);
  thrumi_json_count(j, "joiners", f->joiners);
  thrumi_json_number(j, "longest_ns", f->longest);
}

static void write_all(struct thrumi_json *j, struct findings *all) {
  thrumi_json_open(j, all->queues ? "queues" : "locks", '[');
  for (size_t i = 0; i < OBJECTS; i++) {
    const struct found *f = &all->of[i];
    if (!f->object) continue;
    if (thrumi_json_room(j) < OBJECT_TEXT) {
      all->left_out++;
      continue;
    }
    thrumi_json_open(j, NULL, '{');
    if (all->queues)
      write_queue(j, f);
    else
      write_lock(j, f);
    thrumi_json_close(j, '}');
  }
  thrumi_json_close(j, ']');
  thrumi_json_count(j, "left_out", all->left_out);
}

static void answer(struct thrumi_json *j, bool queues) {
  struct findings *all = thrumi_os.reserve(sizeof *all);
  if (!all) {
    thrumi_json_string(j, "error", "no memory");
    return;
  }
  all->queues = queues;
  all->now = thrumi_os.now();
  pass(all);
  if (queues) note_named(all);
  write_all(j, all);
  thrumi_os.release(all, sizeof *all);
}

void thrumi_answer_locks(struct thrumi_json *j) { answer(j, false); }
void thrumi_answer_queues(struct thrumi_json *j) { answer(j, true); }
