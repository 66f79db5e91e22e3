/* libthrum-dump introduces itself to libthrum. */
#include <dump/dump.h>

const struct thrumi_backtracer thrumi_dump_backtracer = {thrumi_dump_walk, thrumi_dump_describe};

/* Weak: this library does not bring a libthrum along, which would be a second one in a program that holds its own
 * statically. There the loader finds nothing here, and libthrum takes the table by name. */
#pragma weak thrumi_set_backtracer

__attribute__((constructor)) static void introduce(void) {
  if (thrumi_set_backtracer) thrumi_set_backtracer(&thrumi_dump_backtracer);
}
