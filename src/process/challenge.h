/* What the two ends of a connection say to each other to prove that both know the key, as bytes: see challenge.c. Nothing here waits or
 * allocates; tests/fuzz/conn.c feeds it by itself as well. */
#ifndef THRUMI_CHALLENGE_H
#define THRUMI_CHALLENGE_H

#include <process/authenticator.h>
#include <stdbool.h>
#include <thrum/process/listener.h>

enum {
  THRUMI_HEARD_MAX = 256,   /* more than this nobody says before it has proved itself */
  THRUMI_NONCE = 40,        /* bytes of a challenge that are new each time */
  THRUMI_CHALLENGE_MAX = 80 /* bytes of one that we make */
};

struct thrumi_digest {
  char name[12];
  size_t size; /* of its HMAC */
  bool weak;   /* only where the options allow it */
};

struct thrumi_said {
  unsigned char bytes[THRUMI_HEARD_MAX];
  size_t size;
};

/* NULL: none of those that are spoken. */
const struct thrumi_digest *thrumi_digest_named(const char *name, size_t length);

/* A challenge of ours, and the part of it that the answer is the HMAC of. */
void thrumi_challenge_make(struct thrumi_said *out, const struct thrumi_digest *digest,
                           const unsigned char nonce[THRUMI_NONCE]);
const unsigned char *thrumi_challenge_message(const struct thrumi_said *challenge, size_t *size);

/* Marks the nonce of a challenge by the side that has dialed; and whether one that it hears has such a mark: 0, -EACCES. See challenge.c. */
int thrumi_nonce_mark(unsigned char nonce[THRUMI_NONCE], const struct thrumi_digest *digest,
                      const thrum_conn_options *o);
int thrumi_challenge_check(const struct thrumi_said *challenge, const thrum_conn_options *o);

/* Answers a challenge that was heard. 0. -EPROTO: it is none. -EPROTONOSUPPORT: its digest is not known, not allowed, or not to be had. */
int thrumi_challenge_answer(const struct thrumi_said *challenge, const thrum_conn_options *o,
                            struct thrumi_said *answer);

/* Whether what was heard answers our challenge. 0. -EACCES: with another key. -EPROTO: it is no answer. -EPROTONOSUPPORT as above. */
int thrumi_challenge_verify(const struct thrumi_said *challenge, const thrum_conn_options *o,
                            const struct thrumi_said *answer);

/* What is said after an answer; and whether what was heard is a welcome: 0 or -EACCES. */
void thrumi_verdict_make(struct thrumi_said *out, bool welcome);
int thrumi_verdict_read(const struct thrumi_said *verdict);

#endif
