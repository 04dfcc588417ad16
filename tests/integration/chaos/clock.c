/* The wall clock of one process, moved: the file CLOCK_OFFSET holds eight bytes, by how many microseconds.
   What counts seconds since some start (CLOCK_MONOTONIC) is left alone, as it is when an operator sets a clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t offset_us(void) {
    static volatile int64_t *place = NULL;
    if (place == NULL) {
        const char *path = getenv("CLOCK_OFFSET");
        int file = path == NULL ? -1 : open(path, O_RDONLY);
        void *found = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
        if (found == MAP_FAILED) abort();
        close(file);
        place = found;
    }
    return *place;
}

static void moved(int64_t *seconds, int64_t *fraction, int64_t per_us) {
    int64_t us = *seconds * 1000000 + *fraction / per_us + offset_us();
    *fraction = us % 1000000 * per_us + *fraction % per_us;
    *seconds = us / 1000000;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    static int (*real)(struct timeval *restrict, void *restrict) = NULL;
    if (real == NULL) real = dlsym(RTLD_NEXT, "gettimeofday");
    int answer = real(found, zone);
    int64_t seconds = found->tv_sec, fraction = found->tv_usec;
    moved(&seconds, &fraction, 1);
    found->tv_sec = seconds;
    found->tv_usec = fraction;
    return answer;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *) = NULL;
    if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, found);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        int64_t seconds = found->tv_sec, fraction = found->tv_nsec;
        moved(&seconds, &fraction, 1000);
        found->tv_sec = seconds;
        found->tv_nsec = fraction;
    }
    return answer;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found != NULL) *found = now.tv_sec;
    return now.tv_sec;
}
