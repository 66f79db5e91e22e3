/* The words of the handshake, as Python's multiprocessing.connection speaks it:
 *
 *     challenger                                    answerer
 *     "#CHALLENGE#" "{sha256}" and 40 random bytes
 *                                                   "{sha256}" and the HMAC of all behind "#CHALLENGE#"
 *     "#WELCOME#", or "#FAILURE#"
 *
 * The HMAC covers the name of the digest that was asked for. Who answers may choose another one of those that are spoken; if somebody in
 * between changes what was asked for, the HMAC is not that of what was asked.
 *
 * Python up to 3.11 knows only HMAC-MD5: its challenge is 20 bytes without a name, its answer the 16 bytes of the HMAC alone, to
 * whatever challenge. These forms, and "{md5}", are refused unless the options allow them. So an attacker who strips the name
 * off a challenge, or answers in the old form, gets nothing from an end that does not.
 *
 * Who can have the same challenge answered by another end that knows the key needs no key. Nobody tells ends apart who both know it; but of
 * those who have dialed, one needs no answer of another: each expects to hear challenges of who was dialed. So the last 16 bytes of the nonce
 * of who has dialed are an HMAC of the others, with the key, by which another one that has dialed (of this process or any other)
 * knows such a challenge, and refuses it. To Python they are as random as the rest. Who was dialed answers nobody who has not proved
 * himself, and marks nothing: his challenge is the first thing said, and is to say nothing about the key.
 *
 * HMACs are compared in a time that does not depend on where they differ. */
#include <process/challenge.h>
#include <string.h>

enum { OLD_CHALLENGE = 20, OLD_ANSWER = 16 };

static const char challenge_word[] = "#CHALLENGE#", welcome_word[] = "#WELCOME#",
                  failure_word[] = "#FAILURE#";
enum { CHALLENGE_WORD = sizeof challenge_word - 1 };

/* No challenge begins so: none can be answered by a mark, and no answer is one. */
static const char mark_word[] = "thrum: asked by who has dialed: ";
enum { MARK_WORD = sizeof mark_word - 1, MARK = 16, UNMARKED = THRUMI_NONCE - MARK };

static const struct thrumi_digest digests[] = {{"sha256", 32, false},
                                               {"sha384", 48, false},
                                               {"sha3_256", 32, false},
                                               {"sha3_384", 48, false},
                                               {"md5", 16, true}};
enum { DIGESTS = sizeof digests / sizeof *digests };

const struct thrumi_digest *thrumi_digest_named(const char *name, size_t length) {
  for (int i = 0; i < DIGESTS; i++)
    if (strlen(digests[i].name) == length && memcmp(digests[i].name, name, length) == 0) return &digests[i];
  return NULL;
}

static void say(struct thrumi_said *out, const void *bytes, size_t size) {
  memcpy(out->bytes + out->size, bytes, size);
  out->size += size;
}

static void say_digest(struct thrumi_said *out, const struct thrumi_digest *digest) {
  say(out, "{", 1);
  say(out, digest->name, strlen(digest->name));
  say(out, "}", 1);
}

/* The digest that is named in front, and how long that is. NULL: none that is spoken. */
static const struct thrumi_digest *named_in_front(const unsigned char *at, size_t size, size_t *length) {
  enum { LONGEST = sizeof digests->name + 2 };
  if (size == 0 || at[0] != '{') return NULL;
  const unsigned char *end = memchr(at, '}', size < LONGEST ? size : LONGEST);
  if (!end) return NULL;
  *length = (size_t)(end - at) + 1;
  return thrumi_digest_named((const char *)at + 1, *length - 2);
}

static const struct thrumi_digest *old_digest(void) { return thrumi_digest_named("md5", 3); }

static bool is_allowed(const struct thrumi_digest *digest, const thrum_conn_options *o) {
  return digest && (!digest->weak || o->allow_md5);
}

static int compute(const struct thrumi_digest *digest, const thrum_conn_options *o,
                   const unsigned char *message, size_t size, unsigned char out[THRUMI_MAC_MAX]) {
  const struct thrumi_authenticator *a = thrumi_authenticator_get();
  if (!a) return -ENOSYS;
  ssize_t length = a->mac(digest->name, o->key, o->key_size, message, size, out);
  if (length < 0) return (int)length;
  return (size_t)length == digest->size ? 0 : -EPROTONOSUPPORT;
}

static bool differ(const unsigned char *a, const unsigned char *b, size_t size) {
  volatile unsigned char bits = 0;
  for (size_t i = 0; i < size; i++) bits = (unsigned char)(bits | (a[i] ^ b[i]));
  return bits;
}

/* ---- The challenge ------------------------------------------------------------------------------------------------ */

void thrumi_challenge_make(struct thrumi_said *out, const struct thrumi_digest *digest,
                           const unsigned char nonce[THRUMI_NONCE]) {
  out->size = 0;
  say(out, challenge_word, CHALLENGE_WORD);
  say_digest(out, digest);
  say(out, nonce, THRUMI_NONCE);
}

const unsigned char *thrumi_challenge_message(const struct thrumi_said *challenge, size_t *size) {
  *size = challenge->size - CHALLENGE_WORD;
  return challenge->bytes + CHALLENGE_WORD;
}

static int compute_mark(const unsigned char nonce[THRUMI_NONCE], const struct thrumi_digest *digest,
                        const thrum_conn_options *o, unsigned char mac[THRUMI_MAC_MAX]) {
  unsigned char text[MARK_WORD + UNMARKED];
  memcpy(text, mark_word, MARK_WORD);
  memcpy(text + MARK_WORD, nonce, UNMARKED);
  return compute(digest, o, text, sizeof text, mac);
}

int thrumi_nonce_mark(unsigned char nonce[THRUMI_NONCE], const struct thrumi_digest *digest,
                      const thrum_conn_options *o) {
  unsigned char mac[THRUMI_MAC_MAX];
  int error = compute_mark(nonce, digest, o, mac);
  if (!error) memcpy(nonce + UNMARKED, mac, MARK);
  return error;
}

/* What is no challenge of the kind that we make has no mark: whether it is answered is said elsewhere. */
int thrumi_challenge_check(const struct thrumi_said *challenge, const thrum_conn_options *o) {
  unsigned char mac[THRUMI_MAC_MAX];
  if (challenge->size < CHALLENGE_WORD) return 0;
  size_t size, length = 0;
  const unsigned char *message = thrumi_challenge_message(challenge, &size);
  const struct thrumi_digest *digest = named_in_front(message, size, &length);
  if (!digest || size - length != THRUMI_NONCE) return 0;
  const unsigned char *nonce = message + length;
  int error = compute_mark(nonce, digest, o, mac);
  if (error) return error;
  return differ(mac, nonce + UNMARKED, MARK) ? 0 : -EACCES;
}

/* ---- The answer --------------------------------------------------------------------------------------------------- */

int thrumi_challenge_answer(const struct thrumi_said *challenge, const thrum_conn_options *o,
                            struct thrumi_said *answer) {
  if (challenge->size < CHALLENGE_WORD || memcmp(challenge->bytes, challenge_word, CHALLENGE_WORD) != 0)
    return -EPROTO;
  size_t size, length = 0;
  const unsigned char *message = thrumi_challenge_message(challenge, &size);
  bool old = size == OLD_CHALLENGE;
  const struct thrumi_digest *digest = old ? old_digest() : named_in_front(message, size, &length);
  /* So short a one need not be new each time. */
  if (!old && digest && size - length < OLD_CHALLENGE) return -EPROTO;
  if (!is_allowed(digest, o)) return -EPROTONOSUPPORT;
  unsigned char mac[THRUMI_MAC_MAX];
  int error = compute(digest, o, message, size, mac);
  answer->size = 0;
  if (!old) say_digest(answer, digest);
  if (!error) say(answer, mac, digest->size);
  return error;
}

int thrumi_challenge_verify(const struct thrumi_said *challenge, const thrum_conn_options *o,
                            const struct thrumi_said *answer) {
  size_t size, length = 0;
  const unsigned char *message = thrumi_challenge_message(challenge, &size);
  bool old = answer->size == OLD_ANSWER;
  const struct thrumi_digest *digest =
      old ? old_digest() : named_in_front(answer->bytes, answer->size, &length);
  if (!is_allowed(digest, o)) return -EPROTONOSUPPORT;
  if (answer->size - length != digest->size) return -EPROTO;
  unsigned char mac[THRUMI_MAC_MAX];
  int error = compute(digest, o, message, size, mac);
  if (error) return error;
  return differ(mac, answer->bytes + length, digest->size) ? -EACCES : 0;
}

/* ---- The verdict -------------------------------------------------------------------------------------------------- */

void thrumi_verdict_make(struct thrumi_said *out, bool welcome) {
  const char *word = welcome ? welcome_word : failure_word;
  out->size = 0;
  say(out, word, strlen(word));
}

int thrumi_verdict_read(const struct thrumi_said *verdict) {
  bool welcome =
      verdict->size == sizeof welcome_word - 1 && memcmp(verdict->bytes, welcome_word, verdict->size) == 0;
  return welcome ? 0 : -EACCES;
}
