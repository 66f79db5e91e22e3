/* Tasks that have names, and what they write.
 *
 * Records come and go with the objects that hold them: a constructor adds each, a destructor takes it out. That happens before
 * main, and under the dynamic linker's lock, so it must not start the runtime: a mutex of libc's guards the list. */
#include <os/os.h>
#include <string.h>

#include <future/executor.h>

static struct {
  pthread_mutex_t lock;
  thrumi_task_record *first, **end;
} tasks = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &tasks.first};

void thrumi_task_add(thrumi_task_record *record) {
  pthread_mutex_lock(&tasks.lock);
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
  pthread_mutex_unlock(&tasks.lock);
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
