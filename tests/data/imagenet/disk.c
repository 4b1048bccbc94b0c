/* Preloaded by tests: reads of shards, which Python does with preadv2 and compiled code with pread, are slow
   (SLOW_MICROSECONDS each) or fail with EIO (from read FAIL_AFTER on; FAIL_TIMES of them, else all). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long reads;

static long setting(const char *name, long otherwise) {
    const char *given = getenv(name);
    return given ? atol(given) : otherwise;
}

static int fails(void) {
    long number = atomic_fetch_add(&reads, 1), first = setting("FAIL_AFTER", -1);
    usleep(setting("SLOW_MICROSECONDS", 0));
    return first >= 0 && number >= first && number - first < setting("FAIL_TIMES", 1L << 40);
}

ssize_t preadv64v2(int file, const struct iovec *pieces, int count, off64_t offset, int flags) {
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_preadv2, file, pieces, count, offset, 0, flags);
}

ssize_t preadv2(int file, const struct iovec *pieces, int count, off_t offset, int flags) {
    return preadv64v2(file, pieces, count, offset, flags);
}

ssize_t pread64(int file, void *target, size_t length, off64_t offset) {
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, file, target, length, offset);
}

ssize_t pread(int file, void *target, size_t length, off_t offset) {
    return pread64(file, target, length, offset);
}
