#include <fmt/format.h>

#include <algorithm>

#include "flashmask/error.h"
#include "runtime/tune/tuning_json.h"

namespace flashmask::tune {
namespace {

using Json = nlohmann::json;

/// Reads a text without keeping anything of it: whether it is JSON, and no more of it than a reader can hold.
class JsonLimits : public nlohmann::json_sax<Json> {
 public:
  std::string refusal;
  std::size_t refused_at = 0;  ///< bytes of the text that were read by then

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool key(string_t&) override { return count(); }
  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) override {
    // Of the exception's text the part that says what is wrong, without the token, which may be as long as the text.
    std::string what = error.what();
    if (const std::size_t start = what.find("] "); start != std::string::npos) what.erase(0, start + 2);
    if (const std::size_t start = what.find(": "); start != std::string::npos) what.erase(0, start + 2);
    what.erase(std::min({what.find("; last read"), what.find(" parsing '"), what.size()}));
    refusal = fmt::format("this is no JSON: {}", what);
    refused_at = position;
    return false;
  }

 private:
  bool count() {
    if (++values_ <= kMostJsonValues) return true;
    refusal = fmt::format("this has more than {} values", kMostJsonValues);
    return false;
  }
  bool enter() {
    if (++depth_ <= kMostJsonDepth) return count();
    refusal = fmt::format("this is nested deeper than {} levels", kMostJsonDepth);
    return false;
  }
  bool leave() {
    --depth_;
    return true;
  }

  std::size_t values_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

Json parse_bounded_json(const std::string& text, const std::string& name) {
  if (text.size() > kMostJsonBytes)
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: a file of answers has at most {} bytes, this one has {}", name, kMostJsonBytes, text.size()),
        "export fewer answers at a time");
  JsonLimits limits;
  if (!Json::sax_parse(text, &limits)) {
    std::string place;
    if (limits.refused_at > 0) {
      const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(limits.refused_at - 1, text.size()));
      const auto line_begin = std::find(std::make_reverse_iterator(end), text.rend(), '\n').base();
      place = fmt::format(":{}:{}", 1 + std::count(text.begin(), end, '\n'), 1 + (end - line_begin));
    }
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}{}: {}", name, place, limits.refusal),
                "give a file that `flashmask tune export` wrote");
  }
  return Json::parse(text);
}

}  // namespace flashmask::tune
