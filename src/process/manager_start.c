/* A manager in a process of its own: what it is started with, and how it ends.
 *
 * The process inherits one end of a connection, on which it says where it listens, or why it does not, and which it then waits at: for a
 * word of its starter's to end, or the starter's own end. */
#include <dlfcn.h>
#include <os/os.h>
#include <process/manager.h>
#include <process/manager_client.h>
#include <process/record.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* What the task is given: this, the address, the key, the name of the digest, and of each task its name and its shared object; all
 * strings with their NULs. */
struct charge {
  thrum_manager_options options; /* without pointers */
  size_t address_size, key_size, digest_size, task_count;
  thrum_duration patience;
  bool has_key, allow_md5;
};

enum { START_PATIENCE_S = 30, END_PATIENCE_S = 1, ANSWER_MAX = 512 };

/* ---- In the process ------------------------------------------------------------------------------------------------------------- */

/* Takes `size` bytes off what is left; NULL: there are not so many. */
static const char *cut(const char **at, size_t *left, size_t size) {
  const char *here = *at;
  if (size > *left) return NULL;
  *at += size;
  *left -= size;
  return here;
}

static const char *cut_text(const char **at, size_t *left) { return cut(at, left, strnlen(*at, *left) + 1); }

static int find_tasks(const thrum_task **tasks, size_t count, const char **at, size_t *left) {
  for (size_t i = 0; i < count; i++) {
    const char *name = cut_text(at, left), *object = name ? cut_text(at, left) : NULL;
    if (!object) return -EPROTO;
    tasks[i] = thrum_task_find(name);
    if (!tasks[i] && object[0] && dlopen(object, RTLD_NOW | RTLD_LOCAL)) tasks[i] = thrum_task_find(name);
    if (!tasks[i]) return -ENOENT;
  }
  return 0;
}

static int serve_as_charged(thrum_manager_server **server, const void *in, size_t size) {
  struct charge c;
  thrum_conn_options connection = THRUM_CONN_OPTIONS_INIT;
  const char *at = (const char *)in;
  size_t left = size;
  const void *fixed = cut(&at, &left, sizeof c);
  if (!fixed) return -EPROTO;
  memcpy(&c, fixed, sizeof c);
  const char *address = cut(&at, &left, c.address_size), *key = cut(&at, &left, c.key_size);
  connection.digest = c.digest_size ? cut(&at, &left, c.digest_size) : NULL;
  connection.key = c.has_key ? key : NULL;
  connection.key_size = c.key_size;
  connection.patience = c.patience;
  connection.allow_md5 = c.allow_md5;
  const thrum_task **tasks = thrumi_os.allocate((c.task_count + 1) * sizeof *tasks);
  if (!tasks) return -ENOMEM;
  c.options.address = c.address_size ? address : NULL;
  c.options.connection = &connection;
  c.options.tasks = tasks;
  c.options.task_count = c.task_count;
  int error = find_tasks(tasks, c.task_count, &at, &left);
  if (!error) error = thrum_manager_serve(server, &c.options);
  thrumi_os.free((void *)tasks);
  return error;
}

static int say_where(thrum_conn *control, int error, const char *address) {
  char answer[ANSWER_MAX] = "";
  int32_t status = error;
  memcpy(answer, &status, sizeof status);
  size_t size = address ? strlen(address) + 1 : 0;
  if (size > sizeof answer - sizeof status) return -ENAMETOOLONG;
  if (size) memcpy(answer + sizeof status, address, size);
  return thrum_conn_send(control, answer, sizeof status + size);
}

THRUM_TASK(thrumi_manager_process) {
  thrum_manager_server *server = NULL;
  thrum_conn *control;
  char word[1];
  signal(SIGINT, SIG_IGN);
  int error = thrum_conn_open(&control, thrum_inherited_fd(0), THRUM_CONN_BOTH);
  if (error) return error;
  error = serve_as_charged(&server, in, size);
  int unsaid = say_where(control, error, thrum_manager_server_address(server));
  if (!error && !unsaid && thrum_conn_recv(control, word, sizeof word) < 0) unsaid = 0;
  thrum_manager_server_stop(server);
  thrum_conn_close(control);
  return 0; /* the starter has been told */
}

/* ---- In the starter --------------------------------------------------------------------------------------------------------------- */

static size_t task_bytes(const thrum_manager_options *o) {
  size_t bytes = 0;
  for (size_t i = 0; i < o->task_count; i++)
    bytes += strlen(o->tasks[i]->name) + strlen(thrumi_object_of_task(o->tasks[i])) + 2;
  return bytes;
}

static char *put(char *at, const void *bytes, size_t size) {
  if (size) memcpy(at, bytes, size);
  return at + size;
}

/* The task's input, of options that were looked at. */
static char *make_charge(const thrum_manager_options *o, size_t *size) {
  const thrum_conn_options none = THRUM_CONN_OPTIONS_INIT, *c = o->connection ? o->connection : &none;
  struct charge charge = {.options = *o, .key_size = c->key_size, .task_count = o->task_count};
  charge.address_size = o->address ? strlen(o->address) + 1 : 0;
  charge.digest_size = c->digest ? strlen(c->digest) + 1 : 0;
  charge.has_key = c->key != NULL;
  charge.allow_md5 = c->allow_md5;
  charge.patience = c->patience;
  charge.options.name = NULL;
  *size = sizeof charge + charge.address_size + charge.key_size + charge.digest_size + task_bytes(o);
  char *bytes = thrumi_os.allocate(*size), *at = bytes;
  if (!bytes) return NULL;
  at = put(at, &charge, sizeof charge);
  at = put(at, o->address, charge.address_size);
  at = put(at, c->key, charge.key_size);
  at = put(at, c->digest, charge.digest_size);
  for (size_t i = 0; i < o->task_count; i++) {
    at = put(at, o->tasks[i]->name, strlen(o->tasks[i]->name) + 1);
    at = put(at, thrumi_object_of_task(o->tasks[i]), strlen(thrumi_object_of_task(o->tasks[i])) + 1);
  }
  return bytes;
}

static int start_process(thrum_process **p, const thrum_manager_options *o, thrum_conn *theirs) {
  thrum_process_options process = THRUM_PROCESS_OPTIONS_INIT;
  int fd = thrum_conn_fd(theirs);
  size_t size;
  char *charge = make_charge(o, &size);
  if (!charge) return -ENOMEM;
  process.name = o->name && o->name[0] ? o->name : "Manager";
  process.method = o->method;
  process.daemon = true;
  process.descriptors = &fd;
  process.descriptor_count = 1;
  int error = thrum_process_start(p, &process, &thrumi_manager_process, charge, size);
  explicit_bzero(charge, size);
  thrumi_os.free(charge);
  return error;
}

/* Where it listens. */
static int hear_where(thrum_conn *control, char answer[ANSWER_MAX]) {
  int32_t status;
  ssize_t n = thrum_conn_recv_for(control, answer, ANSWER_MAX, THRUM_S(START_PATIENCE_S));
  if (n < 0) return thrumi_manager_gone((int)n);
  if (n < (ssize_t)sizeof status) return -EPROTO;
  memcpy(&status, answer, sizeof status);
  if (status) return status;
  bool whole = n > (ssize_t)sizeof status && answer[n - 1] == 0;
  if (whole) memmove(answer, answer + sizeof status, (size_t)n - sizeof status);
  return whole ? 0 : -EPROTO;
}

static void end_process(thrum_process *p, thrum_conn *control) {
  THRUM_SHIELD(0) {
    int error = thrum_conn_send_for(control, "", 0, THRUM_S(END_PATIENCE_S));
    if (!error) error = thrum_process_join_for(p, NULL, THRUM_S(END_PATIENCE_S));
    if (error) thrum_process_kill(p);
    thrum_process_join(p, NULL);
  }
  thrum_conn_close(control);
  thrum_process_release(p);
}

void thrumi_manager_end_process(thrum_manager *m) {
  end_process(m->process, m->control);
  m->process = NULL;
}

/* The options as the server will look at them: what is wrong with them is said here. */
static int check(const thrum_manager_options *o) {
  thrumi_server *server = thrumi_os.allocate(sizeof *server);
  if (!server) return -ENOMEM;
  int error = thrumi_manager_options_copy(server, o);
  thrumi_manager_options_free(server);
  thrumi_os.free(server);
  for (size_t i = 0; !error && i < o->task_count; i++)
    if (thrum_task_find(o->tasks[i]->name) != o->tasks[i]) error = -EINVAL;
  return error;
}

static int start(thrum_manager **out, const thrum_manager_options *o) {
  char address[ANSWER_MAX];
  thrum_conn *control[2];
  thrum_process *p;
  int error = thrum_conn_pair(control);
  if (error) return error;
  error = start_process(&p, o, control[1]);
  thrum_conn_close(control[1]);
  if (error) {
    thrum_conn_close(control[0]);
    return error;
  }
  error = hear_where(control[0], address);
  if (!error) error = thrum_manager_connect(out, address, o->connection);
  if (error) {
    end_process(p, control[0]);
    return error;
  }
  (*out)->process = p;
  (*out)->control = control[0];
  return 0;
}

int thrum_manager_start(thrum_manager **out, const thrum_manager_options *options) {
  const thrum_manager_options none = THRUM_MANAGER_OPTIONS_INIT, *o = options ? options : &none;
  if (!out) return -EINVAL;
  int error = check(o);
  return error ? error : start(out, o);
}
