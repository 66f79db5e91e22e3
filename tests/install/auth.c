/* A program outside of thrum's tree whose connections have a key, which takes libthrum-auth. */
#include <thrum.h>

#include <stdio.h>
#include <string.h>

static thrum_listener *listener;
static thrum_conn_options options = THRUM_CONN_OPTIONS_INIT;

static intptr_t dial(void *arg) {
  int status = thrum_conn_dial((thrum_conn **)arg, thrum_listener_address(listener), &options);
  return status;
}

int main(void) {
  thrum_conn *here, *there;
  thrum_thread dialer;
  intptr_t dialed;
  int status;
  options.key = "secret";
  options.key_size = 6;
  status = thrum_listener_open(&listener, "tcp:127.0.0.1:0", &options);
  if (!status) status = thrum_spawn(&dialer, dial, &there);
  if (!status) status = thrum_listener_accept(listener, &here);
  if (!status) status = thrum_join(dialer, &dialed);
  if (status || dialed) return fprintf(stderr, "%s, %s\n", strerror(-status), strerror((int)-dialed)), 1;
  thrum_conn_close(here);
  thrum_conn_close(there);
  thrum_listener_close(listener);
  return 0;
}
