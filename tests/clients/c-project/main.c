/* Fills a ring and prints its checksum. */
#include <stdio.h>
#include <stdlib.h>

#include "ring.h"

unsigned long checksum(struct ring *ring);

int main(void) {
    struct ring ring;
    const char *text = "Wikipedia";
    ring_init(&ring);
    while (*text)
        ring_push(&ring, (unsigned char)*text++);
    printf("%08lx\n", checksum(&ring));
    return EXIT_SUCCESS;
}
