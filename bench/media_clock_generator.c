/* The callers of bench/media_clock.py: sends 50 packets a second to each port, in staggered phases, and measures the
 * gaps between the packets that come back, by the kernel's receive timestamps.
 *
 * media_clock_generator OWN_PORT SECONDS SOUND_FILE PAYLOAD_TYPE CLOCK_STEP < ports, one a line; prints one line of JSON.
 * SOUND_FILE holds a payload for each 20 ms, its length before it in two bytes, big end first.
 * Packets back are told apart by the SSRC, which is learned in order of arrival. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MOST 4096
#define PHASES 20
#define BATCH 64
#define HASH 16384
#define MOST_FRAMES 100000
#define LARGEST 1300

static struct sockaddr_in to[MOST];
static uint32_t ssrc_of[HASH];
static int index_of[HASH];
static int64_t last_ns[MOST];
static uint16_t last_sequence[MOST];
static int64_t received[MOST];
static int calls, known;
static int64_t lost, unordered;
static int32_t *gaps;
static int64_t gap_count, gap_room;
static int64_t count_from_ns;
static uint8_t *frame_at[MOST_FRAMES];

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int call_of(uint32_t ssrc) {
    uint32_t at = (ssrc * 2654435761u) % HASH;
    while (index_of[at] >= 0 && ssrc_of[at] != ssrc) at = (at + 1) % HASH;
    if (index_of[at] < 0) {
        if (known == MOST) return -1;
        ssrc_of[at] = ssrc;
        index_of[at] = known++;
    }
    return index_of[at];
}

static void take(const uint8_t *packet, int size, int64_t at_ns) {
    if (size < 12) return;
    uint32_t ssrc;
    uint16_t sequence;
    memcpy(&ssrc, packet + 8, 4);
    memcpy(&sequence, packet + 2, 2);
    sequence = ntohs(sequence);
    int call = call_of(ssrc);
    if (call < 0) return;
    if (received[call]++ && at_ns >= count_from_ns) {
        int16_t step = (int16_t)(sequence - last_sequence[call]);
        if (step < 1) unordered++;
        else lost += step - 1;
        if (gap_count < gap_room) gaps[gap_count++] = (int32_t)((at_ns - last_ns[call]) / 1000);
    }
    last_sequence[call] = sequence;
    last_ns[call] = at_ns;
}

static void drain(int fd) {
    static uint8_t data[BATCH][2048];
    static uint8_t control[BATCH][128];
    static struct iovec io[BATCH];
    static struct mmsghdr heads[BATCH];
    for (;;) {
        for (int k = 0; k < BATCH; k++) {
            io[k] = (struct iovec){data[k], sizeof data[k]};
            memset(&heads[k], 0, sizeof heads[k]);
            heads[k].msg_hdr.msg_iov = &io[k];
            heads[k].msg_hdr.msg_iovlen = 1;
            heads[k].msg_hdr.msg_control = control[k];
            heads[k].msg_hdr.msg_controllen = sizeof control[k];
        }
        int n = recvmmsg(fd, heads, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0) return;
        for (int k = 0; k < n; k++) {
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&heads[k].msg_hdr); c; c = CMSG_NXTHDR(&heads[k].msg_hdr, c)) {
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
                    struct timespec t;
                    memcpy(&t, CMSG_DATA(c), sizeof t);
                    take(data[k], (int)heads[k].msg_len, t.tv_sec * 1000000000LL + t.tv_nsec);
                }
            }
        }
        if (n < BATCH) return;
    }
}

static int by_size(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(double share) {
    return gap_count ? gaps[(int64_t)(share * (gap_count - 1))] / 1000.0 : 0;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int own_port = atoi(argv[1]);
    int seconds = atoi(argv[2]);
    int payload_type = atoi(argv[4]);
    uint32_t clock_step = atoi(argv[5]);
    FILE *file = fopen(argv[3], "rb");
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    long sound_size = ftell(file);
    rewind(file);
    uint8_t *sound = malloc(sound_size);
    if (fread(sound, 1, sound_size, file) != (size_t)sound_size) return 2;
    fclose(file);
    int64_t frames = 0;
    for (long at = 0; at + 2 <= sound_size && frames < MOST_FRAMES; at += 2 + (sound[at] << 8 | sound[at + 1]))
        frame_at[frames++] = sound + at;
    if (!frames) return 2;

    int port;
    while (calls < MOST && scanf("%d", &port) == 1) {
        to[calls].sin_family = AF_INET;
        to[calls].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to[calls++].sin_port = htons(port);
    }
    memset(index_of, -1, sizeof index_of);
    gap_room = (int64_t)calls * (seconds + 2) * 51;
    gaps = malloc(gap_room * sizeof *gaps);

    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, large = 1 << 24;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(own_port)};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&own, sizeof own)) return 3;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);

    count_from_ns = now_ns(CLOCK_REALTIME) + 2000000000LL;
    int64_t start = now_ns(CLOCK_MONOTONIC), sent = 0, unsent = 0;
    for (int64_t step = 0; step < (int64_t)(seconds + 2) * 1000; step++) {
        int64_t at = start + step * 1000000;
        struct timespec t = {at / 1000000000, at % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        uint32_t frame = step / PHASES;
        for (int call = step % PHASES; call < calls; call += PHASES) {
            uint8_t packet[12 + LARGEST] = {0x80, payload_type};
            const uint8_t *payload = frame_at[(frame + call * 37) % frames];
            int size = payload[0] << 8 | payload[1];
            if (size > LARGEST) size = LARGEST;
            uint16_t sequence = htons((uint16_t)frame);
            uint32_t timestamp = htonl(frame * clock_step), ssrc = htonl(call + 1);
            memcpy(packet + 2, &sequence, 2);
            memcpy(packet + 4, &timestamp, 4);
            memcpy(packet + 8, &ssrc, 4);
            memcpy(packet + 12, payload + 2, size);
            if (sendto(fd, packet, 12 + size, 0, (struct sockaddr *)&to[call], sizeof to[call]) == 12 + size)
                sent++;
            else
                unsent++;
        }
        drain(fd);
    }
    qsort(gaps, gap_count, sizeof *gaps, by_size);
    int64_t total = 0;
    for (int k = 0; k < known; k++) total += received[k];
    printf("{\"calls_heard\": %d, \"sent\": %lld, \"unsent\": %lld, \"received\": %lld, \"lost\": %lld, \"unordered\": %lld, "
           "\"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f}\n",
           known, (long long)sent, (long long)unsent, (long long)total, (long long)lost, (long long)unordered,
           percentile(0.5), percentile(0.99), percentile(0.999), percentile(1.0));
    return 0;
}
