/* A manager's queues. All under the server's lock.
 *
 *   Q1  while a get waits there are no messages; while a put waits there are `capacity` of them, or more
 *   Q2  a message is in the queue, on its way to one session (`away` counts these), or nowhere
 *   Q3  `unfinished` counts those that were put and not said to be done, wherever they are
 *   Q4  messages lie in the order of their numbers; one that comes back goes where its number says, which is at the front, among those
 *       that come back with it
 *
 * `settle` makes Q1 true again after whatever has changed. */
#include <os/os.h>
#include <process/manager.h>

void thrumi_queue_init(struct thrumi_server_queue *q, uint64_t capacity) {
  q->capacity = capacity;
  thrumi_ring_init(&q->items);
  thrumi_ring_init(&q->puts);
  thrumi_ring_init(&q->joins);
}

static struct thrumi_item *first_item(const struct thrumi_server_queue *q) {
  return thrumi_ring_empty(&q->items) ? NULL : THRUMI_RING_OWNER(q->items.next, struct thrumi_item, link);
}

static void free_item(struct thrumi_item *item) {
  thrumi_blob_drop(item->blob);
  thrumi_os.free(item);
}

/* ---- Handing over --------------------------------------------------------------------------------------------------------- */

/* To a get that is in no list. One that has no room for it is told, and the message stays. */
static void serve_get(struct thrumi_server_queue *q, struct thrumi_request *r) {
  struct thrumi_item *item = first_item(q);
  r->reply.value = item->blob->size;
  if (item->blob->size > r->words.argument) {
    thrumi_request_finish(r, -EMSGSIZE);
    return;
  }
  thrumi_ring_remove(&item->link);
  q->count--;
  q->away++;
  q->object.refs++;
  item->number = r->words.number;
  thrumi_ring_insert(&r->session->flight, &item->link);
  r->payload = thrumi_blob_ref(item->blob);
  thrumi_request_finish(r, 0);
}

static void accept_item(struct thrumi_server_queue *q, struct thrumi_request *put) {
  struct thrumi_item *item = put->item;
  put->item = NULL;
  item->order = q->next++;
  q->count++;
  q->unfinished++;
  thrumi_ring_insert(&q->items, &item->link);
  thrumi_request_finish(put, 0);
}

static void settle(struct thrumi_server_queue *q) {
  for (struct thrumi_request *r;;) {
    if (q->count && (r = thrumi_first_wait(&q->object.waits))) {
      thrumi_request_take(r);
      serve_get(q, r);
    } else if (q->count < q->capacity && !q->shut && (r = thrumi_first_wait(&q->puts))) {
      thrumi_request_take(r);
      accept_item(q, r);
    } else {
      break;
    }
  }
  if (q->shut) thrumi_finish_all(&q->puts, -EPIPE);
  if (q->shut && !q->count && !q->away) thrumi_finish_all(&q->object.waits, -EPIPE);
  if (!q->unfinished) thrumi_finish_all(&q->joins, 0);
}

/* ---- The operations --------------------------------------------------------------------------------------------------------- */

static int put(struct thrumi_server_queue *q, struct thrumi_request *r) {
  if (q->shut) return -EPIPE;
  bool room = q->count < q->capacity;
  if (!room && r->words.timeout <= 0) return -ETIMEDOUT;
  int error = thrumi_charge(r->session->server, r->message, 0);
  if (error) return error;
  r->item = thrumi_os.allocate(sizeof *r->item);
  if (!r->item) return -ENOMEM;
  r->item->queue = q;
  r->item->blob = thrumi_blob_ref(r->message);
  if (!room) return thrumi_request_wait(r, &q->puts);
  accept_item(q, r);
  settle(q);
  return 0;
}

static int get(struct thrumi_server_queue *q, struct thrumi_request *r) {
  if (!q->count) return q->shut && !q->away ? -EPIPE : thrumi_request_wait(r, &q->object.waits);
  serve_get(q, r);
  settle(q);
  return 0;
}

static int task_done(struct thrumi_server_queue *q, struct thrumi_request *r) {
  if (!q->unfinished) return -EOVERFLOW;
  q->unfinished--;
  thrumi_request_finish(r, 0);
  settle(q);
  return 0;
}

static void discard_all(struct thrumi_server_queue *q) {
  for (struct thrumi_item *item; (item = first_item(q));) {
    thrumi_ring_remove(&item->link);
    q->count--;
    q->unfinished -= q->unfinished != 0;
    free_item(item);
  }
}

static int shut_down(struct thrumi_server_queue *q, struct thrumi_request *r) {
  q->shut = true;
  if (r->words.argument) {
    q->now = true;
    discard_all(q);
  }
  thrumi_request_finish(r, 0);
  settle(q);
  return 0;
}

static int join(struct thrumi_server_queue *q, struct thrumi_request *r) {
  if (q->unfinished) return thrumi_request_wait(r, &q->joins);
  thrumi_request_finish(r, 0);
  return 0;
}

static int tell(struct thrumi_request *r, uint64_t value) {
  r->reply.value = value;
  thrumi_request_finish(r, 0);
  return 0;
}

static int perform(struct thrumi_server_queue *q, struct thrumi_request *r) {
  switch (r->words.operation) {
  case THRUMI_OP_PUT: return put(q, r);
  case THRUMI_OP_GET: return get(q, r);
  case THRUMI_OP_TASK_DONE: return task_done(q, r);
  case THRUMI_OP_JOIN: return join(q, r);
  case THRUMI_OP_SHUTDOWN: return shut_down(q, r);
  case THRUMI_OP_QUEUE_SIZE: return tell(r, q->count);
  default: return tell(r, q->unfinished);
  }
}

void thrumi_queue_do(struct thrumi_server_queue *q, struct thrumi_request *r) {
  int status = perform(q, r);
  if (status) thrumi_request_finish(r, status);
}

/* ---- What was under way ------------------------------------------------------------------------------------------------------ */

static void is_back(struct thrumi_server_queue *q) {
  q->away--;
  settle(q);
  thrumi_object_unref(&q->object);
}

void thrumi_item_acknowledged(struct thrumi_item *item) {
  struct thrumi_server_queue *q = item->queue;
  free_item(item);
  is_back(q);
}

void thrumi_item_back(struct thrumi_item *item) {
  struct thrumi_server_queue *q = item->queue;
  if (q->now) {
    q->unfinished -= q->unfinished != 0;
    free_item(item);
  } else {
    struct thrumi_ring *at = q->items.next;
    while (at != &q->items && THRUMI_RING_OWNER(at, struct thrumi_item, link)->order < item->order)
      at = at->next;
    thrumi_ring_insert(at, &item->link);
    q->count++;
  }
  is_back(q);
}

/* What is under way still comes back, and is dropped then. */
void thrumi_queue_empty(struct thrumi_server_queue *q) {
  q->shut = q->now = true;
  thrumi_finish_all(&q->puts, -ESRCH);
  thrumi_finish_all(&q->joins, -ESRCH);
  discard_all(q);
}
