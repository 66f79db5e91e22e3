/* What is wrong with managers: the documented error, and nothing has changed. */
#include "../promises/managers.h"

static void nothing_given(void) {
  thrum_manager *m = NULL;
  thrum_manager_server *server = NULL;
  void *data;
  CHECK_EQ(thrum_manager_start(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_serve(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_connect(NULL, "unix:/x", NULL), -EINVAL);
  CHECK_EQ(thrum_manager_connect(&m, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_remove(NULL, "x"), -EINVAL);
  CHECK_EQ(thrum_manager_call(NULL, "x", NULL, 0, &data, NULL, 0), -EINVAL);
  CHECK(thrum_manager_address(NULL) == NULL && thrum_manager_server_address(NULL) == NULL);
  CHECK_EQ(thrum_manager_pid(NULL), 0);
  thrum_manager_close(NULL);
  thrum_manager_server_stop(NULL);
  thrum_manager_keys_free(NULL);
  CHECK(!m && !server);
}

/* Handles of nothing, which all-zero ones are. */
static void handles_of_nothing(void) {
  thrum_manager_queue q = {0};
  thrum_manager_lock lock = {0};
  thrum_manager_sem sem = {0};
  thrum_manager_event event = {0};
  thrum_manager_map map = {0};
  thrum_manager_keys keys;
  uint64_t version = 0;
  void *data;
  char byte;
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_get(&q, &byte, 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_get_new(&q, &data, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_manager_queue_size(&q), -EINVAL);
  CHECK_EQ(thrum_manager_queue_task_done(&q), -EINVAL);
  CHECK_EQ(thrum_manager_queue_put(NULL, "x", 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_shutdown(NULL, true), -EINVAL);
  CHECK_EQ(thrum_manager_lock_acquire(&lock), -EINVAL);
  CHECK_EQ(thrum_manager_lock_release(NULL), -EINVAL);
  CHECK_EQ(thrum_manager_sem_acquire(&sem, 0), -EINVAL);
  CHECK_EQ(thrum_manager_sem_value(NULL), -EINVAL);
  CHECK_EQ(thrum_manager_event_wait(&event, 0), -EINVAL);
  CHECK_EQ(thrum_manager_event_is_set(NULL), -EINVAL);
  CHECK_EQ(thrum_manager_map_get(&map, "k", 1, &data, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_map_keys(&map, &keys), -EINVAL);
  CHECK_EQ(thrum_manager_map_wait(&map, "k", 1, &version, 0), -EINVAL);
}

static void options_that_cannot_be(void) {
  static const thrum_task *const none[] = {NULL};
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  thrum_manager_server *server = NULL;
  thrum_manager *m = NULL;
  o.size--;
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  CHECK_EQ(thrum_manager_start(&m, &o), -EINVAL);
  o = (thrum_manager_options)THRUM_MANAGER_OPTIONS_INIT;
  o.address = "nowhere";
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  o.address = "tcp:localhost:0"; /* without a key */
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  CHECK_EQ(thrum_manager_start(&m, &o), -EINVAL);
  o.address = NULL, o.task_count = 1;
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  o.tasks = none;
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  o.task_count = 0, o.message_max = (size_t)UINT32_MAX + 1;
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
  o.message_max = 0, o.address = "unix:/no/such/folder/socket";
  CHECK_EQ(thrum_manager_serve(&server, &o), -ENOENT);
  CHECK_EQ(thrum_manager_connect(&m, o.address, NULL), -ENOENT);
  CHECK_EQ(thrum_manager_connect(&m, "nowhere", NULL), -EINVAL);
  CHECK_EQ(thrum_manager_start(&m, NULL), -ENOTSUP); /* no thrum_process_main here */
  CHECK(!m && !server);
}

static void wrong_calls(void) {
  static char long_name[300], key[THRUM_MANAGER_KEY_MAX + 1];
  thrum_manager_server *server = must_serve(NULL);
  thrum_manager *m = must_connect_to(server);
  thrum_manager_queue q = must_open_queue(m, "q", 1), other = {0};
  thrum_manager_map map = must_open_map(m, "map");
  thrum_manager_lock lock;
  void *data = NULL;
  memset(long_name, 'x', sizeof long_name - 1);
  CHECK_EQ(thrum_manager_queue_open(&other, m, "", 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_open(&other, m, NULL, 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_open(&other, m, long_name, 1), -EINVAL);
  CHECK_EQ(thrum_manager_queue_open(&other, m, "other", 0), -EINVAL);
  CHECK_EQ(thrum_manager_queue_open(&other, m, "other", THRUM_RENDEZVOUS), -EINVAL);
  CHECK_EQ(thrum_manager_queue_open(NULL, m, "other", 1), -EINVAL);
  CHECK_EQ(thrum_manager_lock_open(&lock, m, "q"), -EEXIST);
  CHECK_EQ(thrum_manager_remove(m, "other"), -ENOENT);
  CHECK_EQ(thrum_manager_queue_put(&q, NULL, 1), -EINVAL);
  CHECK_EQ(thrum_manager_map_set(&map, key, sizeof key, "x", 1, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_map_set(&map, NULL, 1, "x", 1, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_map_set_if(&map, "k", 1, "x", 1, NULL), -EINVAL);
  CHECK_EQ(thrum_manager_map_set(&map, key, sizeof key - 1, "x", 1, NULL), 0);
  other = (thrum_manager_queue){m, map.id}; /* a handle of another kind */
  CHECK_EQ(thrum_manager_queue_size(&other), -EINVAL);
  other.id = 12345;
  CHECK_EQ(thrum_manager_queue_size(&other), -ESRCH);
  CHECK_EQ(thrum_manager_call(m, "no such", NULL, 0, &data, NULL, 0), -ENOENT);
  CHECK(!data);
  CHECK_EQ(thrum_manager_queue_task_done(&q), -EOVERFLOW);
  must_put(&q, 3); /* all is well */
  CHECK_EQ(must_get(&q), 3);
  thrum_manager_close(m);
  thrum_manager_server_stop(server);
}

/* One who listens there, and is no manager. */
static intptr_t say_nonsense(void *listener) {
  static const char *const words[] = {"", "hello",
                                      "#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
                                      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"};
  static const size_t sizes[] = {0, 5, 59, 28};
  for (int i = 0; i < 4; i++) {
    thrum_conn *c;
    char byte;
    CHECK_EQ(thrum_listener_accept((thrum_listener *)listener, &c), 0);
    CHECK_EQ(thrum_conn_send(c, words[i], sizes[i]), 0);
    CHECK(thrum_conn_recv(c, &byte, 1) < 0);
    thrum_conn_close(c);
  }
  return 0;
}

static void strangers(void) {
  static const int expected[] = {-EPROTO, -EPROTO, -EACCES, -EPROTO};
  char address[64];
  thrum_listener *l;
  snprintf(address, sizeof address, "unix:@thrum-bad-managers-%d", (int)getpid());
  CHECK_EQ(thrum_listener_open(&l, address, NULL), 0);
  thrum_thread t = must_spawn(say_nonsense, l);
  for (int i = 0; i < 4; i++) {
    thrum_manager *m = NULL;
    CHECK_EQ(thrum_manager_connect(&m, address, NULL), expected[i]);
    CHECK(!m);
  }
  CHECK_EQ(must_join(t), 0);
  thrum_listener_close(l);
}

/* The program ends with all of it open. */
static void left_open(void) {
  thrum_manager *m = must_connect_to(must_serve(NULL));
  thrum_manager_queue q = must_open_queue(m, "left", 1);
  must_put(&q, 1);
}

int main(void) {
  nothing_given();
  handles_of_nothing();
  options_that_cannot_be();
  wrong_calls();
  strangers();
  left_open();
  return 0;
}
