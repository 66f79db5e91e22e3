/* What comes over a connection: streams of whatever bytes, in whatever pieces, beside a simple reader of them; heads; and what is
 * said in the handshake: nothing but the right answer is believed, and no word runs over its room. */
#include "fuzz.h"

#include <process/challenge.h>
#include <process/wire.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thrum.h>
#include <unistd.h>

enum { LONGEST = 600, ROOM = 700 };

/* ---- Streams ------------------------------------------------------------------------------------------------------ */

/* What has been sent, and how far it has been received. */
struct model {
  uint8_t sent[LONGEST];
  size_t size, at;
  bool ended;
  int dead; /* what each further receive says; 0: none does */
};

static int die(struct model *m, int error) { return m->dead = error; }

/* The length of the next message, and where it begins; or an error. */
static int64_t next_of(struct model *m, size_t *begins) {
  const uint8_t *p = m->sent + m->at;
  size_t left = m->size - m->at, head = 4;
  if (m->dead) return m->dead;
  if (left >= 4 && memcmp(p, "\377\377\377\377", 4) == 0) head = 12;
  if (left < head) return !m->ended ? -ETIMEDOUT : left == 0 ? -EPIPE : die(m, -EBADMSG);
  uint64_t size = 0;
  for (size_t i = head == 12 ? 4 : 0; i < head; i++) size = size << 8 | p[i];
  if (head == 4 ? size >> 31 : size >> 63) return die(m, -EPROTO);
  *begins = m->at + head;
  return (int64_t)size;
}

/* What a receive of that message says that has room for it. */
static int64_t body_of(struct model *m, int64_t size, size_t begins) {
  if ((uint64_t)size > m->size - begins) return m->ended ? die(m, -EBADMSG) : -ETIMEDOUT;
  m->at = begins + (size_t)size;
  return size;
}

static void receive_into(thrum_conn *c, struct model *m, size_t room) {
  uint8_t bytes[ROOM];
  size_t begins = 0;
  int64_t expected = next_of(m, &begins);
  if (expected >= 0) expected = (uint64_t)expected > room ? -EMSGSIZE : body_of(m, expected, begins);
  ssize_t n = thrum_conn_recv_for(c, bytes, room, 0);
  CHECK_EQ(n, expected);
  if (n >= 0) CHECK(memcmp(bytes, m->sent + begins, (size_t)n) == 0);
}

static void receive_new(thrum_conn *c, struct model *m, size_t limit) {
  void *data;
  size_t size, begins = 0;
  int64_t expected = next_of(m, &begins);
  bool refused = expected >= 0 && (uint64_t)expected > limit;
  if (refused) die(m, -ECONNABORTED);
  if (expected >= 0) expected = refused ? -EMSGSIZE : body_of(m, expected, begins);
  int error = thrum_conn_recv_new_for(c, &data, &size, limit, 0);
  CHECK_EQ(error < 0 ? error : (int64_t)size, expected);
  if (error) return;
  CHECK(memcmp(data, m->sent + begins, size) == 0);
  free(data);
}

/* Heads of short messages more often than chance would have them. */
static uint8_t byte_of(struct decisions *d) {
  uint8_t x = decide(d);
  return x < 100 ? 0 : x < 130 ? 255 : x < 200 ? x & 7 : x;
}

static void send_piece(int fd, struct decisions *d, struct model *m) {
  size_t from = m->size, n = decide(d) % 24;
  for (; n && m->size < LONGEST; n--) m->sent[m->size++] = byte_of(d);
  ssize_t sent = send(fd, m->sent + from, m->size - from, MSG_NOSIGNAL | MSG_DONTWAIT);
  CHECK(sent == (ssize_t)(m->size - from) ||
        m->dead); /* a connection that has given up says so to the other end */
}

static void receive_streams(struct decisions *d) {
  static struct model m;
  memset(&m, 0, sizeof m);
  thrum_conn *c;
  int fd[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
  CHECK_EQ(thrum_conn_open(&c, fd[0], THRUM_CONN_BOTH), 0);
  while (any_left(d)) {
    uint8_t what = decide(d);
    if (what % 4 == 0) {
      receive_new(c, &m, what & 4 ? (size_t)-1 : what);
    } else if (what % 4 == 1) {
      receive_into(c, &m, what & 4 ? ROOM : what / 8u);
    } else {
      send_piece(fd[1], d, &m);
    }
  }
  CHECK_EQ(close(fd[1]), 0);
  m.ended = true;
  while (!m.dead && m.at < m.size) receive_into(c, &m, ROOM), receive_new(c, &m, (size_t)-1);
  receive_into(c, &m, ROOM);
  thrum_conn_close(c);
}

/* ---- Heads -------------------------------------------------------------------------------------------------------- */

static void heads(struct decisions *d) {
  unsigned char head[THRUMI_HEAD_LONG];
  uint64_t size = (decide_u64(d) >> decide(d) % 64) & INT64_MAX, back;
  size_t length = thrumi_wire_head(head, size);
  CHECK_EQ(length, size > 0x7fffffff ? 12 : 4);
  for (size_t have = 0; have < 4; have++) CHECK_EQ(thrumi_wire_wants(head, have), 4);
  CHECK_EQ(thrumi_wire_wants(head, 4), length);
  CHECK_EQ(thrumi_wire_size(head, &back), 0);
  CHECK(back == size);
}

/* ---- The handshake ------------------------------------------------------------------------------------------------ */

static const size_t mac_sizes[] = {32, 48, 32, 48, 16};
static const char *const mac_names[] = {"sha256", "sha384", "sha3_256", "sha3_384", "md5"};

/* Not an HMAC, but of the right length, and another one for another message, name or key. */
static ssize_t toy_mac(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
                       unsigned char out[THRUMI_MAC_MAX]) {
  size_t which = 0;
  while (strcmp(mac_names[which], digest) != 0) CHECK(++which < 5);
  uint64_t state = which + 1;
  for (size_t i = 0; i < key_size; i++) state = (state ^ ((const uint8_t *)key)[i]) * UINT64_C(0x100000001b3);
  for (size_t i = 0; i < size; i++) state = (state ^ ((const uint8_t *)message)[i]) * UINT64_C(0x100000001b3);
  for (size_t i = 0; i < mac_sizes[which]; i++) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    out[i] = (unsigned char)(state >> 56);
  }
  return (ssize_t)mac_sizes[which];
}

static void hear_anything(struct decisions *d, struct thrumi_said *said) {
  static const char *const words[] = {"#CHALLENGE#", "{sha256}",  "{md5}", "{sha3_384}",
                                      "#WELCOME#",   "#FAILURE#", "{",     "}"};
  size_t size = (decide(d) * 2u) % sizeof said->bytes;
  said->size = 0;
  while (said->size < size) {
    uint8_t what = decide(d);
    const char *word = words[what % 8];
    if (what < 100 && said->size + strlen(word) <= sizeof said->bytes) {
      memcpy(said->bytes + said->size, word, strlen(word));
      said->size += strlen(word);
    } else {
      said->bytes[said->size++] = what;
    }
    if (!any_left(d)) break;
  }
}

static bool is_told(int error) { return error == -EPROTO || error == -EPROTONOSUPPORT || error == -EACCES; }

static void handshakes(struct decisions *d) {
  static const struct thrumi_authenticator toy = {toy_mac};
  thrumi_set_authenticator(&toy);
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  struct thrumi_said challenge, answer, said;
  unsigned char nonce[THRUMI_NONCE];
  size_t which = decide(d) % 5;
  o.key = "key", o.key_size = decide(d) % 4;
  o.allow_md5 = decide(d) & 1;
  hear_anything(d, &said);
  int error = thrumi_challenge_answer(&said, &o, &answer);
  CHECK(error == 0 || is_told(error));
  CHECK(error || answer.size == 16 || memchr(answer.bytes, '}', 10));
  CHECK(error || o.allow_md5 || answer.size > 16 + 5);
  for (size_t i = 0; i < sizeof nonce; i++) nonce[i] = decide(d);
  thrumi_challenge_make(&challenge, thrumi_digest_named(mac_names[which], strlen(mac_names[which])), nonce);
  error = thrumi_challenge_answer(&challenge, &o, &answer);
  CHECK_EQ(error, which == 4 && !o.allow_md5 ? -EPROTONOSUPPORT : 0);
  if (error) return;
  CHECK_EQ(thrumi_challenge_verify(&challenge, &o, &answer), 0);
  CHECK(is_told(thrumi_challenge_verify(&challenge, &o, &said)) || said.size == answer.size);
  said = answer; /* one bit of it is another one, or it is shorter */
  uint64_t bit = decide_u64(d) % (said.size * 8);
  said.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
  CHECK(is_told(thrumi_challenge_verify(&challenge, &o, &said)));
  said = answer;
  said.size = decide(d) % answer.size;
  CHECK(is_told(thrumi_challenge_verify(&challenge, &o, &said)));
  challenge.bytes[11 + bit % (challenge.size - 11)] ^= 1; /* somebody has changed what was asked */
  CHECK(is_told(thrumi_challenge_verify(&challenge, &o, &answer)));
}

static void verdicts(struct decisions *d) {
  struct thrumi_said said;
  thrumi_verdict_make(&said, true);
  CHECK_EQ(thrumi_verdict_read(&said), 0);
  said.bytes[decide(d) % said.size] ^= 4;
  CHECK_EQ(thrumi_verdict_read(&said), -EACCES);
  thrumi_verdict_make(&said, false);
  CHECK_EQ(thrumi_verdict_read(&said), -EACCES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions d = {data, data + size};
  uint8_t part = decide(&d);
  if (part % 4 < 2)
    receive_streams(&d);
  else if (part % 4 == 2)
    handshakes(&d);
  else
    heads(&d), verdicts(&d);
  return 0;
}
