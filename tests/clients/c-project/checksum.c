/* The Adler-32 checksum of the bytes in a ring. */
#include "ring.h"

unsigned long checksum(struct ring *ring) {
    unsigned long a = 1, b = 0;
    unsigned char byte;
    while (ring_pop(ring, &byte)) {
        a = (a + byte) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}
