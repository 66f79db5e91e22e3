/* A piece of a text: its size, checksum and number of words. Two pieces that follow each other make one, so a file can be
 * counted in pieces by several threads at once, in any order. A word is what stands between white space, and may lie
 * across the border of two pieces. */
#ifndef TOUR_PIECE_H
#define TOUR_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All-zero is the empty piece. */
struct piece {
  size_t size;
  size_t words;
  uint32_t crc;
  bool begins_in_word, ends_in_word;
};

struct piece piece_of(const unsigned char *data, size_t size);

/* Both as one, `next` following `whole`. */
struct piece piece_join(struct piece whole, struct piece next);

#endif
