/* A manager over TCP, with a key: another program that knows it is let in, nobody else is; and who is let in without one. */
#include "managers.h"

static const char *host;

static thrum_conn_options with_key(const char *key) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  o.key = key;
  o.key_size = key ? strlen(key) : 0;
  o.patience = THRUM_S(20);
  return o;
}

/* Another program: it finds its numbers in a queue, and puts their squares into another one. */
THRUM_TASK(square) {
  thrum_conn_options o = with_key("secret");
  thrum_manager *m;
  int error = thrum_manager_connect(&m, (const char *)in, &o);
  if (error) return error;
  thrum_manager_queue from = must_open_queue(m, "numbers", 10), to = must_open_queue(m, "squares", 10);
  for (uint64_t number; thrum_manager_queue_get(&from, &number, sizeof number) > 0;)
    must_put(&to, number * number);
  thrum_manager_close(m);
  return 0;
}

static void two_programs(thrum_manager *m) {
  enum { NUMBERS = 500 };
  thrum_process *p[2];
  thrum_manager_queue to = must_open_queue(m, "numbers", 10), from = must_open_queue(m, "squares", 10);
  uint64_t sum = 0, expected = 0, put = 0;
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_process_start(&p[i], NULL, &square, host, strlen(host) + 1), 0);
  for (uint64_t got = 0; got < NUMBERS; got++) {
    for (; put < NUMBERS && put < got + 10; put++) must_put(&to, put), expected += put * put;
    sum += must_get(&from);
  }
  CHECK_EQ(sum, expected);
  CHECK_EQ(thrum_manager_queue_shutdown(&to, false), 0);
  for (int i = 0; i < 2; i++) {
    int code;
    CHECK_EQ(thrum_process_join(p[i], &code), 0);
    CHECK_EQ(code, 0);
    thrum_process_release(p[i]);
  }
}

static void check_refused(const char *address, const thrum_conn_options *o, int expected) {
  thrum_manager *m = NULL;
  CHECK_EQ(thrum_manager_connect(&m, address, o), expected);
  CHECK(!m);
}

static void keys_are_needed(void) {
  thrum_conn_options wrong = with_key("Secret"), none = with_key(NULL);
  check_refused(host, &wrong, -EACCES);
  check_refused(host, &none, -EACCES);
}

static void keys_that_nobody_wants(void) {
  thrum_conn_options o = with_key("secret");
  thrum_manager_server *open_one = must_serve(NULL);
  check_refused(thrum_manager_server_address(open_one), &o, -EACCES);
  thrum_manager_close(must_connect_to(open_one));
  thrum_manager_server_stop(open_one);
}

static void tcp_needs_a_key(void) {
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  thrum_manager_server *server = NULL;
  o.address = "tcp:127.0.0.1:0";
  CHECK_EQ(thrum_manager_serve(&server, &o), -EINVAL);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_conn_options key = with_key("secret");
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  thrum_manager *m;
  o.address = "tcp:127.0.0.1:0";
  o.connection = &key;
  CHECK_EQ(thrum_manager_start(&m, &o), 0);
  host = thrum_manager_address(m);
  CHECK(strcmp(host, o.address) != 0); /* with its port */
  two_programs(m);
  keys_are_needed();
  keys_that_nobody_wants();
  tcp_needs_a_key();
  thrum_manager_close(m);
  return 0;
}
