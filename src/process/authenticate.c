/* The handshake on a connection. The side that was dialed asks first, so that it need say nothing about the key to whoever dials; then the other
 * one asks. What is said in it is in challenge.c. */
#include <errno.h>
#include <process/listener.h>
#include <string.h>
#include <sys/random.h>

static const thrum_duration patience_default = THRUM_S(10);

int thrumi_conn_options(thrum_conn_options *out, const thrum_conn_options *given) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  if (given && given->size != sizeof o) return -EINVAL;
  if (given) o = *given;
  if (!o.digest) o.digest = "sha256";
  if (!o.patience) o.patience = patience_default;
  const struct thrumi_digest *digest = thrumi_digest_named(o.digest, strlen(o.digest));
  bool fits = digest && (!digest->weak || o.allow_md5);
  if (!fits || o.patience < 0 || (!o.key && o.key_size)) return -EINVAL;
  if (o.key && !thrumi_authenticator_get()) return -ENOSYS;
  *out = o;
  return 0;
}

static int random_bytes(unsigned char *at, size_t size) {
  for (size_t got = 0; got < size;) {
    ssize_t n = getrandom(at + got, size - got, 0);
    if (n < 0 && errno != EINTR) return -errno;
    if (n > 0) got += (size_t)n;
  }
  return 0;
}

static int say(thrum_conn *c, const struct thrumi_said *said, thrum_time deadline) {
  return thrum_conn_send_for(c, said->bytes, said->size, thrum_left(deadline));
}

static int hear(thrum_conn *c, struct thrumi_said *said, thrum_time deadline) {
  ssize_t n = thrum_conn_recv_for(c, said->bytes, sizeof said->bytes, thrum_left(deadline));
  said->size = n > 0 ? (size_t)n : 0;
  return n >= 0 ? 0 : n == -EMSGSIZE ? -EPROTO : (int)n;
}

/* Has the other end prove itself, and tells it the verdict. */
static int ask(thrum_conn *c, int side, const thrum_conn_options *o, thrum_time deadline) {
  const struct thrumi_digest *digest = thrumi_digest_named(o->digest, strlen(o->digest));
  unsigned char nonce[THRUMI_NONCE];
  struct thrumi_said challenge, said;
  int error = random_bytes(nonce, sizeof nonce);
  if (!error && side == THRUM_CONN_DIALED) error = thrumi_nonce_mark(nonce, digest, o);
  if (error) return error;
  thrumi_challenge_make(&challenge, digest, nonce);
  error = say(c, &challenge, deadline);
  if (!error) error = hear(c, &said, deadline);
  if (error) return error;
  int proof = thrumi_challenge_verify(&challenge, o, &said);
  thrumi_verdict_make(&said, proof == 0);
  error = say(c, &said, deadline);
  return proof ? proof : error;
}

/* Proves itself to the other end. */
static int answer(thrum_conn *c, int side, const thrum_conn_options *o, thrum_time deadline) {
  struct thrumi_said challenge, said;
  int error = hear(c, &challenge, deadline);
  if (!error && side == THRUM_CONN_DIALED) error = thrumi_challenge_check(&challenge, o);
  if (!error) error = thrumi_challenge_answer(&challenge, o, &said);
  if (!error) error = say(c, &said, deadline);
  if (!error) error = hear(c, &said, deadline);
  return error ? error : thrumi_verdict_read(&said);
}

int thrumi_authenticate(thrum_conn *c, int side, const thrum_conn_options *o, thrum_time deadline) {
  bool dialed = side == THRUM_CONN_ACCEPTED;
  int error = dialed ? ask(c, side, o, deadline) : answer(c, side, o, deadline);
  if (error) return error;
  return dialed ? answer(c, side, o, deadline) : ask(c, side, o, deadline);
}

int thrum_conn_authenticate_for(thrum_conn *c, int side, const thrum_conn_options *options,
                                thrum_duration timeout) {
  thrum_conn_options o;
  bool is_side = side == THRUM_CONN_ACCEPTED || side == THRUM_CONN_DIALED;
  if (!c || !is_side || !options || !options->key) return -EINVAL;
  int error = thrumi_conn_options(&o, options);
  if (error) return error;
  return thrumi_authenticate(c, side, &o, thrum_after(timeout < o.patience ? timeout : o.patience));
}

int thrum_conn_authenticate(thrum_conn *c, int side, const thrum_conn_options *options) {
  return thrum_conn_authenticate_for(c, side, options, THRUM_FOREVER);
}
