/* libzmq's CURVE, one way: what this project's secured mode is compared with.
 *
 * Speaks the lines of src/session.rs. Built by src/contender/libzmq.rs against the libzmq that pyzmq brings along, which has
 * no header; so what is used of its interface (stable since 4.0) is declared here.
 *
 * Arguments: version | sink KIND SIZE WARMUP COUNT | source KIND SIZE WARMUP COUNT "ENDPOINT KEY"
 * KIND: dealer (to a router, two frames a message as a ZRE whisper has), push (to a pull, one frame: the least libzmq can do).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void zmq_version(int *major, int *minor, int *patch);
int zmq_has(const char *capability);
void *zmq_ctx_new(void);
void *zmq_socket(void *context, int type);
int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
int zmq_getsockopt(void *socket, int option, void *value, size_t *size);
int zmq_bind(void *socket, const char *endpoint);
int zmq_connect(void *socket, const char *endpoint);
int zmq_send(void *socket, const void *bytes, size_t size, int flags);
int zmq_recv(void *socket, void *bytes, size_t size, int flags);
int zmq_curve_keypair(char *public_key, char *secret_key);
const char *zmq_strerror(int error);
int zmq_errno(void);

enum { DEALER = 5, ROUTER = 6, PULL = 7, PUSH = 8 };
enum { SNDHWM = 23, RCVHWM = 24, RCVMORE = 13, LAST_ENDPOINT = 32 };
enum { CURVE_SERVER = 47, CURVE_PUBLICKEY = 48, CURVE_SECRETKEY = 49, CURVE_SERVERKEY = 50 };
enum { SNDMORE = 2, RING = 256, WAITING = 10000 };

static char header[] = "header";
static double cpu_at_start = -1, cpu_at_result = -1;

static void fail(const char *what) {
    printf("{\"error\":\"libzmq: %s: %s\"}\n", what, zmq_strerror(zmq_errno()));
    fflush(stdout);
    exit(1);
}

static void check(int result, const char *what) {
    if (result == -1)
        fail(what);
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Keeps everything open until the parent closes stdin, then says what this process cost. */
static void hold(void) {
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double end = cpu_at_result < 0 ? cpu() : cpu_at_result;
    printf("{\"usage\":{\"cpu\":%f,\"peak_rss_kib\":%ld}}\n", end - cpu_at_start, usage.ru_maxrss);
    fflush(stdout);
    _exit(0);
}

static void *open_socket(int type) {
    int waiting = WAITING;
    void *socket = zmq_socket(zmq_ctx_new(), type);
    if (!socket)
        fail("socket");
    check(zmq_setsockopt(socket, SNDHWM, &waiting, sizeof waiting), "SNDHWM");
    check(zmq_setsockopt(socket, RCVHWM, &waiting, sizeof waiting), "RCVHWM");
    return socket;
}

static void sink(int is_dealer, size_t size, uint64_t warmup, uint64_t count) {
    char public_key[41], secret_key[41], endpoint[256], bytes[256];
    size_t length = sizeof endpoint;
    int server = 1;
    void *socket = open_socket(is_dealer ? ROUTER : PULL);
    check(zmq_curve_keypair(public_key, secret_key), "curve_keypair");
    check(zmq_setsockopt(socket, CURVE_SERVER, &server, sizeof server), "CURVE_SERVER");
    check(zmq_setsockopt(socket, CURVE_SECRETKEY, secret_key, 41), "CURVE_SECRETKEY");
    check(zmq_bind(socket, "tcp://127.0.0.1:*"), "bind");
    check(zmq_getsockopt(socket, LAST_ENDPOINT, endpoint, &length), "LAST_ENDPOINT");
    /* The keys' alphabet has neither a quotation mark nor a backslash. */
    printf("{\"ready\":\"%s %s\"}\n", endpoint, public_key);
    fflush(stdout);

    char *message = malloc(size);
    double started_at = 0;
    for (uint64_t seen = 0; seen < warmup + count; seen++) {
        for (int frame = 0; is_dealer && frame < 2; frame++)
            check(zmq_recv(socket, bytes, sizeof bytes, 0), "recv");
        int got = zmq_recv(socket, message, size, 0);
        check(got, "recv");
        if ((size_t)got != size || (unsigned char)message[0] != seen % RING) {
            printf("{\"error\":\"message %llu has %d bytes or another number\"}\n", (unsigned long long)seen, got);
            exit(1);
        }
        if (seen + 1 == warmup) {
            started_at = now();
            cpu_at_start = cpu();
        }
    }
    double taken = now() - started_at;
    cpu_at_result = cpu();
    printf("{\"result\":{\"seconds\":%f,\"rate\":%f}}\n", taken, count / taken);
    fflush(stdout);
    hold();
}

static void source(int is_dealer, size_t size, uint64_t warmup, uint64_t count, char *address) {
    char public_key[41], secret_key[41];
    char *server_key = strchr(address, ' ');
    if (!server_key)
        exit(2);
    *server_key++ = 0;
    void *socket = open_socket(is_dealer ? DEALER : PUSH);
    check(zmq_curve_keypair(public_key, secret_key), "curve_keypair");
    check(zmq_setsockopt(socket, CURVE_PUBLICKEY, public_key, 41), "CURVE_PUBLICKEY");
    check(zmq_setsockopt(socket, CURVE_SECRETKEY, secret_key, 41), "CURVE_SECRETKEY");
    check(zmq_setsockopt(socket, CURVE_SERVERKEY, server_key, 41), "CURVE_SERVERKEY");
    check(zmq_connect(socket, address), "connect");
    char *ring = malloc(RING * size);
    memset(ring, 0x5a, RING * size);
    for (int number = 0; number < RING; number++)
        ring[number * size] = (char)number;
    for (uint64_t number = 0; number < warmup + count; number++) {
        if (number == warmup)
            cpu_at_start = cpu();
        if (is_dealer)
            check(zmq_send(socket, header, sizeof header - 1, SNDMORE), "send");
        check(zmq_send(socket, ring + number % RING * size, size, 0), "send");
    }
    hold();
}

int main(int count, char **words) {
    if (count == 2) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("libzmq %d.%d.%d%s\n", major, minor, patch, zmq_has("curve") ? "" : " without CURVE");
        return !zmq_has("curve");
    }
    if (count < 6)
        return 2;
    int is_dealer = !strcmp(words[2], "dealer");
    size_t size = strtoull(words[3], 0, 10);
    uint64_t warmup = strtoull(words[4], 0, 10), measured = strtoull(words[5], 0, 10);
    if (size && !strcmp(words[1], "sink"))
        sink(is_dealer, size, warmup, measured);
    else if (size && count == 7)
        source(is_dealer, size, warmup, measured, words[6]);
    return 2;
}
