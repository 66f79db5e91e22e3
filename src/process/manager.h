/* The manager's server, inside. docs/design/manager.md says why it is so.
 *
 * One lock guards all of a server: objects, sessions, requests, the heap of deadlines. What is done under it takes a few steps, copies no
 * message, allocates little, and waits for nothing. Sending, receiving and tasks are outside of it.
 *
 * A session is a connection: one thread reads its requests and does them, one writes its replies. Neither waits for another session. The
 * reader never waits for the writer either, so the client may write while it does not read.
 *
 * A request is one block of memory from its message on, and always somewhere:
 *
 *   WAITING    in its object's list, its session's, and, if it has an end, the heap
 *   RUNNING    in its session's list; a task's thread will finish it, if it is still there then
 *   REPLYING   in its session's list of replies
 *
 * So a reply needs no memory and cannot fail. Who takes it out of WAITING decides, once, what becomes of it: a handing over, its
 * deadline, a cancellation, its session's end, its object's. Nothing is handed to a request that has not been taken out so, in the same
 * hold of the lock.
 *
 * A message of a queue is in one place: the queue's list; the list of its session, from when it is handed to a get until the ACK (a reply
 * may still wait to be sent then); or in a put that waits. If the session ends it goes back, by its number, to where it was. */
#ifndef THRUMI_MANAGER_H
#define THRUMI_MANAGER_H

#include <core/atomic.h>
#include <core/sanitize.h>
#include <process/conn.h>
#include <process/manager_wire.h>
#include <thrum/process/manager.h>
#include <thrum/queue.h>
#include <thrum/scope.h>
#include <thrum/sync.h>
#include <thrum/thread.h>
#include <thrum/time.h>

/* ---- Lists ------------------------------------------------------------------------------------------------------------ */

/* A ring through a head; a link of all zeroes is in none. */
struct thrumi_ring {
  struct thrumi_ring *next, *prev;
};

static inline void thrumi_ring_init(struct thrumi_ring *ring) { ring->next = ring->prev = ring; }
static inline bool thrumi_ring_empty(const struct thrumi_ring *ring) { return ring->next == ring; }

static inline void thrumi_ring_insert(struct thrumi_ring *before, struct thrumi_ring *link) {
  link->next = before;
  link->prev = before->prev;
  before->prev->next = link;
  before->prev = link;
}

static inline void thrumi_ring_remove(struct thrumi_ring *link) {
  if (!link->next) return;
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

#define THRUMI_RING_OWNER(link, type, member) \
  ((type *)(void *)((char *)(uintptr_t)(link)-offsetof(type, member)))

/* ---- Bytes ------------------------------------------------------------------------------------------------------------ */

/* Bytes that do not change, with references. The memory is malloc's, or NULL: it is the blob's own. */
struct thrumi_blob {
  _Atomic uint32_t refs;
  _Atomic size_t *account; /* of the server, while it counts */
  size_t size, charged;
  const unsigned char *at;
  void *memory;
};

/* One with room of its own for `size` bytes; or with a message, of which it is a part, whose memory it takes over. NULL: no memory. */
struct thrumi_blob *thrumi_blob_new(size_t size);
struct thrumi_blob *thrumi_blob_part(void *memory, const unsigned char *at, size_t size);
void thrumi_blob_drop(struct thrumi_blob *blob); /* NULL: nothing */

static inline struct thrumi_blob *thrumi_blob_ref(struct thrumi_blob *blob) {
  if (blob) thrumi_add(&blob->refs, 1u);
  return blob;
}

/* ---- Objects ---------------------------------------------------------------------------------------------------------- */

struct iovec;
struct thrumi_session;
struct thrumi_request;
struct thrumi_call;

struct thrumi_object {
  enum thrumi_object_kind kind;
  uint64_t id;                /* its place in the table, and how often that was used */
  struct thrumi_object *same; /* the next one of the same hash */
  struct thrumi_ring waits;   /* requests; of a queue: gets */
  uint32_t refs;              /* the table's, and of messages that are under way */
  size_t name_size;
  char name[THRUM_MANAGER_NAME_MAX + 1];
};

struct thrumi_server_queue {
  struct thrumi_object object; /* first */
  struct thrumi_ring items, puts, joins;
  size_t count, capacity, away; /* away: handed over, and not acknowledged */
  uint64_t unfinished, next;    /* the next message's number */
  bool shut, now;
};

/* A message in a queue, or on its way. */
struct thrumi_item {
  struct thrumi_ring link; /* of the queue, or of a session */
  struct thrumi_server_queue *queue;
  struct thrumi_blob *blob;
  uint64_t order;
  uint32_t number; /* of the get */
};

struct thrumi_server_lock {
  struct thrumi_object object; /* first */
  struct thrumi_ring held;     /* of the session that holds it */
  struct thrumi_session *holder;
  uint64_t thread; /* of an rlock */
  uint32_t count;
  bool bereft; /* who held it has died, and nobody was told */
};

struct thrumi_server_count {
  struct thrumi_object object; /* first; a semaphore, or an event, which is 0 or 1 */
  uint32_t value;
};

struct thrumi_entry;

struct thrumi_server_map {
  struct thrumi_object object; /* first */
  struct thrumi_ring entries;  /* in the order in which they came */
  struct thrumi_entry **buckets;
  size_t bucket_count, count, key_bytes;
  uint64_t version;
};

/* ---- Requests --------------------------------------------------------------------------------------------------------- */

enum thrumi_request_state {
  THRUMI_REQUEST_NEW,
  THRUMI_REQUEST_WAITING,
  THRUMI_REQUEST_RUNNING,
  THRUMI_REQUEST_REPLYING
};

struct thrumi_request {
  struct thrumi_ring in_object;  /* WAITING */
  struct thrumi_ring in_session; /* of `requests`, or `replies` */
  struct thrumi_session *session;
  struct thrumi_object *object;
  struct thrumi_request_words words; /* name and value point into the message, until it is dropped */
  enum thrumi_request_state state;
  struct thrumi_item *item; /* of a put */
  thrum_time deadline;
  size_t heap_index;        /* 0: not in the heap */
  uint64_t key_hash;        /* of a wait for a change */
  struct thrumi_call *call; /* RUNNING */
  struct thrumi_reply_words reply;
  struct thrumi_blob *message, *payload; /* the request's bytes; the reply's */
};

/* ---- Sessions and servers ----------------------------------------------------------------------------------------------- */

struct thrumi_session {
  struct thrum_manager_server *server;
  thrum_conn *conn;
  struct thrumi_fork_slot *noted;
  struct thrumi_ring requests, replies; /* WAITING and RUNNING; REPLYING */
  struct thrumi_ring flight, held;      /* items; locks */
  uint32_t under_way;                   /* requests whose reply has not been sent */
  bool proved;                          /* it is a client */
  bool ended;                           /* nothing is handed to it any more, and no reply sent */
  thrum_event wake;                     /* of the writer */
};

enum { THRUMI_OBJECT_BUCKETS = 4096 };

struct thrumi_slot_of_object {
  struct thrumi_object *object;
  uint32_t uses;
};

struct thrum_manager_server {
  thrum_lock lock;
  thrum_manager_options options; /* strings and arrays are copies */
  thrum_conn_options connection;
  bool has_key;
  thrum_listener *listener;
  struct thrumi_fork_slot *noted; /* of the listener */
  thrum_thread thread;
  thrum_scope *scope; /* of all its threads */
  thrum_event started;
  int error;                    /* of the start */
  size_t session_count, proved; /* sessions; those among them that are clients */
  uint32_t forks;
  _Atomic size_t bytes; /* kept */
  uint64_t seed;        /* of hashes */
  struct thrumi_object *names[THRUMI_OBJECT_BUCKETS];
  struct thrumi_slot_of_object *slots;
  size_t slot_count, slot_room, object_count;
  uint32_t *free_slots;
  size_t free_count;
  struct thrumi_request **heap; /* from 1 on, the earliest first */
  size_t heap_count, heap_room;
  thrum_cond clock; /* the earliest deadline has changed */
  bool stopping;
};

typedef struct thrum_manager_server thrumi_server;

/* Takes and releases its lock, as ThreadSanitizer sees it too: messages pass from thread to thread under it. */
static inline void thrumi_server_enter(thrumi_server *server) {
  thrum_lock_acquire(&server->lock);
  thrumi_rely_on(server);
}

static inline void thrumi_server_leave(thrumi_server *server) {
  thrumi_announce(server);
  thrum_lock_release(&server->lock);
}

/* What follows is under the server's lock, unless it says otherwise. */

/* manager_requests.c. Its reply goes out, with the value and payload that are in it; from here on it is not the caller's. */
void thrumi_request_finish(struct thrumi_request *r, int status);

/* Takes it out of WAITING or RUNNING. */
void thrumi_request_take(struct thrumi_request *r);

/* Makes it wait in that list: 0, or -ETIMEDOUT: it does not wait; -ENOMEM. */
int thrumi_request_wait(struct thrumi_request *r, struct thrumi_ring *list);
int thrumi_request_run(struct thrumi_request *r); /* the same for a call: 0, -ENOMEM */

/* The first one that waits in a list, or NULL. */
static inline struct thrumi_request *thrumi_first_wait(const struct thrumi_ring *list) {
  return thrumi_ring_empty(list) ? NULL : THRUMI_RING_OWNER(list->next, struct thrumi_request, in_object);
}

/* Takes all out that wait in a list, with a status. */
void thrumi_finish_all(struct thrumi_ring *list, int status);

/* Does what a message says, which it takes over. -EPROTO, -ENOMEM: the session is to end. Not under the lock. */
int thrumi_request_arrive(struct thrumi_session *s, void *message, size_t size);
void thrumi_request_free(struct thrumi_request *r);

/* The session ends: waits, messages under way, locks. */
void thrumi_requests_end(struct thrumi_session *s);

/* The clock's thread: ends waits whose time has come. Not under the lock. */
intptr_t thrumi_server_clock(void *server);

/* So many bytes are kept from here on: 0, -ENOSPC; and no longer. */
int thrumi_bytes_keep(thrumi_server *server, size_t cost);
void thrumi_bytes_drop(thrumi_server *server, size_t cost);

/* A blob's are, until it goes. 0, -ENOSPC. */
int thrumi_charge(thrumi_server *server, struct thrumi_blob *blob, size_t beside);

/* manager_objects.c */
int thrumi_object_open(thrumi_server *server, const struct thrumi_request_words *w, uint64_t *id);
int thrumi_object_remove(thrumi_server *server, const struct thrumi_request_words *w);
struct thrumi_object *thrumi_object_find(thrumi_server *server,
                                         uint64_t id); /* NULL: removed, or never there */
void thrumi_object_unref(struct thrumi_object *object);
void thrumi_objects_end(thrumi_server *server);
uint64_t thrumi_manager_hash(uint64_t seed, const void *bytes, size_t size);

/* manager_queue.c, manager_lock.c, manager_map.c: do a request with an object, which is of the right kind: they finish it, or have it
 * wait. */
void thrumi_queue_do(struct thrumi_server_queue *q, struct thrumi_request *r);
void thrumi_lock_do(struct thrumi_server_lock *lock, struct thrumi_request *r);
void thrumi_count_do(struct thrumi_server_count *count, struct thrumi_request *r);
void thrumi_map_do(struct thrumi_server_map *map, struct thrumi_request *r);

void thrumi_queue_init(struct thrumi_server_queue *q, uint64_t capacity);
void thrumi_queue_empty(struct thrumi_server_queue *q); /* the object goes */
void thrumi_item_back(struct thrumi_item *item);        /* to its queue, whose session has ended */
void thrumi_item_acknowledged(struct thrumi_item *item);
void thrumi_lock_bereave(struct thrumi_server_lock *lock);
void thrumi_map_init(struct thrumi_server_map *map);
void thrumi_map_empty(struct thrumi_server_map *map);

/* manager_task.c: 0: the request is RUNNING; -ENOENT, -ENOSPC, -ENOMEM. And its cancellation. */
int thrumi_call_begin(struct thrumi_request *r);
void thrumi_call_abandon(struct thrumi_request *r); /* its task is cancelled, and finishes nothing */

/* manager_options.c: *out: the options with the defaults filled in, and copies of what they point to; freed by the other. Not under the
 * lock. */
int thrumi_manager_options_copy(thrumi_server *server, const thrum_manager_options *options);
void thrumi_manager_options_free(thrumi_server *server);

/* What both ends ask of the other, without a key: 0, -EACCES. And that a host that is gone is noticed. */
int thrumi_peer_is_kin(int fd);
void thrumi_keep_alive(int fd);

/* manager_forks.c. A socket that the child of a fork is to let go of; NULL: it will not. And no longer, before it is closed. Not under
 * the lock. */
struct thrumi_fork_slot;
struct thrumi_fork_slot *thrumi_manager_note(int fd);
void thrumi_manager_forget(struct thrumi_fork_slot *slot); /* NULL: nothing */
void thrumi_managers_fork(void);

/* Ends the stream for both ends, whoever has copies of the descriptor; and then closes the connection's own. */
void thrumi_manager_hang_up(thrum_conn *c);

#endif
