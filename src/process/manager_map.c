/* A manager's maps: a hash table with chains, which doubles, and a ring of the entries in the order in which they came. All under the
 * server's lock.
 *
 * Versions are numbers of the map's, one a change, so a value that is set to what it was has another one. Who waits for a change of a key
 * is in the map's one list of waits, which each change looks through; hashes are compared first. */
#include <os/os.h>
#include <process/manager.h>
#include <stdlib.h>
#include <string.h>

struct thrumi_entry {
  struct thrumi_ring link;
  struct thrumi_entry *same; /* the next one of the bucket */
  struct thrumi_blob *key, *value;
  uint64_t hash, version;
};

enum { BUCKETS_FIRST = 16 };

void thrumi_map_init(struct thrumi_server_map *map) { thrumi_ring_init(&map->entries); }

static uint64_t hash_of(const struct thrumi_request *r) {
  return thrumi_manager_hash(r->session->server->seed, r->words.name, r->words.name_size);
}

static bool is_key(const struct thrumi_entry *e, const struct thrumi_request *r) {
  size_t size = r->words.name_size;
  return e->key->size == size && memcmp(e->key->at, r->words.name, size) == 0;
}

/* Where the pointer to the entry is, or would be. NULL: there are no buckets. */
static struct thrumi_entry **find(const struct thrumi_server_map *map, const struct thrumi_request *r,
                                  uint64_t hash) {
  if (!map->bucket_count) return NULL;
  struct thrumi_entry **at = &map->buckets[hash & (map->bucket_count - 1)];
  while (*at && ((*at)->hash != hash || !is_key(*at, r))) at = &(*at)->same;
  return at;
}

static struct thrumi_entry *entry_of(const struct thrumi_server_map *map, const struct thrumi_request *r) {
  struct thrumi_entry **at = find(map, r, hash_of(r));
  return at ? *at : NULL;
}

/* ---- Changing ------------------------------------------------------------------------------------------------------------- */

static void grow(struct thrumi_server_map *map) {
  size_t count = map->bucket_count ? 2 * map->bucket_count : BUCKETS_FIRST;
  struct thrumi_entry **buckets = calloc(count, sizeof *buckets);
  if (!buckets) return; /* chains get longer */
  for (struct thrumi_ring *at = map->entries.next; at != &map->entries; at = at->next) {
    struct thrumi_entry *e = THRUMI_RING_OWNER(at, struct thrumi_entry, link);
    struct thrumi_entry **bucket = &buckets[e->hash & (count - 1)];
    e->same = *bucket;
    *bucket = e;
  }
  free(map->buckets);
  map->buckets = buckets;
  map->bucket_count = count;
}

static void free_entry(struct thrumi_entry *e) {
  thrumi_ring_remove(&e->link);
  thrumi_blob_drop(e->key);
  thrumi_blob_drop(e->value);
  thrumi_os.free(e);
}

/* With the key, and no value yet. */
static struct thrumi_entry *make_entry(struct thrumi_request *r, uint64_t hash, int *error) {
  struct thrumi_entry *e = thrumi_os.allocate(sizeof *e);
  struct thrumi_blob *key = e ? thrumi_blob_new(r->words.name_size) : NULL;
  *error = key ? thrumi_charge(r->session->server, key, sizeof *e) : -ENOMEM;
  if (*error) {
    thrumi_blob_drop(key);
    if (e) thrumi_os.free(e);
    return NULL;
  }
  memcpy((void *)(key + 1), r->words.name, r->words.name_size);
  e->key = key;
  e->hash = hash;
  return e;
}

/* Ends the waits of those who know another version of this key than what it has now. */
static void tell_waiters(struct thrumi_server_map *map, const struct thrumi_request *by, uint64_t hash,
                         uint64_t version) {
  struct thrumi_ring *waits = &map->object.waits;
  for (struct thrumi_ring *at = waits->next, *next; at != waits; at = next) {
    next = at->next;
    struct thrumi_request *r = THRUMI_RING_OWNER(at, struct thrumi_request, in_object);
    bool same = r->key_hash == hash && r->words.name_size == by->words.name_size &&
                memcmp(r->words.name, by->words.name, by->words.name_size) == 0;
    if (!same || r->words.argument == version) continue;
    thrumi_request_take(r);
    r->reply.value = version;
    thrumi_request_finish(r, 0);
  }
}

/* -ESTALE: it is not as the request says it must be. */
static int check_version(struct thrumi_request *r, const struct thrumi_entry *e) {
  uint64_t version = e ? e->version : 0;
  if (!(r->words.flags & THRUMI_IF_VERSION) || version == r->words.argument) return 0;
  r->reply.value = version;
  return -ESTALE;
}

static int add(struct thrumi_server_map *map, struct thrumi_request *r, uint64_t hash,
               struct thrumi_entry **out) {
  int error;
  if (map->count >= map->bucket_count) grow(map);
  struct thrumi_entry **at = find(map, r, hash);
  if (!at) return -ENOMEM;
  struct thrumi_entry *e = make_entry(r, hash, &error);
  if (!e) return error;
  *at = e;
  thrumi_ring_insert(&map->entries, &e->link);
  map->count++;
  map->key_bytes += e->key->size + 4;
  *out = e;
  return 0;
}

static int set(struct thrumi_server_map *map, struct thrumi_request *r) {
  uint64_t hash = hash_of(r);
  struct thrumi_entry *e = entry_of(map, r);
  int error = check_version(r, e);
  if (!error) error = thrumi_charge(r->session->server, r->message, r->words.name_size);
  if (!error && !e) error = add(map, r, hash, &e);
  if (error) return error;
  thrumi_blob_drop(e->value);
  e->value = thrumi_blob_ref(r->message);
  r->reply.value = e->version = ++map->version;
  tell_waiters(map, r, hash, e->version);
  thrumi_request_finish(r, 0);
  return 0;
}

static int delete (struct thrumi_server_map *map, struct thrumi_request *r) {
  uint64_t hash = hash_of(r);
  struct thrumi_entry **at = find(map, r, hash), *e = at ? *at : NULL;
  int error = check_version(r, e);
  if (error || !e) return error ? error : -ENOENT;
  *at = e->same;
  map->count--;
  map->key_bytes -= e->key->size + 4;
  free_entry(e);
  tell_waiters(map, r, hash, 0);
  thrumi_request_finish(r, 0);
  return 0;
}

/* ---- Looking -------------------------------------------------------------------------------------------------------------- */

static int look(struct thrumi_server_map *map, struct thrumi_request *r) {
  const struct thrumi_entry *e = entry_of(map, r);
  if (!e) return -ENOENT;
  r->reply.value = e->version;
  r->payload = thrumi_blob_ref(e->value);
  thrumi_request_finish(r, 0);
  return 0;
}

static int wait_for_change(struct thrumi_server_map *map, struct thrumi_request *r) {
  const struct thrumi_entry *e = entry_of(map, r);
  r->reply.value = e ? e->version : 0;
  r->key_hash = hash_of(r);
  if (r->reply.value == r->words.argument) return thrumi_request_wait(r, &map->object.waits);
  thrumi_request_finish(r, 0);
  return 0;
}

static int tell_keys(struct thrumi_server_map *map, struct thrumi_request *r) {
  if (map->key_bytes > r->session->server->options.message_max) return -EMSGSIZE;
  r->payload = thrumi_blob_new(map->key_bytes);
  int error = r->payload ? thrumi_charge(r->session->server, r->payload, 0) : -ENOMEM;
  if (error) {
    thrumi_blob_drop(r->payload);
    r->payload = NULL;
    return error;
  }
  unsigned char *to = (unsigned char *)(r->payload + 1);
  for (struct thrumi_ring *at = map->entries.next; at != &map->entries; at = at->next) {
    const struct thrumi_blob *key = THRUMI_RING_OWNER(at, struct thrumi_entry, link)->key;
    thrumi_little_put(to, key->size, 4);
    memcpy(to + 4, key->at, key->size);
    to += 4 + key->size;
  }
  thrumi_request_finish(r, 0);
  return 0;
}

static int perform(struct thrumi_server_map *map, struct thrumi_request *r) {
  if (r->words.name_size > THRUM_MANAGER_KEY_MAX) return -EINVAL;
  switch (r->words.operation) {
  case THRUMI_OP_SET: return set(map, r);
  case THRUMI_OP_LOOK: return look(map, r);
  case THRUMI_OP_DELETE: return delete (map, r);
  case THRUMI_OP_CHANGE: return wait_for_change(map, r);
  case THRUMI_OP_KEYS: return tell_keys(map, r);
  default:
    r->reply.value = map->count;
    thrumi_request_finish(r, 0);
    return 0;
  }
}

void thrumi_map_do(struct thrumi_server_map *map, struct thrumi_request *r) {
  int status = perform(map, r);
  if (status) thrumi_request_finish(r, status);
}

void thrumi_map_empty(struct thrumi_server_map *map) {
  while (!thrumi_ring_empty(&map->entries))
    free_entry(THRUMI_RING_OWNER(map->entries.next, struct thrumi_entry, link));
  free(map->buckets);
  map->buckets = NULL;
  map->bucket_count = map->count = 0;
}
