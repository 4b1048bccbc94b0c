// Reads images that are stored as pixels and cuts a square out of each, many in one call.
//
// raw_squares.py calls this. What fails is left to Python, which knows what to try again, and what is to be said.

#include <cstdint>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace {

constexpr int64_t CHANNELS = 3;

// False where the file ends before, or the disk fails.
bool read_all(int file, int64_t offset, int64_t length, uint8_t *target) {
  while (length > 0) {
    const ssize_t count = pread(file, target, size_t(length), off_t(offset));
    if (count <= 0) return false;
    target += count, offset += count, length -= count;
  }
  return true;
}

// Copies pixels, the last one first. Four bytes are moved at once: the fourth is of the pixel that follows in the
// source, and is written over in the target by the next one.
void copy_mirrored(const uint8_t *source, int64_t pixels, uint8_t *target) {
  for (int64_t pixel = pixels - 1; pixel > 0; pixel--, target += CHANNELS)
    std::memcpy(target, source + pixel * CHANNELS, 4);
  std::memcpy(target, source, CHANNELS);
}

struct Place {
  int64_t shard, offset, length, label; // a row of the part's table
};

struct Cut {
  int64_t top, left, mirrored;
};

} // namespace

// Fills target, (images, size, size, 3), with squares of stored images of (side, side, 3).
//
// files: a descriptor for each image.
// Returns how many there are before the first that cannot be read.
extern "C" int64_t raw_squares(
    int64_t images, const int64_t *files, const Place *places, const Cut *cuts, int64_t side, int64_t size,
    uint8_t *target) {
  const int64_t length = side * side * CHANNELS;
  static thread_local std::vector<uint8_t> whole; // one image, which stays in the core's cache
  whole.resize(size_t(length + 1));               // copy_mirrored reads a byte beyond the image
  for (int64_t image = 0; image < images; image++) {
    if (!read_all(int(files[image]), places[image].offset, length, whole.data())) return image;
    const Cut &cut = cuts[image];
    const uint8_t *line = whole.data() + (cut.top * side + cut.left) * CHANNELS;
    for (int64_t row = 0; row < size; row++, line += side * CHANNELS, target += size * CHANNELS) {
      if (cut.mirrored)
        copy_mirrored(line, size, target);
      else
        std::memcpy(target, line, size_t(size * CHANNELS));
    }
  }
  return images;
}
