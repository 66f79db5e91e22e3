/* A manager's objects: by name in a hash table, by number in an array. A number is a place in the array and how often that place was
 * used, so one of an object that was removed finds nothing. All under the server's lock. */
#include <os/os.h>
#include <process/manager.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, from a seed that clients do not know, with its bits mixed at the end. */
uint64_t thrumi_manager_hash(uint64_t seed, const void *bytes, size_t size) {
  const unsigned char *at = (const unsigned char *)bytes;
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
  for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  hash ^= hash >> 32;
  hash *= UINT64_C(0xd6e8feb86659fd93);
  return hash ^ hash >> 32;
}

/* ---- By number ------------------------------------------------------------------------------------------------------------ */

struct thrumi_object *thrumi_object_find(thrumi_server *server, uint64_t id) {
  uint64_t place = id & UINT32_MAX;
  if (place >= server->slot_count) return NULL;
  const struct thrumi_slot_of_object *slot = &server->slots[place];
  return slot->object && slot->object->id == id ? slot->object : NULL;
}

static bool make_room(thrumi_server *server) {
  if (server->free_count || server->slot_count < server->slot_room) return true;
  size_t room = server->slot_room ? 2 * server->slot_room : 64;
  void *slots = realloc(server->slots, room * sizeof *server->slots);
  if (slots) server->slots = slots;
  void *free_slots = slots ? realloc(server->free_slots, room * sizeof *server->free_slots) : NULL;
  if (!free_slots) return false;
  server->free_slots = free_slots;
  server->slot_room = room;
  return true;
}

static void number(thrumi_server *server, struct thrumi_object *object) {
  uint32_t place;
  if (server->free_count) {
    place = server->free_slots[--server->free_count];
  } else {
    place = (uint32_t)server->slot_count++;
    server->slots[place].uses = 0;
  }
  server->slots[place].object = object;
  object->id = (uint64_t)++server->slots[place].uses << 32 | place;
}

/* ---- By name -------------------------------------------------------------------------------------------------------------- */

static struct thrumi_object **find(thrumi_server *server, const struct thrumi_request_words *w) {
  uint64_t hash = thrumi_manager_hash(server->seed, w->name, w->name_size);
  struct thrumi_object **at = &server->names[hash % THRUMI_OBJECT_BUCKETS];
  while (*at && ((*at)->name_size != w->name_size || memcmp((*at)->name, w->name, w->name_size) != 0))
    at = &(*at)->same;
  return at;
}

static size_t size_of(enum thrumi_object_kind kind) {
  switch (kind) {
  case THRUMI_KIND_QUEUE: return sizeof(struct thrumi_server_queue);
  case THRUMI_KIND_LOCK:
  case THRUMI_KIND_RLOCK: return sizeof(struct thrumi_server_lock);
  case THRUMI_KIND_MAP: return sizeof(struct thrumi_server_map);
  default: return sizeof(struct thrumi_server_count);
  }
}

static void init(struct thrumi_object *object, const struct thrumi_request_words *w) {
  object->kind = (enum thrumi_object_kind)w->flags;
  object->refs = 1;
  object->name_size = w->name_size;
  memcpy(object->name, w->name, w->name_size);
  thrumi_ring_init(&object->waits);
  if (object->kind == THRUMI_KIND_QUEUE) thrumi_queue_init((struct thrumi_server_queue *)object, w->argument);
  if (object->kind == THRUMI_KIND_MAP) thrumi_map_init((struct thrumi_server_map *)object);
  if (object->kind == THRUMI_KIND_SEM) ((struct thrumi_server_count *)object)->value = (uint32_t)w->argument;
}

static bool can_be(const struct thrumi_request_words *w) {
  bool named = w->name_size > 0 && w->name_size <= THRUM_MANAGER_NAME_MAX;
  if (w->flags == THRUMI_KIND_QUEUE) return named && w->argument > 0;
  return named && (w->flags != THRUMI_KIND_SEM || w->argument <= UINT32_MAX);
}

int thrumi_object_open(thrumi_server *server, const struct thrumi_request_words *w, uint64_t *id) {
  if (!can_be(w)) return -EINVAL;
  struct thrumi_object **at = find(server, w);
  if (*at) {
    *id = (*at)->id;
    return (*at)->kind == (enum thrumi_object_kind)w->flags ? 0 : -EEXIST;
  }
  if (server->object_count >= server->options.objects) return -ENOSPC;
  struct thrumi_object *object = make_room(server) ? thrumi_os.allocate(size_of(w->flags)) : NULL;
  if (!object) return -ENOMEM;
  init(object, w);
  number(server, object);
  server->object_count++;
  *at = object;
  *id = object->id;
  return 0;
}

/* ---- Removing ------------------------------------------------------------------------------------------------------------- */

void thrumi_object_unref(struct thrumi_object *object) {
  if (--object->refs == 0) thrumi_os.free(object);
}

/* Everything that it holds goes; the rest of it stays for messages that are under way. */
static void empty(struct thrumi_object *object) {
  thrumi_finish_all(&object->waits, -ESRCH);
  if (object->kind == THRUMI_KIND_QUEUE) thrumi_queue_empty((struct thrumi_server_queue *)object);
  if (object->kind == THRUMI_KIND_MAP) thrumi_map_empty((struct thrumi_server_map *)object);
  if (object->kind == THRUMI_KIND_LOCK || object->kind == THRUMI_KIND_RLOCK)
    thrumi_ring_remove(&((struct thrumi_server_lock *)object)->held);
  thrumi_object_unref(object);
}

int thrumi_object_remove(thrumi_server *server, const struct thrumi_request_words *w) {
  struct thrumi_object **at = find(server, w), *object = *at;
  if (!object) return -ENOENT;
  uint32_t place = (uint32_t)object->id;
  *at = object->same;
  server->slots[place].object = NULL;
  server->free_slots[server->free_count++] = place;
  server->object_count--;
  empty(object);
  return 0;
}

/* Nobody uses them any more. */
void thrumi_objects_end(thrumi_server *server) {
  for (size_t i = 0; i < server->slot_count; i++)
    if (server->slots[i].object) empty(server->slots[i].object);
  free(server->slots);
  free(server->free_slots);
}
