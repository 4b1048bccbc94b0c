// Response norm on a CPU, forward and backward, one pixel's channels of one tower after the other.
//
// The formulas are those of response_norm.py, which calls this; shifted_adds.py has them in torch. Main memory is read
// and written once; beyond that, two square roots and a division for each value bound the time. A row is widened into
// buffers that stay in the first-level cache; every inner loop runs over its channels, which the compiler vectorises.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct bfloat16 {
  uint16_t bits;
};

template <typename T> inline T widen(T x) { return x; }

inline float widen(bfloat16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <typename T> inline void narrow(T x, T &out) { out = x; }

// To the nearest, ties to even; NaN stays NaN.
inline void narrow(float x, bfloat16 &out) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  out.bits = (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : uint16_t(rounded);
}

template <typename Wide> struct Constants {
  int64_t maps, size; // channels of a row, and of a window (odd)
  Wide alpha_over_size, beta, k;
};

// sums[c] = the sum of values[c - size / 2 .. c + size / 2]; there are zeros on both sides of the row.
template <typename Wide> inline void window(const Constants<Wide> &is, const Wide *values, Wide *__restrict sums) {
  if (is.size == 5) {
    for (int64_t c = 0; c < is.maps; c++)
      sums[c] = ((values[c - 2] + values[c - 1]) + (values[c + 1] + values[c + 2])) + values[c];
    return;
  }
  for (int64_t c = 0; c < is.maps; c++) sums[c] = values[c];
  for (int64_t away = 1; away <= is.size / 2; away++)
    for (int64_t c = 0; c < is.maps; c++) sums[c] += values[c - away] + values[c + away];
}

// From sums of squares to scale = d^-beta; the sums are overwritten with 1/d.
template <typename Wide>
inline void powers(const Constants<Wide> &is, Wide *__restrict sums, Wide *__restrict scale) {
  if (is.beta == Wide(0.75)) {
    for (int64_t c = 0; c < is.maps; c++) {
      const Wide root = 1 / std::sqrt(is.k + is.alpha_over_size * sums[c]);
      scale[c] = root * std::sqrt(root);
      sums[c] = root * root;
    }
    return;
  }
  for (int64_t c = 0; c < is.maps; c++) {
    const Wide d = is.k + is.alpha_over_size * sums[c];
    scale[c] = std::pow(d, -is.beta);
    sums[c] = 1 / d;
  }
}

// y from x where there is no gradient, else dL/dx from x and dL/dy.
template <typename Stored, typename Wide>
void norm(const Stored *x, const Stored *gradient, Stored *out, int64_t rows, const Constants<Wide> is) {
#pragma omp parallel
  {
    std::vector<Wide> zeros_around(is.maps + is.size), row_x(is.maps), row_scale(is.maps), row_sums(is.maps);
    Wide *__restrict inner = zeros_around.data() + is.size / 2, *__restrict wide = row_x.data();
    Wide *__restrict scale = row_scale.data(), *__restrict sums = row_sums.data();
#pragma omp for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
      const int64_t first = row * is.maps;
      for (int64_t c = 0; c < is.maps; c++) {
        wide[c] = widen(x[first + c]);
        inner[c] = wide[c] * wide[c];
      }
      window(is, inner, sums);
      powers(is, sums, scale);
      if (gradient == nullptr) {
        for (int64_t c = 0; c < is.maps; c++) narrow(wide[c] * scale[c], out[first + c]);
        continue;
      }
      for (int64_t c = 0; c < is.maps; c++) {
        scale[c] *= widen(gradient[first + c]);
        inner[c] = scale[c] * wide[c] * sums[c];
      }
      window(is, inner, sums);
      const Wide factor = -2 * is.beta * is.alpha_over_size;
      for (int64_t c = 0; c < is.maps; c++) narrow(scale[c] + factor * wide[c] * sums[c], out[first + c]);
    }
  }
}

} // namespace

#define EXPORT(Name, Stored, Wide)                                                                                     \
  extern "C" void Name(const Stored *x, const Stored *gradient, Stored *out, int64_t rows, int64_t maps, int64_t size, \
                       Wide alpha_over_size, Wide beta, Wide k) {                                                      \
    norm<Stored, Wide>(x, gradient, out, rows, {maps, size, alpha_over_size, beta, k});                                \
  }

EXPORT(norm_bfloat16, bfloat16, float)
EXPORT(norm_float32, float, float)
EXPORT(norm_float64, double, double)
