/* Who listens and who dials, by each kind of address, and the key that both must know: another one, or none, is told at both ends; those
 * who say something else, too much, too little or nothing are turned away, and the listener goes on. */
#include "connections.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char folder[] = "/tmp/thrum-listeners-XXXXXX";
static char path[64]; /* "unix:FOLDER/socket" */
static const char *file_of(const char *address) { return address + 5; }

static thrum_conn_options with_key(const char *key) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  o.key = key;
  o.key_size = key ? strlen(key) : 0;
  return o;
}

struct dialing {
  const char *address;
  thrum_conn_options options;
  thrum_conn *conn;
};

static intptr_t dial(void *arg) {
  struct dialing *d = (struct dialing *)arg;
  return thrum_conn_dial(&d->conn, d->address, &d->options);
}

static thrum_listener *must_listen(const char *address, const thrum_conn_options *o) {
  thrum_listener *l;
  CHECK_EQ(thrum_listener_open(&l, address, o), 0);
  return l;
}

static void check_talk(thrum_conn *a, thrum_conn *b) {
  char room[8];
  CHECK_EQ(thrum_conn_send(a, "there", 5), 0);
  CHECK_EQ(thrum_conn_recv(b, room, 8), 5);
  CHECK_EQ(thrum_conn_send(b, "back", 4), 0);
  CHECK_EQ(thrum_conn_recv(a, room, 8), 4);
}

/* A connection each way, with these keys. */
static void meet(const char *address, const thrum_conn_options *o) {
  thrum_listener *l = must_listen(address, o);
  struct dialing d = {thrum_listener_address(l), *o, NULL};
  thrum_thread dialer = must_spawn(dial, &d);
  thrum_conn *c;
  CHECK_EQ(thrum_listener_accept(l, &c), 0);
  CHECK_EQ(must_join(dialer), 0);
  check_talk(c, d.conn);
  CHECK_EQ(fcntl(thrum_conn_fd(c), F_GETFL) & O_NONBLOCK, 0);
  CHECK(fcntl(thrum_conn_fd(d.conn), F_GETFD) & FD_CLOEXEC);
  close_both((struct ends){c, d.conn});
  thrum_listener_close(l);
}

static void addresses(void) {
  char abstract[64];
  snprintf(abstract, sizeof abstract, "unix:@thrum-test-%d", (int)getpid());
  thrum_conn_options none = with_key(NULL), key = with_key("a key");
  const char *const all[] = {path, abstract, "tcp:127.0.0.1:0", "tcp:localhost:0"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    meet(all[i], &none);
    meet(all[i], &key);
  }
  int v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  if (v6 >= 0 && bind(v6, (struct sockaddr *)&loopback, sizeof loopback) == 0) meet("tcp:[::1]:0", &key);
  if (v6 >= 0) close(v6);
}

static void wrong_addresses(void) {
  static const char *const wrong[] = {
      "",        "unix:",           "unix",       "tcp:",           "tcp:host",
      "/a/path", "udp:localhost:1", "tcp:::1:80", "tcp:localhost:", "tcp:localhost:99999"};
  thrum_listener *l;
  thrum_conn *c;
  char longer[400] = "unix:";
  memset(longer + 5, 'x', 394);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK_EQ(thrum_listener_open(&l, wrong[i], NULL), -EINVAL);
    CHECK_EQ(thrum_conn_dial(&c, wrong[i], NULL), -EINVAL);
  }
  CHECK_EQ(thrum_listener_open(&l, longer, NULL), -ENAMETOOLONG);
  longer[150] = 0;
  CHECK_EQ(thrum_conn_dial(&c, longer, NULL), -ENAMETOOLONG);
}

/* ---- The file ----------------------------------------------------------------------------------------------------- */

static bool is_there(void) {
  struct stat s;
  return lstat(file_of(path), &s) == 0;
}

static void the_file_goes(void) {
  thrum_listener *l = must_listen(path, NULL), *second;
  CHECK(is_there());
  CHECK_EQ(thrum_listener_open(&second, path, NULL), -EADDRINUSE);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    thrum_listener_close(l); /* the parent's */
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  CHECK(is_there());
  thrum_listener_close(l);
  CHECK(!is_there());
  l = must_listen(path, NULL); /* replaced by somebody: not ours any more */
  CHECK_EQ(unlink(file_of(path)), 0);
  int other = open(file_of(path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(other >= 0);
  thrum_listener_close(l);
  CHECK(is_there());
  CHECK(close(other) == 0 && unlink(file_of(path)) == 0);
}

struct accepting {
  thrum_listener *listener;
  thrum_conn *conn;
  int waits;
};

static intptr_t accept_one(void *arg) {
  struct accepting *a = (struct accepting *)arg;
  ADD(a->waits, 1);
  return thrum_listener_accept(a->listener, &a->conn);
}

static void closing_ends_accepts(void) {
  struct accepting a = {must_listen(path, NULL), NULL, 0};
  thrum_thread threads[3];
  thrum_conn *c;
  CHECK_EQ(thrum_listener_accept_for(a.listener, &c, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_listener_accept_for(a.listener, &c, THRUM_MS(1)), -ETIMEDOUT);
  for (int i = 0; i < 3; i++) threads[i] = must_spawn(accept_one, &a);
  AWAIT(LOAD(a.waits) == 3);
  CHECK_EQ(thrum_cancel(threads[1]), 0);
  CHECK_EQ(must_join(threads[1]), -ECANCELED);
  thrum_listener_close(a.listener);
  CHECK_EQ(must_join(threads[0]), -EBADF);
  CHECK_EQ(must_join(threads[2]), -EBADF);
}

/* ---- Keys --------------------------------------------------------------------------------------------------------- */

static void check_keys(const char *listens, const char *dials, int accepted, int dialed) {
  thrum_conn_options o = with_key(listens);
  struct dialing d = {path, with_key(dials), NULL};
  thrum_listener *l = must_listen(path, &o);
  thrum_conn *c = NULL;
  thrum_thread dialer = must_spawn(dial, &d);
  CHECK_EQ(thrum_listener_accept(l, &c), accepted);
  CHECK_EQ(must_join(dialer), dialed);
  CHECK((c != NULL) == (accepted == 0) && (d.conn != NULL) == (dialed == 0));
  if (c && d.conn) check_talk(c, d.conn);
  close_both((struct ends){c, d.conn});
  thrum_listener_close(l);
}

static void keys(void) {
  static char longer[5000];
  memset(longer, 'k', sizeof longer - 1);
  check_keys("", "", 0, 0);
  check_keys("k", "k", 0, 0);
  check_keys(longer, longer, 0, 0);
  check_keys("right", "wrong", -EACCES, -EACCES);
  check_keys("right", "righ", -EACCES, -EACCES);
  check_keys("right", "right ", -EACCES, -EACCES);
  check_keys("", "x", -EACCES, -EACCES);
  check_keys("x", "", -EACCES, -EACCES);
}

static void digests(void) {
  static const char *const names[] = {"sha256", "sha384", "sha3_256", "sha3_384", "md5"};
  thrum_listener *l;
  for (size_t i = 0; i < 5; i++) {
    thrum_conn_options o = with_key("a key");
    o.digest = names[i];
    if (i == 4) CHECK_EQ(thrum_listener_open(&l, path, &o), -EINVAL); /* not unless it is allowed */
    o.allow_md5 = i == 4;
    meet(path, &o);
  }
  thrum_conn_options o = with_key("a key");
  o.digest = "sha1";
  CHECK_EQ(thrum_listener_open(&l, path, &o), -EINVAL);
  o = with_key("a key");
  o.size--;
  CHECK_EQ(thrum_listener_open(&l, path, &o), -EINVAL);
  o = with_key(NULL);
  o.key_size = 3;
  CHECK_EQ(thrum_listener_open(&l, path, &o), -EINVAL);
}

/* A dialer with the key at a listener whose asks for what is weak, and the other way round. */
static void weak_digests_are_refused(void) {
  thrum_conn_options weak = with_key("k");
  weak.digest = "md5";
  weak.allow_md5 = true;
  struct dialing d = {path, with_key("k"), NULL};
  thrum_listener *l = must_listen(path, &weak);
  thrum_conn *c;
  thrum_thread dialer = must_spawn(dial, &d);
  CHECK_EQ(thrum_listener_accept(l, &c), -EACCES); /* it goes away */
  CHECK_EQ(must_join(dialer), -EPROTONOSUPPORT);
  thrum_listener_close(l);
  d.options = weak;
  thrum_conn_options strict = with_key("k");
  l = must_listen(path, &strict);
  dialer = must_spawn(dial, &d);
  CHECK_EQ(thrum_listener_accept(l, &c), -EPROTONOSUPPORT); /* having answered, it asks for MD5 */
  CHECK(must_join(dialer) < 0);
  thrum_listener_close(l);
}

/* ---- Hostile ones ------------------------------------------------------------------------------------------------- */

static int connect_plainly(void) {
  int fd = thrum_dial_unix(file_of(path));
  CHECK(fd >= 0);
  return fd;
}

/* What somebody says who knows no key, and how long he stays. */
static void check_turned_away(thrum_listener *l, const char *says, size_t size, bool stays, int expected) {
  struct accepting a = {l, NULL, 0};
  int fd = connect_plainly();
  if (size) must_write(fd, says, size);
  if (!stays) CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(accept_one(&a), expected);
  if (stays) CHECK_EQ(thrum_close(fd), 0);
}

static void hostile_dialers(void) {
  thrum_conn_options o = with_key("right");
  o.patience = THRUM_MS(20);
  thrum_listener *l = must_listen(path, &o);
  char huge[300] = "\0\0\1\050";
  check_turned_away(l, "", 0, false, -EACCES);             /* gone */
  check_turned_away(l, "", 0, true, -EACCES);              /* silent */
  check_turned_away(l, "\0\0", 2, false, -EACCES);         /* cut short */
  check_turned_away(l, "\0\0\0\50{sha", 8, true, -EACCES); /* slow */
  check_turned_away(l, "GET / HTTP/1.1\r\n\r\n", 18, true, -EACCES);
  check_turned_away(l, "\377\377\377\377\177\377\377\377\377\377\377\377", 12, true, -EACCES);
  check_turned_away(l, huge, sizeof huge, true, -EACCES); /* more than 256 bytes */
  check_turned_away(l, "\0\0\0\0", 4, true, -EPROTONOSUPPORT);
  check_turned_away(l, "\0\0\0\20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, true,
                    -EPROTONOSUPPORT); /* as Python 3.11 */
  check_turned_away(l, "\0\0\0\25{md5}0123456789abcdef", 25, true, -EPROTONOSUPPORT);
  check_turned_away(l, "\0\0\0\6{sha1}", 10, true, -EPROTONOSUPPORT);
  check_turned_away(l, "\0\0\0\12{sha256}aa", 14, true, -EACCES);
  check_turned_away(l, "\0\0\0\50{sha256}0123456789abcdef0123456789abcdef", 44, true, -EACCES);
  check_turned_away(l, "\0\0\0\11#WELCOME#", 13, true, -EPROTONOSUPPORT);
  struct dialing d = {path, o, NULL};
  d.options.patience = 0;
  thrum_listener_close(l);
  o.patience = 0;
  l = must_listen(path, &o);
  thrum_thread dialer = must_spawn(dial, &d); /* and it goes on */
  thrum_conn *c;
  CHECK_EQ(thrum_listener_accept(l, &c), 0);
  CHECK_EQ(must_join(dialer), 0);
  close_both((struct ends){c, d.conn});
  thrum_listener_close(l);
}

/* Somebody listens who knows no key. */
static void check_not_believed(const char *says, size_t size, bool stays, int expected) {
  int listener = thrum_listen_unix(file_of(path));
  CHECK(listener >= 0);
  struct dialing d = {path, with_key("right"), NULL};
  d.options.patience = expected == -ETIMEDOUT ? THRUM_MS(20) : THRUM_S(100);
  thrum_thread dialer = must_spawn(dial, &d);
  int fd = thrum_accept(listener, NULL, NULL);
  CHECK(fd >= 0);
  if (size) must_write(fd, says, size);
  if (!stays) CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(must_join(dialer), expected);
  if (stays) CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(thrum_close(listener), 0);
}

static void hostile_listeners(void) {
  static const char challenge[] = "\0\0\0\73#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
  check_not_believed("", 0, false, -EPIPE);
  check_not_believed("", 0, true, -ETIMEDOUT);
  check_not_believed("\0\0\0", 3, false, -EBADMSG);
  check_not_believed("\0\0\0\5hello", 9, true, -EPROTO);
  check_not_believed("\0\0\0\11#WELCOME#", 13, true, -EPROTO);
  check_not_believed("\0\0\0\13#CHALLENGE#", 15, true, -EPROTONOSUPPORT);
  check_not_believed("\0\0\0\37#CHALLENGE#01234567890123456789", 35, true,
                     -EPROTONOSUPPORT);                                          /* as Python 3.11 */
  check_not_believed("\0\0\0\33#CHALLENGE#{sha256}01234567", 31, true, -EPROTO); /* hardly random */
  check_not_believed(challenge, sizeof challenge - 1, true, -ETIMEDOUT);         /* no verdict */
}

/* The verdict is a lie: it welcomes, but cannot prove itself. */
static void flatterers_are_not_believed(void) {
  static const char flattery[] =
      "\0\0\0\73#CHALLENGE#{sha256}0123456789012345678901234567890123456789\0\0\0\11#WELCOME#"
      "\0\0\0\50{sha256}0123456789abcdef0123456789abcdef\0\0\0\11#WELCOME#";
  check_not_believed(flattery, sizeof flattery - 1, true, -EACCES);
}

/* What one end that knows the key is asked, by another one. */
static size_t hear_challenge(int fd, char *said) {
  CHECK_EQ(thrum_read_full(fd, said, 4), 4);
  size_t size = (size_t)(unsigned char)said[3];
  CHECK_EQ(thrum_read_full(fd, said + 4, size), (ssize_t)size);
  return size + 4;
}

/* Somebody who knows no key, at whose address the same program dials twice, has it answer its own challenge. */
static void reflections_are_not_believed(void) {
  static const char first[] =
      "\0\0\0\73#CHALLENGE#{sha256}0123456789012345678901234567890123456789\0\0\0\11#WELCOME#";
  int listener = thrum_listen_unix(file_of(path)), fd[2];
  struct dialing d[2] = {{path, with_key("right"), NULL}, {path, with_key("right"), NULL}};
  thrum_thread t[2];
  char said[512];
  CHECK(listener >= 0);
  for (int i = 0; i < 2; i++) {
    t[i] = must_spawn(dial, &d[i]);
    CHECK((fd[i] = thrum_accept(listener, NULL, NULL)) >= 0);
  }
  must_write(fd[0], first, sizeof first - 1);
  hear_challenge(fd[0], said);               /* its answer to that */
  size_t size = hear_challenge(fd[0], said); /* what it asks */
  CHECK(memcmp(said + 4, "#CHALLENGE#", 11) == 0);
  must_write(fd[1], said, size);
  CHECK_EQ(must_join(t[1]), -EACCES);
  CHECK_EQ(thrum_close(fd[0]), 0);
  CHECK(must_join(t[0]) < 0);
  CHECK_EQ(thrum_close(fd[1]), 0);
  CHECK_EQ(thrum_close(listener), 0);
}

static intptr_t dial_with_patience(void *arg) {
  struct dialing *d = (struct dialing *)arg;
  return thrum_conn_dial_for(&d->conn, d->address, &d->options, THRUM_MS(10));
}

/* Who serves has it prove itself: who says nothing keeps nobody waiting. And the caller's own time. */
static void proofs_behind_the_accept(void) {
  thrum_listener *l = must_listen(path, NULL);
  thrum_conn *silent, *c;
  thrum_conn_options o = with_key("k");
  int fd = connect_plainly();
  struct dialing d = {path, o, NULL};
  thrum_thread dialer = must_spawn(dial, &d);
  CHECK_EQ(thrum_listener_accept(l, &silent), 0);
  CHECK_EQ(thrum_listener_accept(l, &c), 0);
  CHECK_EQ(thrum_conn_authenticate(c, THRUM_CONN_ACCEPTED, &o), 0);
  CHECK_EQ(must_join(dialer), 0);
  check_talk(c, d.conn);
  CHECK_EQ(thrum_conn_authenticate_for(silent, THRUM_CONN_ACCEPTED, &o, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_authenticate(silent, 3, &o), -EINVAL);
  CHECK_EQ(thrum_conn_authenticate(silent, THRUM_CONN_DIALED, NULL), -EINVAL);
  thrum_conn_close(silent);
  CHECK_EQ(thrum_close(fd), 0);
  close_both((struct ends){c, d.conn});
  CHECK_EQ(dial_with_patience(&d), -ETIMEDOUT); /* nobody asks it anything */
  thrum_listener_close(l);
}

int main(void) {
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "unix:%s/socket", folder);
  addresses();
  wrong_addresses();
  the_file_goes();
  closing_ends_accepts();
  keys();
  digests();
  weak_digests_are_refused();
  hostile_dialers();
  hostile_listeners();
  flatterers_are_not_believed();
  reflections_are_not_believed();
  proofs_behind_the_accept();
  CHECK_EQ(rmdir(folder), 0);
  return 0;
}
