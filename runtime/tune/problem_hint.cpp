#include "flashmask/problem_hint.h"

#include "runtime/tune/names.h"

namespace flashmask {
namespace {

constexpr tune::Names<DensityClass, 5> kNames = {{{DensityClass::kUnknown, "unknown"},
                                                  {DensityClass::kSparse, "sparse"},
                                                  {DensityClass::kLight, "light"},
                                                  {DensityClass::kMedium, "medium"},
                                                  {DensityClass::kDense, "dense"}}};

}  // namespace

DensityClass density_class(double density) {
  if (!(density > 0)) return DensityClass::kUnknown;  // NaN, too
  if (density < 1.0 / 16) return DensityClass::kSparse;
  if (density < 1.0 / 4) return DensityClass::kLight;
  if (density < 5.0 / 8) return DensityClass::kMedium;
  return DensityClass::kDense;
}

std::string_view to_string(DensityClass density) {
  return tune::name_of(kNames, density);
}

std::optional<DensityClass> parse_density_class(std::string_view text) {
  return tune::value_named(kNames, text);
}

}  // namespace flashmask
