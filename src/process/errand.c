/* From a work to an errand. */
#include <process/pool.h>

#include <future/chunk.h>
#include <process/record.h>
#include <string.h>
#include <thrum/thread.h>

enum { LARGE = THRUMI_RECORD_MAX / 2 }; /* items of more bytes are a parcel */

struct cargo {
  const thrum_task *task;
  const char *object; /* "": as the errand before */
  const void *items;
  uint64_t count, item_size;
  uint32_t flags;
};

static struct cargo cargo_of(const struct thrumi_work *work) {
  const struct thrumi_chunk *c = work->chunk;
  if (!c) return (struct cargo){work->task, "", work->in, 1, work->size, 0};
  return (struct cargo){c->task,  "",           c->items,
                        c->count, c->item_size, c->keep_going ? THRUMI_ERRAND_KEEP_GOING : 0u};
}

bool thrumi_errand_is_large(const struct thrumi_work *work) {
  struct cargo cargo = cargo_of(work);
  return cargo.count * cargo.item_size > LARGE;
}

/* Where the process finds the task's shared object. The task of that name must be this one here as well, or another would run there. */
static int find_object(struct cargo *cargo) {
  if (thrum_task_find(cargo->task->name) != cargo->task) return -EINVAL;
  cargo->object = thrumi_object_of_task(cargo->task);
  return 0;
}

static size_t put_string(char *to, const char *text) { return strlen(strcpy(to, text)) + 1; }

/* Into the room that is there for it; items that go in a parcel are not. */
static void fill(struct thrumi_errand *errand, const struct cargo *cargo, bool is_new, bool is_parcel) {
  char *behind = (char *)(errand + 1);
  errand->count = cargo->count;
  errand->item_size = cargo->item_size;
  errand->name_size = errand->object_size = 0;
  if (is_new) {
    errand->name_size = (uint32_t)put_string(behind, cargo->task->name);
    errand->object_size = (uint32_t)put_string(behind + errand->name_size, cargo->object);
  }
  size_t names = thrumi_record_round(errand->name_size + errand->object_size);
  size_t bytes = cargo->count * cargo->item_size;
  if (!is_parcel && bytes) memcpy(behind + names, cargo->items, bytes);
}

/* A parcel goes alone: who has many megabytes to work on does not wait for the next ones. */
static int send_parcel(struct thrumi_attendant *a, const struct cargo *cargo) {
  struct iovec piece = {(void *)(uintptr_t)cargo->items, cargo->count * cargo->item_size};
  int error = thrumi_post_parcel(&a->post, &piece, 1);
  bool without = error == -EMFILE || error == -ENFILE;
  if (without && thrumi_attendant_waits(a))
    return -EAGAIN; /* others give some back: no reason to fail all that is queued */
  if (error == -EAGAIN) thrum_sleep(THRUM_MS(1)); /* nobody may say when there is room again */
  return thrumi_post_is_lost(&a->post) ? -EAGAIN : error;
}

int thrumi_errand_write(struct thrumi_attendant *a, struct thrumi_work *work, const char **why) {
  struct cargo cargo = cargo_of(work);
  bool is_new = cargo.task != a->introduced;
  *why = "has another task of that name";
  if (is_new && find_object(&cargo) != 0) return -EINVAL;
  *why = "cannot send the argument";
  size_t names = is_new ? strlen(cargo.task->name) + strlen(cargo.object) + 2 : 0;
  size_t head = sizeof(struct thrumi_errand) + thrumi_record_round(names),
         size = cargo.count * cargo.item_size;
  bool is_parcel = thrumi_errand_is_large(work);
  if (head > THRUMI_RECORD_MAX - LARGE) return -ENAMETOOLONG;
  struct thrumi_errand *errand = thrumi_post_room(&a->post, is_parcel ? head : head + size);
  if (!errand) return -EAGAIN;
  thrumi_rely_on(work);
  int error = is_parcel ? send_parcel(a, &cargo) : 0;
  if (error) return error;
  fill(errand, &cargo, is_new, is_parcel);
  errand->number = ++a->number;
  work->place = errand;
  a->introduced = cargo.task;
  a->alone = is_parcel;
  thrumi_post_write(&a->post, is_parcel ? head : head + size, THRUMI_ERRAND,
                    cargo.flags | (is_parcel ? THRUMI_RECORD_PARCEL : 0u));
  return 0;
}
