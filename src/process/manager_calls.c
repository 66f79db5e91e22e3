/* What users call: each is one request, and one reply. */
#include <process/manager_client.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/queue.h>
#include <thrum/time.h>

static struct thrumi_client_call call_of(uint64_t object, enum thrumi_operation operation) {
  return (struct thrumi_client_call){.words = {.object = object, .operation = (uint16_t)operation}};
}

/* A call of which only the status matters. */
static int status_of(thrum_manager *m, struct thrumi_client_call *call) {
  int status = thrumi_client_call(m, call);
  free(call->message);
  return status;
}

/* One that ends with its time. */
static int timed(thrum_manager *m, struct thrumi_client_call *call, thrum_duration timeout) {
  call->has_end = true;
  call->words.timeout = timeout;
  return status_of(m, call);
}

/* One that gives back, and so is no cancellation point. */
static int given_back(thrum_manager *m, struct thrumi_client_call *call) {
  call->shielded = true;
  return status_of(m, call);
}

static ssize_t value_of(thrum_manager *m, uint64_t object, enum thrumi_operation operation) {
  struct thrumi_client_call call = call_of(object, operation);
  int status = status_of(m, &call);
  return status ? status : (ssize_t)call.reply.value;
}

/* A poll that found nothing, as the try forms have it. */
static ssize_t as_tried(ssize_t status) { return status == -ETIMEDOUT ? -EAGAIN : status; }

/* The payload in memory of the caller's, which is the message's. */
static void give_payload(struct thrumi_client_call *call, void **data, size_t *size) {
  memmove(call->message, call->payload, call->payload_size);
  *data = call->message;
  if (size) *size = call->payload_size;
  call->message = NULL;
}

/* ---- Objects ----------------------------------------------------------------------------------------------------------------- */

static int open_object(thrum_manager **manager, uint64_t *id, thrum_manager *m, const char *name,
                       enum thrumi_object_kind kind, uint64_t argument) {
  size_t size = name ? strnlen(name, THRUM_MANAGER_NAME_MAX + 1) : 0;
  if (!m || size == 0 || size > THRUM_MANAGER_NAME_MAX) return -EINVAL;
  struct thrumi_client_call call = call_of(0, THRUMI_OP_OPEN);
  call.words.flags = (uint16_t)kind;
  call.words.argument = argument;
  call.words.name = (const unsigned char *)name;
  call.words.name_size = size;
  int status = status_of(m, &call);
  if (status) return status;
  *manager = m;
  *id = call.reply.value;
  return 0;
}

int thrum_manager_remove(thrum_manager *m, const char *name) {
  if (!name) return -EINVAL;
  struct thrumi_client_call call = call_of(0, THRUMI_OP_REMOVE);
  call.words.name = (const unsigned char *)name;
  call.words.name_size = strnlen(name, THRUM_MANAGER_NAME_MAX + 1);
  return status_of(m, &call);
}

/* ---- Queues ------------------------------------------------------------------------------------------------------------------ */

int thrum_manager_queue_open(thrum_manager_queue *q, thrum_manager *m, const char *name, size_t capacity) {
  if (!q || !capacity || capacity == THRUM_RENDEZVOUS) return -EINVAL;
  return open_object(&q->manager, &q->id, m, name, THRUMI_KIND_QUEUE, capacity);
}

int thrum_manager_queue_put_for(thrum_manager_queue *q, const void *data, size_t size,
                                thrum_duration timeout) {
  if (!q || (size && !data)) return -EINVAL;
  struct thrumi_client_call call = call_of(q->id, THRUMI_OP_PUT);
  call.words.value = data;
  call.words.value_size = size;
  return timed(q->manager, &call, timeout);
}

int thrum_manager_queue_put(thrum_manager_queue *q, const void *data, size_t size) {
  return thrum_manager_queue_put_for(q, data, size, THRUM_FOREVER);
}

int thrum_manager_queue_try_put(thrum_manager_queue *q, const void *data, size_t size) {
  return (int)as_tried(thrum_manager_queue_put_for(q, data, size, 0));
}

static int get(thrum_manager_queue *q, struct thrumi_client_call *call, size_t room, thrum_duration timeout) {
  *call = call_of(q->id, THRUMI_OP_GET);
  call->has_end = true;
  call->words.argument = room;
  call->words.timeout = timeout;
  int status = thrumi_client_call(q->manager, call);
  if (status) free(call->message);
  return status;
}

ssize_t thrum_manager_queue_get_for(thrum_manager_queue *q, void *buffer, size_t size,
                                    thrum_duration timeout) {
  struct thrumi_client_call call;
  if (!q || (size && !buffer)) return -EINVAL;
  int status = get(q, &call, size, timeout);
  if (status) return status;
  size_t got = call.payload_size <= size ? call.payload_size : size; /* a manager that lies harms nobody */
  if (got) memcpy(buffer, call.payload, got);
  free(call.message);
  return (ssize_t)got;
}

ssize_t thrum_manager_queue_get(thrum_manager_queue *q, void *buffer, size_t size) {
  return thrum_manager_queue_get_for(q, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_manager_queue_try_get(thrum_manager_queue *q, void *buffer, size_t size) {
  return as_tried(thrum_manager_queue_get_for(q, buffer, size, 0));
}

int thrum_manager_queue_get_new(thrum_manager_queue *q, void **data, size_t *size, thrum_duration timeout) {
  struct thrumi_client_call call;
  if (!q || !data) return -EINVAL;
  int status = get(q, &call, SIZE_MAX, timeout);
  if (!status) give_payload(&call, data, size);
  return status;
}

ssize_t thrum_manager_queue_size(thrum_manager_queue *q) {
  return q ? value_of(q->manager, q->id, THRUMI_OP_QUEUE_SIZE) : -EINVAL;
}

ssize_t thrum_manager_queue_unfinished(thrum_manager_queue *q) {
  return q ? value_of(q->manager, q->id, THRUMI_OP_UNFINISHED) : -EINVAL;
}

int thrum_manager_queue_task_done(thrum_manager_queue *q) {
  if (!q) return -EINVAL;
  struct thrumi_client_call call = call_of(q->id, THRUMI_OP_TASK_DONE);
  return given_back(q->manager, &call);
}

int thrum_manager_queue_join(thrum_manager_queue *q, thrum_duration timeout) {
  if (!q) return -EINVAL;
  struct thrumi_client_call call = call_of(q->id, THRUMI_OP_JOIN);
  return timed(q->manager, &call, timeout);
}

int thrum_manager_queue_shutdown(thrum_manager_queue *q, bool now) {
  if (!q) return -EINVAL;
  struct thrumi_client_call call = call_of(q->id, THRUMI_OP_SHUTDOWN);
  call.words.argument = now;
  return given_back(q->manager, &call);
}

/* ---- Locks ------------------------------------------------------------------------------------------------------------------- */

int thrum_manager_lock_open(thrum_manager_lock *lock, thrum_manager *m, const char *name) {
  return lock ? open_object(&lock->manager, &lock->id, m, name, THRUMI_KIND_LOCK, 0) : -EINVAL;
}

int thrum_manager_rlock_open(thrum_manager_lock *lock, thrum_manager *m, const char *name) {
  return lock ? open_object(&lock->manager, &lock->id, m, name, THRUMI_KIND_RLOCK, 0) : -EINVAL;
}

int thrum_manager_lock_acquire_for(thrum_manager_lock *lock, thrum_duration timeout) {
  if (!lock) return -EINVAL;
  struct thrumi_client_call call = call_of(lock->id, THRUMI_OP_ACQUIRE);
  call.words.argument = thrum_id(thrum_current());
  return timed(lock->manager, &call, timeout);
}

int thrum_manager_lock_acquire(thrum_manager_lock *lock) {
  return thrum_manager_lock_acquire_for(lock, THRUM_FOREVER);
}

int thrum_manager_lock_try_acquire(thrum_manager_lock *lock) {
  return (int)as_tried(thrum_manager_lock_acquire_for(lock, 0));
}

int thrum_manager_lock_release(thrum_manager_lock *lock) {
  if (!lock) return -EINVAL;
  struct thrumi_client_call call = call_of(lock->id, THRUMI_OP_RELEASE);
  call.words.argument = thrum_id(thrum_current());
  return given_back(lock->manager, &call);
}

/* ---- Semaphores and events --------------------------------------------------------------------------------------------------- */

int thrum_manager_sem_open(thrum_manager_sem *sem, thrum_manager *m, const char *name, uint32_t units) {
  return sem ? open_object(&sem->manager, &sem->id, m, name, THRUMI_KIND_SEM, units) : -EINVAL;
}

int thrum_manager_sem_acquire(thrum_manager_sem *sem, thrum_duration timeout) {
  if (!sem) return -EINVAL;
  struct thrumi_client_call call = call_of(sem->id, THRUMI_OP_DOWN);
  return timed(sem->manager, &call, timeout);
}

int thrum_manager_sem_release(thrum_manager_sem *sem, uint32_t n) {
  if (!sem) return -EINVAL;
  struct thrumi_client_call call = call_of(sem->id, THRUMI_OP_UP);
  call.words.argument = n;
  return given_back(sem->manager, &call);
}

ssize_t thrum_manager_sem_value(thrum_manager_sem *sem) {
  return sem ? value_of(sem->manager, sem->id, THRUMI_OP_UNITS) : -EINVAL;
}

int thrum_manager_event_open(thrum_manager_event *event, thrum_manager *m, const char *name) {
  return event ? open_object(&event->manager, &event->id, m, name, THRUMI_KIND_EVENT, 0) : -EINVAL;
}

int thrum_manager_event_set(thrum_manager_event *event) {
  if (!event) return -EINVAL;
  struct thrumi_client_call call = call_of(event->id, THRUMI_OP_RAISE);
  return given_back(event->manager, &call);
}

int thrum_manager_event_clear(thrum_manager_event *event) {
  if (!event) return -EINVAL;
  struct thrumi_client_call call = call_of(event->id, THRUMI_OP_CLEAR);
  return given_back(event->manager, &call);
}

int thrum_manager_event_is_set(thrum_manager_event *event) {
  return event ? (int)value_of(event->manager, event->id, THRUMI_OP_IS_SET) : -EINVAL;
}

int thrum_manager_event_wait(thrum_manager_event *event, thrum_duration timeout) {
  if (!event) return -EINVAL;
  struct thrumi_client_call call = call_of(event->id, THRUMI_OP_WAIT);
  return timed(event->manager, &call, timeout);
}

/* ---- Maps -------------------------------------------------------------------------------------------------------------------- */

int thrum_manager_map_open(thrum_manager_map *map, thrum_manager *m, const char *name) {
  return map ? open_object(&map->manager, &map->id, m, name, THRUMI_KIND_MAP, 0) : -EINVAL;
}

/* A call about a key. False: it cannot be one. */
static bool about_key(struct thrumi_client_call *call, const thrum_manager_map *map,
                      enum thrumi_operation operation, const void *key, size_t size) {
  if (!map || (size && !key) || size > THRUM_MANAGER_KEY_MAX) return false;
  *call = call_of(map->id, operation);
  call->words.name = key;
  call->words.name_size = size;
  return true;
}

/* With a version that must be still so, if there is one; and the one that it has now. */
static int change(thrum_manager_map *map, struct thrumi_client_call *call, const uint64_t *if_version,
                  uint64_t *version) {
  if (if_version) call->words.flags = THRUMI_IF_VERSION, call->words.argument = *if_version;
  int status = status_of(map->manager, call);
  if (version && (!status || status == -ESTALE)) *version = call->reply.value;
  return status;
}

int thrum_manager_map_set(thrum_manager_map *map, const void *key, size_t key_size, const void *value,
                          size_t size, uint64_t *version) {
  struct thrumi_client_call call;
  if (!about_key(&call, map, THRUMI_OP_SET, key, key_size) || (size && !value)) return -EINVAL;
  call.words.value = value;
  call.words.value_size = size;
  return change(map, &call, NULL, version);
}

int thrum_manager_map_set_if(thrum_manager_map *map, const void *key, size_t key_size, const void *value,
                             size_t size, uint64_t *version) {
  struct thrumi_client_call call;
  if (!about_key(&call, map, THRUMI_OP_SET, key, key_size) || (size && !value) || !version) return -EINVAL;
  call.words.value = value;
  call.words.value_size = size;
  return change(map, &call, version, version);
}

int thrum_manager_map_delete(thrum_manager_map *map, const void *key, size_t key_size, uint64_t *version) {
  struct thrumi_client_call call;
  if (!about_key(&call, map, THRUMI_OP_DELETE, key, key_size)) return -EINVAL;
  return change(map, &call, version, version);
}

int thrum_manager_map_get(thrum_manager_map *map, const void *key, size_t key_size, void **value,
                          size_t *size, uint64_t *version) {
  struct thrumi_client_call call;
  if (!about_key(&call, map, THRUMI_OP_LOOK, key, key_size) || !value) return -EINVAL;
  int status = thrumi_client_call(map->manager, &call);
  if (!status && version) *version = call.reply.value;
  if (!status) give_payload(&call, value, size);
  free(call.message);
  return status;
}

int thrum_manager_map_wait(thrum_manager_map *map, const void *key, size_t key_size, uint64_t *version,
                           thrum_duration timeout) {
  struct thrumi_client_call call;
  if (!about_key(&call, map, THRUMI_OP_CHANGE, key, key_size) || !version) return -EINVAL;
  call.words.argument = *version;
  int status = timed(map->manager, &call, timeout);
  if (!status) *version = call.reply.value;
  return status;
}

ssize_t thrum_manager_map_size(thrum_manager_map *map) {
  return map ? value_of(map->manager, map->id, THRUMI_OP_MAP_SIZE) : -EINVAL;
}

int thrum_manager_map_keys(thrum_manager_map *map, thrum_manager_keys *keys) {
  if (!map || !keys) return -EINVAL;
  struct thrumi_client_call call = call_of(map->id, THRUMI_OP_KEYS);
  int status = thrumi_client_call(map->manager, &call);
  *keys = (thrum_manager_keys){0};
  if (!status) give_payload(&call, &keys->memory, &keys->size);
  free(call.message);
  return status;
}

bool thrum_manager_keys_next(thrum_manager_keys *keys, const void **key, size_t *size) {
  const unsigned char *at = (const unsigned char *)keys->memory + keys->at;
  size_t left = keys->size - keys->at;
  size_t length = left >= 4 ? (size_t)thrumi_little_get(at, 4) : 0;
  if (left < 4 || length > left - 4) return false;
  *key = at + 4;
  *size = length;
  keys->at += 4 + length;
  return true;
}

void thrum_manager_keys_free(thrum_manager_keys *keys) {
  if (!keys) return;
  free(keys->memory);
  *keys = (thrum_manager_keys){0};
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------------------- */

int thrum_manager_call(thrum_manager *m, const char *task, const void *in, size_t in_size, void **data,
                       size_t *size, thrum_duration timeout) {
  if (!task || !data || (in_size && !in)) return -EINVAL;
  struct thrumi_client_call call = call_of(0, THRUMI_OP_CALL);
  size_t length = strlen(task);
  *data = NULL;
  if (length > THRUM_MANAGER_KEY_MAX) return -ENOENT;
  call.words.name = (const unsigned char *)task;
  call.words.name_size = length;
  call.words.value = in;
  call.words.value_size = in_size;
  call.words.timeout = timeout;
  call.has_end = true;
  int status = thrumi_client_call(m, &call);
  bool ran = call.message && call.reply.value;
  if (ran) give_payload(&call, data, size);
  free(call.message);
  return status;
}
