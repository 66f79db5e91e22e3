/* A manager and whatever a client says to it: requests of all sorts with wrong words in them, of things that are and are not there, lies
 * about sizes, and the end of the stream at any moment. Another client is served as before, and nothing is kept when all objects are
 * removed. And what is read from a message lies in it. */
#include "fuzz.h"

#include <process/manager.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thrum.h>

THRUM_TASK(echo) { return thrum_out_write(out, in, size); }

static thrum_manager_server *server;
static thrum_manager *sane;

static const char *const names[] = {"queue", "lock", "rlock", "sem", "event", "map", "echo", ""};

static void start_once(void) {
  static const thrum_task *const tasks[] = {&echo};
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  if (server) return;
  o.tasks = tasks, o.task_count = 1, o.message_max = 500, o.memory = 60000, o.objects = 7;
  CHECK_EQ(thrum_manager_serve(&server, &o), 0);
  CHECK_EQ(thrum_manager_connect(&sane, thrum_manager_server_address(server), NULL), 0);
}

/* ---- Words -------------------------------------------------------------------------------------------------------- */

static void read_anything(const uint8_t *data, size_t size) {
  struct thrumi_request_words w;
  struct thrumi_reply_words r;
  uint8_t *copy = (uint8_t *)malloc(size + !size); /* to its byte, for the sanitizer */
  unsigned char head[THRUMI_REQUEST_HEAD];
  memcpy(copy, data, size);
  if (thrumi_request_read(&w, copy, size) == 0) {
    CHECK(w.name == copy + sizeof head && w.value == w.name + w.name_size);
    CHECK(w.value + w.value_size == copy + size);
    thrumi_request_write(head, &w);
    CHECK(memcmp(head, copy, sizeof head) == 0);
  }
  if (thrumi_reply_read(&r, copy, size) == 0) {
    thrumi_reply_write(head, &r);
    CHECK(memcmp(head, copy, THRUMI_REPLY_HEAD) == 0);
  }
  free(copy);
}

/* ---- A client without manners -------------------------------------------------------------------------------------- */

static thrum_conn *connect_plainly(uint64_t version) {
  thrum_conn *c;
  unsigned char bytes[THRUMI_REQUEST_HEAD];
  struct thrumi_request_words hello = {.operation = THRUMI_OP_HELLO, .argument = version};
  CHECK_EQ(thrum_conn_dial(&c, thrum_manager_server_address(server), NULL), 0);
  CHECK_EQ(thrum_conn_recv(c, bytes, sizeof bytes), THRUMI_REPLY_HEAD + THRUMI_GREETING_SIZE);
  thrumi_request_write(bytes, &hello);
  CHECK_EQ(thrum_conn_send(c, bytes, sizeof bytes), 0);
  return c;
}

/* The number of an object for such an operation, which the server tells who opens it; else of what was in that place. */
static uint64_t object_for(uint16_t operation, uint32_t place) {
  static const enum thrumi_object_kind kinds[] = {THRUMI_KIND_NONE, THRUMI_KIND_QUEUE, THRUMI_KIND_LOCK,
                                                  THRUMI_KIND_SEM,  THRUMI_KIND_EVENT, THRUMI_KIND_MAP};
  enum thrumi_object_kind kind = operation < 96 ? kinds[operation / 16] : THRUMI_KIND_NONE;
  thrum_lock_acquire(&server->lock);
  uint64_t id = (uint64_t)(place < server->slot_count ? server->slots[place].uses : 1) << 32 | place;
  for (size_t i = 0; i < server->slot_count; i++) {
    const struct thrumi_object *object = server->slots[i].object;
    if (object && object->kind == kind) id = object->id;
  }
  thrum_lock_release(&server->lock);
  return id;
}

/* Sound ones mostly: who says something else is disconnected. */
static void decide_words(struct thrumi_request_words *w, struct decisions *d) {
  static const uint16_t operations[] = {
      THRUMI_OP_OPEN,     THRUMI_OP_REMOVE,  THRUMI_OP_CANCEL,    THRUMI_OP_CALL,    THRUMI_OP_PUT,
      THRUMI_OP_GET,      THRUMI_OP_PUT,     THRUMI_OP_TASK_DONE, THRUMI_OP_JOIN,    THRUMI_OP_GET,
      THRUMI_OP_SHUTDOWN, THRUMI_OP_ACQUIRE, THRUMI_OP_DOWN,      THRUMI_OP_RELEASE, THRUMI_OP_UP,
      THRUMI_OP_WAIT,     THRUMI_OP_RAISE,   THRUMI_OP_SET,       THRUMI_OP_SET,     THRUMI_OP_LOOK,
      THRUMI_OP_DELETE,   THRUMI_OP_KEYS,    THRUMI_OP_CHANGE,    THRUMI_OP_OPEN,    THRUMI_OP_OPEN,
      THRUMI_OP_MAP_SIZE, THRUMI_OP_IS_SET,  THRUMI_OP_ACK};
  uint8_t mood = decide(d), x = decide(d), y = decide(d);
  const char *name = names[x % 8];
  bool sound = mood < 248;
  *w = (struct thrumi_request_words){.number = y % 4, .name = (const unsigned char *)name};
  w->operation = sound ? operations[mood % 28] : (uint16_t)(decide(d) % 100);
  if (w->operation == THRUMI_OP_ACK && x < 192) w->operation = THRUMI_OP_OPEN;
  w->object = object_for(w->operation, y >> 3 & 7) + (y == 77);
  w->timeout = (y & 64) ? THRUM_FOREVER : (int64_t)(x % 3) * THRUM_US(100);
  w->argument = y & 128 ? x : UINT64_MAX >> x % 64;
  w->flags = w->operation == THRUMI_OP_OPEN ? 1 + x % 7 : sound ? 0 : x;
  bool named =
      w->operation < THRUMI_OP_QUEUE || (w->operation >= THRUMI_OP_SET && w->operation <= THRUMI_OP_CHANGE);
  bool valued =
      w->operation == THRUMI_OP_PUT || w->operation == THRUMI_OP_SET || w->operation == THRUMI_OP_CALL;
  w->name_size = (named && w->operation != THRUMI_OP_CANCEL) || !sound ? strlen(name) : 0;
  w->value_size = valued || !sound ? decide(d) % 200 : 0;
}

static int send_one(thrum_conn *c, struct decisions *d) {
  uint8_t bytes[THRUMI_REQUEST_HEAD + 300] = {0};
  struct thrumi_request_words w;
  decide_words(&w, d);
  thrumi_request_write(bytes, &w);
  memcpy(bytes + THRUMI_REQUEST_HEAD, w.name, w.name_size);
  size_t size = THRUMI_REQUEST_HEAD + w.name_size + w.value_size;
  if (d->end - d->at == 20) size = decide(d) % 50;
  if (d->end - d->at == 30) bytes[32 + decide(d) % 8] ^= 0xff;
  int error = thrum_conn_send(c, bytes, size);
  if (!error && w.operation == THRUMI_OP_OPEN && thrum_conn_recv_for(c, bytes, sizeof bytes, THRUM_MS(1)) < 0)
    error = 0; /* it may have been no request at all */
  return error;
}

/* Whatever it has said was done when it comes to the end of the replies. */
static void hang_up(thrum_conn *c) {
  char bytes[2000];
  ssize_t n;
  shutdown(thrum_conn_fd(c), SHUT_WR);
  while ((n = thrum_conn_recv(c, bytes, sizeof bytes)) >= 0) CHECK(n >= THRUMI_REPLY_HEAD);
  thrum_conn_close(c);
}

/* ---- The other one -------------------------------------------------------------------------------------------------- */

static void check_sane(void) {
  static uint64_t number;
  thrum_manager_queue q;
  uint64_t got = 0, put = ++number;
  for (int i = 0; i < 8; i++) {
    int error = thrum_manager_remove(sane, names[i]);
    CHECK(error == 0 || error == -ENOENT);
  }
  CHECK_EQ(thrum_manager_queue_open(&q, sane, "sane", 1), 0);
  CHECK_EQ(thrum_manager_queue_put(&q, &put, sizeof put), 0);
  CHECK_EQ(thrum_manager_queue_get(&q, &got, sizeof got), sizeof got);
  CHECK_EQ(got, number);
  CHECK_EQ(thrum_manager_remove(sane, "sane"), 0);
  for (int i = 0; i < 10000 && thrumi_load(&server->bytes); i++)
    thrum_sleep(THRUM_MS(1)); /* until calls end */
  CHECK_EQ(thrumi_load(&server->bytes), 0);
  CHECK_EQ(server->object_count, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions d = {data, data + size};
  read_anything(data, size);
  start_once();
  thrum_conn *c = connect_plainly(decide(&d) == 7 ? 7 : THRUMI_GREETING);
  while (any_left(&d) && send_one(c, &d) == 0) {
  }

  hang_up(c);
  check_sane();
  return 0;
}
