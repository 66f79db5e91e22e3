/* HMACs by libcrypto, which introduce themselves to libthrum. */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <process/authenticator.h>
#include <string.h>

extern THRUM_API const struct thrumi_authenticator thrumi_auth_authenticator;

static const EVP_MD *digest_named(const char *name) {
  static const struct {
    const char *name;
    const EVP_MD *(*get)(void);
  } digests[] = {{"sha256", EVP_sha256},
                 {"sha384", EVP_sha384},
                 {"sha3_256", EVP_sha3_256},
                 {"sha3_384", EVP_sha3_384},
                 {"md5", EVP_md5}};
  for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
    if (strcmp(digests[i].name, name) == 0) return digests[i].get();
  return NULL;
}

static ssize_t mac(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
                   unsigned char out[THRUMI_MAC_MAX]) {
  _Static_assert(EVP_MAX_MD_SIZE <= THRUMI_MAC_MAX, "no room for each digest of libcrypto's");
  const EVP_MD *md = digest_named(digest);
  unsigned length = 0;
  if (!md || key_size > INT_MAX) return -EPROTONOSUPPORT;
  /* A policy may forbid it, as FIPS does MD5. */
  if (!HMAC(md, key_size ? key : "", (int)key_size, message, size, out, &length)) return -EPROTONOSUPPORT;
  return (ssize_t)length;
}

const struct thrumi_authenticator thrumi_auth_authenticator = {mac};

/* Weak: see dump/dump.c. */
#pragma weak thrumi_set_authenticator

__attribute__((constructor)) static void introduce(void) {
  if (thrumi_set_authenticator) thrumi_set_authenticator(&thrumi_auth_authenticator);
}
