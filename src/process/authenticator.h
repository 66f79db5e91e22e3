/* Who computes HMACs: libthrum-auth, by libcrypto, since libthrum needs libc alone. It registers itself when it is linked, and is loaded
 * at the first use where it is installed. */
#ifndef THRUMI_AUTHENTICATOR_H
#define THRUMI_AUTHENTICATOR_H

#include <stddef.h>
#include <sys/types.h>
#include <thrum/base.h>

enum { THRUMI_MAC_MAX = 64 };

struct thrumi_authenticator {
  /* The HMAC of a message: its length; -EPROTONOSUPPORT: this digest is not to be had here. */
  ssize_t (*mac)(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
                 unsigned char out[THRUMI_MAC_MAX]);
};

/* Exported by the shared library for libthrum-auth alone. */
THRUM_API void thrumi_set_authenticator(const struct thrumi_authenticator *authenticator);

/* What is registered; else libthrum-auth, which is looked for once; NULL: there is none. */
const struct thrumi_authenticator *thrumi_authenticator_get(void);

#endif
