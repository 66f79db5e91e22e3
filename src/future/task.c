/* Tasks that have names, and what they write.
 *
 * Records come and go with the objects that hold them: a constructor adds each, a destructor takes it out. That happens before
 * main, and under the dynamic linker's lock, so it must not start the runtime: a mutex of libc's guards the list. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <os/os.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <future/executor.h>

/* Where the object of a record was opened, if its name does not say that from any directory. */
struct place {
  const thrumi_task_record *record;
  struct place *next;
  char path[];
};

static struct {
  pthread_mutex_t lock;
  thrumi_task_record *first, **end;
  struct place *places;
} tasks = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &tasks.first};

_Atomic bool thrumi_task_places;

/* The linker keeps the name by which an object was opened. A relative one is good from the directory of that moment only, which this
 * is: constructors are run before dlopen returns. (Links are kept: the object may look for others beside itself.) NULL: it is
 * not needed, or there is no memory. */
static struct place *find_place(const thrumi_task_record *record) {
  Dl_info info;
  if (!dladdr(record, &info) || !info.dli_fname || info.dli_fname[0] == '/') return NULL;
  char *directory = getcwd(NULL, 0);
  if (!directory) return NULL;
  size_t length = strlen(directory), name_size = strlen(info.dli_fname) + 1;
  struct place *place = thrumi_os.allocate(sizeof *place + length + 1 + name_size);
  if (place) {
    place->record = record;
    memcpy(place->path, directory, length);
    place->path[length] = '/';
    memcpy(place->path + length + 1, info.dli_fname, name_size);
  }
  free(directory);
  return place;
}

static struct place *take_place(const thrumi_task_record *record) {
  for (struct place **at = &tasks.places; *at; at = &(*at)->next) {
    struct place *place = *at;
    if (place->record != record) continue;
    *at = place->next;
    return place;
  }
  return NULL;
}

void thrumi_task_add(thrumi_task_record *record) {
  struct place *place = thrumi_load(&thrumi_task_places) ? find_place(record) : NULL;
  pthread_mutex_lock(&tasks.lock);
  if (place) {
    place->next = tasks.places;
    tasks.places = place;
  }
  record->next = NULL;
  *tasks.end = record;
  tasks.end = &record->next;
  pthread_mutex_unlock(&tasks.lock);
}

void thrumi_task_remove(thrumi_task_record *record) {
  pthread_mutex_lock(&tasks.lock);
  for (thrumi_task_record **at = &tasks.first; *at; at = &(*at)->next) {
    if (*at != record) continue;
    if (!(*at = record->next)) tasks.end = at;
    break;
  }
  struct place *place = take_place(record);
  pthread_mutex_unlock(&tasks.lock);
  if (place) thrumi_os.free(place);
}

const char *thrumi_task_place(const thrum_task *task) {
  const char *path = NULL;
  pthread_mutex_lock(&tasks.lock);
  for (const struct place *place = tasks.places; place && !path; place = place->next)
    if (place->record->task == task) path = place->path;
  pthread_mutex_unlock(&tasks.lock);
  return path;
}

const thrum_task *thrum_task_find(const char *name) {
  const thrum_task *found = NULL;
  if (!name) return NULL;
  pthread_mutex_lock(&tasks.lock);
  for (const thrumi_task_record *r = tasks.first; r && !found; r = r->next)
    if (strcmp(r->task->name, name) == 0) found = r->task;
  pthread_mutex_unlock(&tasks.lock);
  return found;
}

/* ---- Results of bytes ---------------------------------------------------------------------------------------------- */

enum { FIRST_ROOM = 64 };

/* Makes room for `more` bytes. False: no memory. */
static bool make_room(thrum_out *out, size_t more) {
  if (more <= out->room - out->size) return true;
  size_t room = out->room ? out->room : FIRST_ROOM;
  while (room && more > room - out->size) room = room > SIZE_MAX / 2 ? 0 : room * 2;
  char *data = room ? thrumi_os.allocate(room) : NULL;
  if (!data) return false;
  if (out->size) memcpy(data, out->data, out->size);
  if (out->data) thrumi_os.free(out->data);
  out->data = data;
  out->room = room;
  return true;
}

int thrum_out_write(thrum_out *out, const void *data, size_t size) {
  if (!out || (!data && size)) return -EINVAL;
  if (!make_room(out, size)) return out->error = -ENOMEM;
  if (size) memcpy(out->data + out->size, data, size);
  out->size += size;
  return 0;
}
