/* A ring of bytes. */
#include "ring.h"

#include <string.h>

void ring_init(struct ring *ring) {
    memset(ring, 0, sizeof *ring);
}

int ring_push(struct ring *ring, unsigned char byte) {
    if (ring->length == RING_SIZE)
        return 0;
    ring->bytes[(ring->head + ring->length++) % RING_SIZE] = byte;
    return 1;
}

int ring_pop(struct ring *ring, unsigned char *byte) {
    if (ring->length == 0)
        return 0;
    *byte = ring->bytes[ring->head];
    ring->head = (ring->head + 1) % RING_SIZE;
    ring->length--;
    return 1;
}
