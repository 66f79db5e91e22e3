/* Requests: where they are, how they end. See manager.h. */
#include <core/sanitize.h>
#include <os/os.h>
#include <process/manager.h>
#include <stdlib.h>
#include <string.h>

/* ---- Bytes ------------------------------------------------------------------------------------------------------------ */

struct thrumi_blob *thrumi_blob_new(size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  struct thrumi_blob *blob = malloc(sizeof *blob + size);
  if (!blob) return NULL;
  *blob = (struct thrumi_blob){.size = size, .at = (const unsigned char *)(blob + 1)};
  thrumi_store_relaxed(&blob->refs, 1u);
  return blob;
}

struct thrumi_blob *thrumi_blob_part(void *memory, const unsigned char *at, size_t size) {
  struct thrumi_blob *blob = thrumi_blob_new(0);
  if (!blob) return NULL;
  blob->memory = memory;
  blob->at = at;
  blob->size = size;
  return blob;
}

void thrumi_blob_drop(struct thrumi_blob *blob) {
  if (!blob) return;
  thrumi_announce(blob);
  if (thrumi_add(&blob->refs, -1u) != 1) return;
  thrumi_rely_on(blob);
  if (blob->account) thrumi_add(blob->account, -blob->charged);
  free(blob->memory);
  free(blob);
}

int thrumi_bytes_keep(thrumi_server *server, size_t cost) {
  if (thrumi_add(&server->bytes, cost) + cost <= server->options.memory) return 0;
  thrumi_bytes_drop(server, cost);
  return -ENOSPC;
}

void thrumi_bytes_drop(thrumi_server *server, size_t cost) { thrumi_add(&server->bytes, -cost); }

/* What is kept costs more than its bytes. */
int thrumi_charge(thrumi_server *server, struct thrumi_blob *blob, size_t beside) {
  size_t cost = blob->size + beside + THRUMI_REQUEST_HEAD + 2 * sizeof *blob;
  int error = thrumi_bytes_keep(server, cost);
  if (error) return error;
  blob->account = &server->bytes;
  blob->charged = cost;
  return 0;
}

/* ---- The heap of deadlines --------------------------------------------------------------------------------------------- */

static void heap_put(thrumi_server *server, size_t at, struct thrumi_request *r) {
  server->heap[at] = r;
  r->heap_index = at;
}

static void heap_up(thrumi_server *server, size_t at, struct thrumi_request *r) {
  for (; at > 1 && server->heap[at / 2]->deadline > r->deadline; at /= 2)
    heap_put(server, at, server->heap[at / 2]);
  heap_put(server, at, r);
}

static void heap_down(thrumi_server *server, size_t at, struct thrumi_request *r) {
  for (size_t child; (child = 2 * at) <= server->heap_count; at = child) {
    if (child < server->heap_count && server->heap[child + 1]->deadline < server->heap[child]->deadline)
      child++;
    if (server->heap[child]->deadline >= r->deadline) break;
    heap_put(server, at, server->heap[child]);
  }
  heap_put(server, at, r);
}

static int heap_add(thrumi_server *server, struct thrumi_request *r) {
  if (server->heap_count + 1 >= server->heap_room) {
    size_t room = server->heap_room ? 2 * server->heap_room : 64;
    void *more = realloc(server->heap, room * sizeof *server->heap);
    if (!more) return -ENOMEM;
    server->heap = more;
    server->heap_room = room;
  }
  heap_up(server, ++server->heap_count, r);
  if (r->heap_index == 1) thrum_cond_notify(&server->clock, 1);
  return 0;
}

static void heap_remove(thrumi_server *server, struct thrumi_request *r) {
  size_t at = r->heap_index;
  if (!at) return;
  r->heap_index = 0;
  struct thrumi_request *last = server->heap[server->heap_count--];
  if (last == r) return;
  if (at > 1 && server->heap[at / 2]->deadline > last->deadline)
    heap_up(server, at, last);
  else
    heap_down(server, at, last);
}

/* ---- Waiting and ending ------------------------------------------------------------------------------------------------ */

void thrumi_request_free(struct thrumi_request *r) {
  thrumi_blob_drop(r->message);
  thrumi_blob_drop(r->payload);
  if (r->item) {
    thrumi_blob_drop(r->item->blob);
    thrumi_os.free(r->item);
  }
  thrumi_os.free(r);
}

void thrumi_request_take(struct thrumi_request *r) {
  thrumi_ring_remove(&r->in_object);
  thrumi_ring_remove(&r->in_session);
  heap_remove(r->session->server, r);
}

void thrumi_request_finish(struct thrumi_request *r, int status) {
  struct thrumi_session *s = r->session;
  r->state = THRUMI_REQUEST_REPLYING;
  r->reply.status = status;
  if (s->ended) {
    s->under_way--;
    thrumi_request_free(r);
    return;
  }
  thrumi_ring_insert(&s->replies, &r->in_session);
  thrum_event_set(&s->wake);
}

/* It is in its session's list from here on, and ends with its time. Meanwhile its bytes count as kept. */
static int be_pending(struct thrumi_request *r, enum thrumi_request_state state) {
  bool counts = r->message->account != NULL;
  int error = counts ? 0 : thrumi_charge(r->session->server, r->message, r->words.name_size);
  if (error) return error;
  r->deadline = thrum_after(r->words.timeout);
  if (r->deadline != THRUM_FOREVER && heap_add(r->session->server, r) != 0) return -ENOMEM;
  r->state = state;
  thrumi_ring_insert(&r->session->requests, &r->in_session);
  return 0;
}

int thrumi_request_wait(struct thrumi_request *r, struct thrumi_ring *list) {
  int error = r->words.timeout > 0 ? be_pending(r, THRUMI_REQUEST_WAITING) : -ETIMEDOUT;
  if (!error) thrumi_ring_insert(list, &r->in_object);
  return error;
}

int thrumi_request_run(struct thrumi_request *r) { return be_pending(r, THRUMI_REQUEST_RUNNING); }

void thrumi_finish_all(struct thrumi_ring *list, int status) {
  for (struct thrumi_request *r; (r = thrumi_first_wait(list));) {
    thrumi_request_take(r);
    thrumi_request_finish(r, status);
  }
}

/* One that waits or runs ends otherwise than by what it waited for. */
static void cut_short(struct thrumi_request *r, int status) {
  thrumi_request_take(r);
  if (r->call) thrumi_call_abandon(r);
  thrumi_request_finish(r, status);
}

intptr_t thrumi_server_clock(void *arg) {
  thrumi_server *server = (thrumi_server *)arg;
  thrumi_server_enter(server);
  while (!server->stopping) {
    struct thrumi_request *first = server->heap_count ? server->heap[1] : NULL;
    thrum_duration left = first ? thrum_left(first->deadline) : THRUM_FOREVER;
    if (left <= 0)
      cut_short(first, -ETIMEDOUT);
    else
      server->stopping |= thrum_cond_wait_for(&server->clock, &server->lock, left) == -ECANCELED;
  }
  thrumi_server_leave(server);
  return 0;
}

/* ---- The session's end -------------------------------------------------------------------------------------------------- */

static void drop_replies(struct thrumi_session *s) {
  while (!thrumi_ring_empty(&s->replies)) {
    struct thrumi_request *r = THRUMI_RING_OWNER(s->replies.next, struct thrumi_request, in_session);
    thrumi_ring_remove(&r->in_session);
    s->under_way--;
    thrumi_request_free(r);
  }
}

/* First its own waits, so that nothing of what it gives back is handed to itself. */
void thrumi_requests_end(struct thrumi_session *s) {
  s->ended = true;
  while (!thrumi_ring_empty(&s->requests))
    cut_short(THRUMI_RING_OWNER(s->requests.next, struct thrumi_request, in_session), -ECANCELED);
  drop_replies(s);
  while (!thrumi_ring_empty(&s->flight)) {
    struct thrumi_item *item = THRUMI_RING_OWNER(s->flight.next, struct thrumi_item, link);
    thrumi_ring_remove(&item->link);
    thrumi_item_back(item);
  }
  while (!thrumi_ring_empty(&s->held))
    thrumi_lock_bereave(THRUMI_RING_OWNER(s->held.next, struct thrumi_server_lock, held));
}

/* ---- What arrives --------------------------------------------------------------------------------------------------------- */

/* For an operation without a reply. A cancellation may come too late: then the reply is under way. */
static int do_quietly(struct thrumi_session *s, const struct thrumi_request_words *w) {
  struct thrumi_ring *at;
  if (w->operation == THRUMI_OP_CANCEL) {
    for (at = s->requests.next; at != &s->requests; at = at->next) {
      struct thrumi_request *r = THRUMI_RING_OWNER(at, struct thrumi_request, in_session);
      if (r->words.number != w->number) continue;
      cut_short(r, -ECANCELED);
      break;
    }
    return 0;
  }
  for (at = s->flight.next; at != &s->flight; at = at->next) {
    struct thrumi_item *item = THRUMI_RING_OWNER(at, struct thrumi_item, link);
    if (item->number != w->number) continue;
    thrumi_ring_remove(&item->link);
    thrumi_item_acknowledged(item);
    return 0;
  }
  return -EPROTO;
}

static enum thrumi_object_kind first_kind_of(uint16_t operation) {
  switch (operation & ~15) {
  case THRUMI_OP_QUEUE: return operation <= THRUMI_OP_SHUTDOWN ? THRUMI_KIND_QUEUE : THRUMI_KIND_NONE;
  case THRUMI_OP_LOCK: return operation <= THRUMI_OP_RELEASE ? THRUMI_KIND_LOCK : THRUMI_KIND_NONE;
  case THRUMI_OP_SEM: return operation <= THRUMI_OP_UNITS ? THRUMI_KIND_SEM : THRUMI_KIND_NONE;
  case THRUMI_OP_EVENT: return operation <= THRUMI_OP_WAIT ? THRUMI_KIND_EVENT : THRUMI_KIND_NONE;
  case THRUMI_OP_MAP: return operation <= THRUMI_OP_KEYS ? THRUMI_KIND_MAP : THRUMI_KIND_NONE;
  default: return THRUMI_KIND_NONE;
  }
}

static void do_with_object(struct thrumi_request *r, enum thrumi_object_kind kind) {
  struct thrumi_object *object = thrumi_object_find(r->session->server, r->words.object);
  bool fits =
      object && (object->kind == kind || (kind == THRUMI_KIND_LOCK && object->kind == THRUMI_KIND_RLOCK));
  if (!fits) {
    thrumi_request_finish(r, object ? -EINVAL : -ESRCH);
    return;
  }
  switch (kind) {
  case THRUMI_KIND_QUEUE: thrumi_queue_do((struct thrumi_server_queue *)object, r); break;
  case THRUMI_KIND_LOCK: thrumi_lock_do((struct thrumi_server_lock *)object, r); break;
  case THRUMI_KIND_MAP: thrumi_map_do((struct thrumi_server_map *)object, r); break;
  default: thrumi_count_do((struct thrumi_server_count *)object, r); break;
  }
}

/* Nothing comes along that has no use: it would be kept as long as the request waits. */
static bool bytes_fit(const struct thrumi_request_words *w) {
  bool calls = w->operation == THRUMI_OP_CALL, opens = w->operation == THRUMI_OP_OPEN;
  bool names = opens || calls || w->operation == THRUMI_OP_REMOVE;
  bool has_key = w->operation >= THRUMI_OP_SET && w->operation <= THRUMI_OP_CHANGE;
  bool has_value = calls || w->operation == THRUMI_OP_PUT || w->operation == THRUMI_OP_SET;
  return (names || has_key || !w->name_size) && (has_value || !w->value_size);
}

static bool flags_fit(const struct thrumi_request_words *w) {
  bool conditional = w->operation == THRUMI_OP_SET || w->operation == THRUMI_OP_DELETE;
  if (w->operation == THRUMI_OP_OPEN) return w->flags > THRUMI_KIND_NONE && w->flags < THRUMI_KINDS;
  return w->flags == 0 || (conditional && w->flags == THRUMI_IF_VERSION);
}

/* 0, or -EPROTO, and then the request is as it was. */
static int perform(struct thrumi_request *r) {
  thrumi_server *server = r->session->server;
  const struct thrumi_request_words *w = &r->words;
  enum thrumi_object_kind kind = first_kind_of(w->operation);
  int status = 0;
  if (!flags_fit(w) || !bytes_fit(w) || w->value_size > server->options.message_max) return -EPROTO;
  if (kind != THRUMI_KIND_NONE) {
    do_with_object(r, kind);
    return 0;
  }
  switch (w->operation) {
  case THRUMI_OP_OPEN: status = thrumi_object_open(server, w, &r->reply.value); break;
  case THRUMI_OP_REMOVE: status = thrumi_object_remove(server, w); break;
  case THRUMI_OP_CALL:
    status = thrumi_call_begin(r);
    if (!status) return 0;
    break;
  default: return -EPROTO;
  }
  thrumi_request_finish(r, status);
  return 0;
}

static struct thrumi_request *make(struct thrumi_session *s, const struct thrumi_request_words *w,
                                   void *message) {
  struct thrumi_request *r = thrumi_os.allocate(sizeof *r);
  struct thrumi_blob *blob = r ? thrumi_blob_part(message, w->value, w->value_size) : NULL;
  if (!blob) {
    if (r) thrumi_os.free(r);
    free(message);
    return NULL;
  }
  r->session = s;
  r->words = *w;
  r->message = blob;
  r->reply.number = w->number;
  return r;
}

int thrumi_request_arrive(struct thrumi_session *s, void *message, size_t size) {
  thrumi_server *server = s->server;
  struct thrumi_request_words w;
  int error = thrumi_request_read(&w, message, size);
  bool quiet = !error && (w.operation == THRUMI_OP_CANCEL || w.operation == THRUMI_OP_ACK);
  if (error || quiet) free(message);
  if (error) return error;
  struct thrumi_request *r = quiet ? NULL : make(s, &w, message);
  if (!quiet && !r) return -ENOMEM;
  thrumi_server_enter(server);
  if (quiet)
    error = do_quietly(s, &w);
  else if (s->under_way++ >= THRUMI_REQUESTS_MAX || perform(r) != 0)
    error = -EPROTO;
  if (error && r) s->under_way--;
  thrumi_server_leave(server);
  if (error && r) thrumi_request_free(r);
  return error;
}
