#include "runtime/store/cubin_check.h"

#include <fmt/format.h>

#include <string_view>

#include "flashmask/error.h"
#include "runtime/store/cubin_image.h"

namespace flashmask {
namespace {

constexpr std::string_view kToolNote = ".note.nv.tkinfo";
constexpr std::string_view kArchitectureOption = "-arch ";

/// The architecture in ptxas' note, as in "-v  -arch sm_90a ", or empty.
std::string_view noted_architecture(std::string_view note) {
  const std::size_t place = note.find(kArchitectureOption);
  if (place == std::string_view::npos) return {};
  note.remove_prefix(place + kArchitectureOption.size());
  return note.substr(0, note.find_first_of(std::string_view(" \0\n", 3)));
}

std::optional<std::string> refuse_image(const CubinImage& image, Target target, const std::string& entry) {
  if (image.sm() != target.compute_capability)
    return fmt::format("the cubin is for sm_{}: {} was asked for", image.sm(), to_string(target));
  const std::string code_name = ".text." + entry;
  bool has_code = false;
  for (std::uint64_t i = 0; i < image.section_count(); ++i) {
    const CubinImage::Section section = image.section(i);
    if (section.type == SHT_PROGBITS && !section.content.empty() && image.is_named(section, code_name)) has_code = true;
    if (section.type != SHT_NOBITS && image.is_named(section, kToolNote)) {
      const std::string_view noted =
          noted_architecture({reinterpret_cast<const char*>(section.content.data()), section.content.size()});
      if (!noted.empty() && noted != to_string(target))
        return fmt::format("ptxas made the cubin for {}: {} was asked for", noted, to_string(target));
    }
  }
  if (!has_code) return fmt::format("the cubin has no code of {}", entry);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> refuse_cubin(std::span<const std::byte> cubin, Target target, const std::string& entry) {
  try {
    return refuse_image(CubinImage(cubin), target, entry);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace flashmask
