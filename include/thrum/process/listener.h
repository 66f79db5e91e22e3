/* Connections between processes that are strangers to each other: who listens, who dials, and the key that both must know.
 *
 *     thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
 *     o.key = "secret", o.key_size = 6;
 *     thrum_listener *l;                                     // in one process
 *     thrum_conn *c;
 *     thrum_listener_open(&l, "unix:/run/job.sock", &o);
 *     for (int e; (e = thrum_listener_accept(l, &c)) == 0 || e == -EACCES;) if (e == 0) serve(c);
 *
 *     thrum_conn_dial(&c, "unix:/run/job.sock", &o);         // in another one
 *
 * Listener and Client of Python's multiprocessing.connection speak the same; so either may be a Python program.
 *
 * An address is "unix:/path", "unix:@name" (of Linux's abstract space), or "tcp:host:port", where an address of IPv6 stands in
 * brackets; to listen, no host means all addresses of the machine and the port 0 one that is free.
 *
 * With a key each end proves to the other that it knows the key, and tells nothing of it; both must have one, or neither. What is said
 * afterwards is neither encrypted nor signed: the key keeps strangers out, it does not protect from somebody who can read or
 * change what is under way, nor from one who listens in the place of the other end and hands the challenges on. The HMACs are computed
 * by libthrum-auth (pkg-config thrum-auth), by libcrypto: -ENOSYS where it is not.
 *
 * How the proof fails, in thrum_conn_dial and thrum_conn_authenticate:
 *     -EACCES            another key, at either end; or what was dialed passes on what another end that has dialed asked it
 *     -EPROTONOSUPPORT   the other end proposes, or uses, a digest that this one does not allow: Python up to 3.11 knows MD5 alone
 *     -EPROTO            what it says is not this protocol's, or longer than 256 bytes
 *     -EPIPE, -EBADMSG, -ECONNRESET   it has gone
 *     -ETIMEDOUT         it has been silent for longer than the options' patience
 * To thrum_listener_accept all of them are -EACCES but -EPROTONOSUPPORT, so that they are not taken for the listener's own. */
#ifndef THRUM_PROCESS_LISTENER_H
#define THRUM_PROCESS_LISTENER_H

#include <thrum/process/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero (with size set) means the defaults. */
typedef struct thrum_conn_options {
  size_t size;     /* sizeof(thrum_conn_options) */
  const void *key; /* NULL: none, nobody proves anything */
  size_t key_size; /* 0, with a key that is not NULL: an empty one, as Python may have */
  const char
      *digest;    /* what the other end is asked to use: sha256 (the default), sha384, sha3_256, sha3_384 */
  bool allow_md5; /* MD5, and so Python up to 3.11, is let in as well */
  thrum_duration patience; /* for the whole proof; 0: 10 s */
} thrum_conn_options;

#define THRUM_CONN_OPTIONS_INIT \
  { sizeof(thrum_conn_options), 0, 0, 0, false, 0 }

/* ---- Listening ---------------------------------------------------------------------------------------------------- */

typedef struct thrum_listener thrum_listener;

/* Listens. The file of a Unix socket that is left over from a process that is no more is replaced (see thrum_listen_unix); who may connect is said by
 * its permissions, and so by the umask, or by those of its folder. The options are copied, the key too; NULL: the defaults.
 * 0; -EINVAL: an address or options that cannot be; -EADDRINUSE; -ENOSYS: a key, and no libthrum-auth; -ENOMEM, and what
 * thrum_listen_tcp and thrum_listen_unix say. */
THRUM_API int thrum_listener_open(thrum_listener **out, const char *address,
                                  const thrum_conn_options *options);

/* Waits for the next one who dials, and with a key for its proof: that takes up to the options' patience, while who dials next waits.
 * Several threads may accept at the same time. Or the listener has no key, and the thread that serves the connection has it
 * prove itself first, by thrum_conn_authenticate: then nobody waits for anybody.
 * 0. -EACCES, -EPROTONOSUPPORT: whoever has dialed has not proved that it knows the key, and is disconnected; the listener is as good
 * as before. -EBADF: it is closed. -EMFILE, -ENFILE: no descriptor; see thrum_accept. */
THRUM_API int thrum_listener_accept(thrum_listener *l, thrum_conn **out);
THRUM_API THRUM_MUST_CHECK int thrum_listener_accept_for(thrum_listener *l, thrum_conn **out,
                                                         thrum_duration timeout);

/* Its descriptor, readable when somebody dials; for select and poll. And where it listens, as an address to dial (with the port that
 * was free); until it is closed. Neither switches. */
THRUM_API int thrum_listener_fd(const thrum_listener *l);
THRUM_API const char *thrum_listener_address(const thrum_listener *l);

/* Stops listening: accepts that wait are -EBADF, and none may begin. Removes the file of its Unix socket, if it is still there, but in the
 * child of a fork. NULL: nothing. May switch; no cancellation point. */
THRUM_API void thrum_listener_close(thrum_listener *l);

/* ---- Dialing ------------------------------------------------------------------------------------------------------ */

/* Connects to a listener, and with a key proves itself and has it prove itself. 0; -EINVAL; what thrum_dial_tcp and thrum_dial_unix
 * say, and what a proof that fails says. */
THRUM_API int thrum_conn_dial(thrum_conn **out, const char *address, const thrum_conn_options *options);
THRUM_API THRUM_MUST_CHECK int thrum_conn_dial_for(thrum_conn **out, const char *address,
                                                   const thrum_conn_options *options, thrum_duration timeout);

enum { THRUM_CONN_ACCEPTED = 1, THRUM_CONN_DIALED = 2 };

/* The proof alone, on a connection that is there, before anything else is said on it: as the side that was dialed, which asks first, or as
 * the one that dialed. 0, or how it failed, and then the connection is of no use any more. -EINVAL: no key. */
THRUM_API int thrum_conn_authenticate(thrum_conn *c, int side, const thrum_conn_options *options);
THRUM_API THRUM_MUST_CHECK int thrum_conn_authenticate_for(thrum_conn *c, int side,
                                                           const thrum_conn_options *options,
                                                           thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
