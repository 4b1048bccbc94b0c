// Reads pieces of shards and cuts squares out of images, without Python's lock and many in one call.
//
// shard_reads.py calls this. What fails is left to Python, which knows what to try again, and what is to be said.

#include <cstdint>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace {

constexpr int64_t CHANNELS = 3;

struct Place {
  int64_t shard, offset, length, label; // a row of the part's table
};

struct Cut {
  int64_t top, left, mirrored;
};

// False where the file ends before, or the disk fails.
bool read_all(int file, int64_t offset, int64_t length, uint8_t *target) {
  while (length > 0) {
    const ssize_t count = pread(file, target, size_t(length), off_t(offset));
    if (count <= 0) return false;
    target += count, offset += count, length -= count;
  }
  return true;
}

// Copies pixels, the last one first. Between the first and the last, four bytes are moved at once: the next pixel is
// written over the fourth.
void copy_mirrored(const uint8_t *source, int64_t pixels, uint8_t *target) {
  std::memcpy(target, source + (pixels - 1) * CHANNELS, CHANNELS);
  for (int64_t pixel = pixels - 2; pixel > 0; pixel--)
    std::memcpy(target += CHANNELS, source + pixel * CHANNELS, 4);
  if (pixels > 1) std::memcpy(target + CHANNELS, source, CHANNELS);
}

void cut_out(const uint8_t *image, int64_t side, const Cut &cut, int64_t size, uint8_t *target) {
  const uint8_t *line = image + (cut.top * side + cut.left) * CHANNELS;
  for (int64_t row = 0; row < size; row++, line += side * CHANNELS, target += size * CHANNELS) {
    if (cut.mirrored)
      copy_mirrored(line, size, target);
    else
      std::memcpy(target, line, size_t(size * CHANNELS));
  }
}

} // namespace

// Fills target with pieces of files, one after the other.
//
// files: a descriptor for each piece.
// Returns how many there are before the first that cannot be read.
extern "C" int64_t read_pieces(int64_t pieces, const int64_t *files, const Place *places, uint8_t *target) {
  for (int64_t piece = 0; piece < pieces; target += places[piece++].length)
    if (!read_all(int(files[piece]), places[piece].offset, places[piece].length, target)) return piece;
  return pieces;
}

// Fills target, (size, size, 3), with a square of an image of (side, side, 3).
extern "C" void cut_square(
    const uint8_t *image, int64_t side, int64_t top, int64_t left, int64_t mirrored, int64_t size, uint8_t *target) {
  cut_out(image, side, {top, left, mirrored}, size, target);
}

// Fills target, (images, size, size, 3), with squares of images that are stored as pixels, (side, side, 3).
//
// files: a descriptor for each image.
// Returns how many there are before the first that cannot be read.
extern "C" int64_t raw_squares(
    int64_t images, const int64_t *files, const Place *places, const Cut *cuts, int64_t side, int64_t size,
    uint8_t *target) {
  static thread_local std::vector<uint8_t> whole; // one image, which stays in the core's cache
  whole.resize(size_t(side * side * CHANNELS));
  for (int64_t image = 0; image < images; image++, target += size * size * CHANNELS) {
    if (!read_all(int(files[image]), places[image].offset, int64_t(whole.size()), whole.data())) return image;
    cut_out(whole.data(), side, cuts[image], size, target);
  }
  return images;
}
