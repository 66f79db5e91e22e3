/* Listeners, and dialing them. A listener owns its descriptor as a connection does (owned.h). Who accepts holds a reference to the end, since the
 * proof needs the key, but the descriptor only until somebody has dialed: so a close does not wait for a proof. */
#define _GNU_SOURCE
#include <core/parking.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <os/os.h>
#include <process/listener.h>
#include <process/owned.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <thrum/io/file.h>
#include <thrum/io/net.h>
#include <thrum/io/socket.h>
#include <unistd.h>

struct thrum_listener {
  struct thrumi_owned owned;  /* first */
  thrum_conn_options options; /* `key` is a copy, `digest` one of ours */
  char *address;
  struct stat file; /* of its Unix socket; st_ino 0: it has none */
  uint32_t forks;   /* thrumi_forks when it was opened: in the child of a fork the file is the parent's */
};

/* ---- Addresses ---------------------------------------------------------------------------------------------------- */

enum { ADDRESS_MAX = 300 }; /* a host's name has 253 bytes, the path of a Unix socket 107 */

struct place {
  char text[ADDRESS_MAX];
  const char *path;        /* of a Unix socket; else NULL, and */
  const char *host, *port; /* of TCP; a host of NULL: none */
};

static int parse_tcp(struct place *out, char *rest) {
  char *colon = strrchr(rest, ':');
  if (!colon) return -EINVAL;
  *colon = 0;
  out->port = colon + 1;
  size_t length = strlen(rest);
  bool brackets = length >= 2 && rest[0] == '[' && rest[length - 1] == ']';
  if (brackets) rest[length - 1] = 0, rest++;
  if (!brackets && strchr(rest, ':')) return -EINVAL; /* where does the port begin? */
  out->host = *rest ? rest : NULL;
  return 0;
}

static int parse(struct place *out, const char *address) {
  *out = (struct place){{0}, NULL, NULL, NULL};
  if (!address) return -EINVAL;
  if (strlen(address) >= sizeof out->text) return -ENAMETOOLONG;
  strcpy(out->text, address);
  if (strncmp(address, "tcp:", 4) == 0) return parse_tcp(out, out->text + 4);
  if (strncmp(address, "unix:", 5) != 0) return -EINVAL;
  out->path = out->text + 5;
  return *out->path ? 0 : -EINVAL;
}

/* ---- Opening ------------------------------------------------------------------------------------------------------ */

static void free_listener(struct thrumi_owned *o) {
  thrum_listener *l = (thrum_listener *)o;
  void *key = (void *)(uintptr_t)l->options.key;
  if (key) {
    explicit_bzero(key, l->options.key_size);
    thrumi_os.free(key);
  }
  if (l->address) thrumi_os.free(l->address);
  thrumi_os.free(l);
}

static void mend(struct thrumi_owned *o) { (void)o; }

static const struct thrumi_owner owner = {mend, free_listener};

static int copy_key(thrum_conn_options *o) {
  if (!o->key) return 0;
  void *copy = thrumi_os.allocate(o->key_size + 1);
  if (!copy) return -ENOMEM;
  memcpy(copy, o->key, o->key_size);
  o->key = copy;
  return 0;
}

/* As given, but for the port that was free. */
static int tell_address(thrum_listener *l, const struct place *at, const char *address) {
  size_t room = strlen(address) + 16;
  l->address = thrumi_os.allocate(room);
  if (!l->address) return -ENOMEM;
  int before = (int)(at->port ? at->port - at->text : (long)strlen(address));
  snprintf(l->address, room, "%.*s", before, address);
  if (at->port) snprintf(l->address + before, room - (size_t)before, "%d", thrum_local_port(l->owned.fd));
  return 0;
}

/* Whose file is at its path. */
static void note_file(thrum_listener *l, const struct place *at) {
  bool has_file = at->path && at->path[0] != '@';
  if (!has_file || lstat(at->path, &l->file) != 0) l->file.st_ino = 0;
  l->forks = thrumi_forks;
}

static int start_listening(thrum_listener *l, const struct place *at, const char *address) {
  int error = copy_key(&l->options);
  int fd = error ? error : at->path ? thrum_listen_unix(at->path) : thrum_listen_tcp(at->host, at->port);
  if (fd < 0) {
    free_listener(&l->owned);
    return fd;
  }
  thrumi_owned_make(&l->owned, fd, &owner);
  note_file(l, at);
  error = tell_address(l, at, address);
  if (error) thrum_listener_close(l);
  return error;
}

int thrum_listener_open(thrum_listener **out, const char *address, const thrum_conn_options *options) {
  struct place at;
  thrum_conn_options o;
  if (!out) return -EINVAL;
  int error = parse(&at, address);
  if (!error) error = thrumi_conn_options(&o, options);
  if (error) return error;
  thrum_listener *l = thrumi_os.allocate(sizeof *l);
  if (!l) return -ENOMEM;
  o.digest = thrumi_digest_named(o.digest, strlen(o.digest))->name;
  l->options = o;
  error = start_listening(l, &at, address);
  if (!error) *out = l;
  return error;
}

int thrum_listener_fd(const thrum_listener *l) { return l ? l->owned.fd : -EINVAL; }
const char *thrum_listener_address(const thrum_listener *l) { return l ? l->address : NULL; }

/* ---- Closing ------------------------------------------------------------------------------------------------------ */

/* While it still listens: who finds a file that nobody listens at may replace it, and then it is not ours. */
static void remove_file(const thrum_listener *l) {
  struct stat now;
  if (!l->file.st_ino || l->forks != thrumi_forks) return;
  const char *path = l->address + strlen("unix:");
  bool ours = lstat(path, &now) == 0 && now.st_ino == l->file.st_ino && now.st_dev == l->file.st_dev;
  if (ours) unlink(path);
}

void thrum_listener_close(thrum_listener *l) {
  if (!l) return;
  if (l->address) remove_file(l);
  thrumi_owned_shutdown(&l->owned);
  thrumi_owned_drop(&l->owned);
}

/* ---- Connections -------------------------------------------------------------------------------------------------- */

/* In blocking mode, as whoever gets it by thrum_conn_send_fd expects. */
static int make_conn(thrum_conn **out, int fd) {
  int flags = fcntl(fd, F_GETFL), one = 1;
  if (flags >= 0) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* which a Unix socket does not have */
  int error = thrum_conn_open(out, fd, THRUM_CONN_BOTH);
  if (error) thrum_close(fd);
  return error;
}

static int prove(thrum_conn *c, int side, const thrum_conn_options *o, thrum_time deadline) {
  thrum_time patience = thrum_after(o->patience);
  return o->key ? thrumi_authenticate(c, side, o, deadline < patience ? deadline : patience) : 0;
}

static int conclude(thrum_conn **out, thrum_conn *c, int error) {
  if (error)
    thrum_conn_close(c);
  else
    *out = c;
  return error;
}

/* Why there is no connection: what is the caller's own affair, and what is that of who has dialed. */
static int told_to_acceptor(int error, thrum_time deadline) {
  bool own = error == -ECANCELED || error == -ENOMEM || error == -ENOSYS;
  if (error == -ETIMEDOUT) own = thrum_left(deadline) <= 0;
  return !error || own || error == -EPROTONOSUPPORT ? error : -EACCES;
}

int thrum_listener_accept_for(thrum_listener *l, thrum_conn **out, thrum_duration timeout) {
  struct thrumi_descriptor *d;
  thrum_conn *c;
  if (!l || !out) return -EINVAL;
  int error = thrumi_owned_hold(&l->owned, &d);
  if (error) return error;
  thrum_time deadline = thrum_after(timeout);
  int fd = thrum_accept_for(l->owned.fd, NULL, NULL, timeout);
  thrumi_descriptor_end(d);
  error = fd < 0 ? fd : make_conn(&c, fd);
  if (!error) {
    int proof = prove(c, THRUM_CONN_ACCEPTED, &l->options, deadline);
    error = conclude(out, c, told_to_acceptor(proof, deadline));
  }
  thrumi_owned_drop(&l->owned);
  return error;
}

int thrum_listener_accept(thrum_listener *l, thrum_conn **out) {
  return thrum_listener_accept_for(l, out, THRUM_FOREVER);
}

int thrum_conn_dial_for(thrum_conn **out, const char *address, const thrum_conn_options *options,
                        thrum_duration timeout) {
  struct place at;
  thrum_conn_options o;
  thrum_conn *c;
  if (!out) return -EINVAL;
  int error = parse(&at, address);
  if (!error) error = thrumi_conn_options(&o, options);
  if (error) return error;
  thrum_time deadline = thrum_after(timeout);
  int fd = at.path ? thrum_dial_unix_for(at.path, timeout) : thrum_dial_tcp_for(at.host, at.port, timeout);
  error = fd < 0 ? fd : make_conn(&c, fd);
  return error ? error : conclude(out, c, prove(c, THRUM_CONN_DIALED, &o, deadline));
}

int thrum_conn_dial(thrum_conn **out, const char *address, const thrum_conn_options *options) {
  return thrum_conn_dial_for(out, address, options, THRUM_FOREVER);
}
