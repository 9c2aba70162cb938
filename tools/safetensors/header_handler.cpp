#include "tools/safetensors/header_handler.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

namespace flashmask::safetensors {
namespace {

/// Receives the events of the JSON parser. The states are the only places that the format has; an event that has no
/// meaning in the current one ends the parse, so nothing is ever built for it.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Layout take() { return std::move(layout_); }

  bool null() override { refuse_value("null"); }
  bool boolean(bool) override { refuse_value("a boolean"); }
  bool number_integer(number_integer_t value) override { refuse_value(fmt::format("the negative number {}", value)); }
  bool number_float(number_float_t, const string_t&) override {
    refuse_value("a number that is not an integer of 64 bits");
  }
  bool binary(binary_t&) override { refuse_value("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::kShape) {
      tensor_.shape.push_back(value);
    } else if (state_ == State::kOffsets) {
      if (offsets_seen_ == 2) throw HeaderError(subject() + ": data_offsets has more than two numbers");
      (offsets_seen_++ == 0 ? tensor_.begin : tensor_.end) = value;
    } else {
      refuse_value("a number");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadata) {
      layout_.metadata[key_] = std::move(value);
    } else if (state_ == State::kTensor && key_ == "dtype") {
      const std::optional<ElementType> type = parse_element_type(value);
      if (!type) throw HeaderError(fmt::format("{}: dtype {} is not of the format", subject(), printable(value)));
      tensor_.type = *type;
    } else {
      refuse_value("a string");
    }
    return true;
  }

  bool key(string_t& name) override {
    key_ = name;
    if (state_ == State::kTop) {
      if (!names_.insert(name).second) throw HeaderError(fmt::format("the name {} stands twice", printable(name)));
    } else if (state_ == State::kMetadata) {
      if (layout_.metadata.count(name) != 0) {
        throw HeaderError(fmt::format("__metadata__: the key {} stands twice", printable(name)));
      }
    } else {
      bool& seen = field_seen(name);
      if (seen) throw HeaderError(fmt::format("{}: {} stands twice", subject(), name));
      seen = true;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (state_ == State::kBefore) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "__metadata__") {
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      state_ = State::kTensor;
      tensor_ = TensorInfo{};
      tensor_.name = key_;
      dtype_seen_ = shape_seen_ = data_offsets_seen_ = false;
    } else {
      refuse_value("an object");
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTensor) {
      for (const auto& [seen, name] : {std::pair{dtype_seen_, "dtype"}, std::pair{shape_seen_, "shape"},
                                       std::pair{data_offsets_seen_, "data_offsets"}}) {
        if (!seen) throw HeaderError(fmt::format("{}: {} is missing", subject(), name));
      }
      layout_.tensors.push_back(std::move(tensor_));
      state_ = State::kTop;
    } else if (state_ == State::kMetadata) {
      state_ = State::kTop;
    } else {
      state_ = State::kAfter;
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kTensor && key_ == "shape") {
      state_ = State::kShape;
    } else if (state_ == State::kTensor && key_ == "data_offsets") {
      state_ = State::kOffsets;
      offsets_seen_ = 0;
    } else {
      refuse_value("an array");
    }
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsets && offsets_seen_ != 2) {
      throw HeaderError(subject() + ": data_offsets has fewer than two numbers");
    }
    state_ = State::kTensor;
    return true;
  }

  /// The parser's own message repeats the input at any length; the position says enough.
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw HeaderError(fmt::format("its header is not valid JSON at byte {}", position));
  }

 private:
  enum class State { kBefore, kTop, kMetadata, kTensor, kShape, kOffsets, kAfter };

  std::string subject() const { return "tensor " + printable(tensor_.name); }

  bool& field_seen(const std::string& name) {
    if (name == "dtype") return dtype_seen_;
    if (name == "shape") return shape_seen_;
    if (name == "data_offsets") return data_offsets_seen_;
    throw HeaderError(
        fmt::format("{}: unknown field {}; dtype, shape and data_offsets are allowed", subject(), printable(name)));
  }

  [[noreturn]] void refuse_value(const std::string& what) const {
    switch (state_) {
      case State::kBefore:
      case State::kAfter:
        throw HeaderError("its header is " + what + "; an object is needed");
      case State::kTop:
        throw HeaderError(fmt::format("the entry {} is {}; an object is needed", printable(key_), what));
      case State::kMetadata:
        throw HeaderError(fmt::format("__metadata__: {} is {}; a string is needed", printable(key_), what));
      case State::kTensor:
        throw HeaderError(fmt::format("{}: {} is {}; {} is needed", subject(), key_, what,
                                      key_ == "dtype" ? "a string" : "an array of numbers"));
      case State::kShape:
      case State::kOffsets:
        throw HeaderError(fmt::format("{}: {} holds {}; integers from 0 are needed", subject(),
                                      state_ == State::kShape ? "shape" : "data_offsets", what));
    }
    throw HeaderError("its header is malformed");
  }

  Layout layout_;
  State state_ = State::kBefore;
  std::string key_;
  std::unordered_set<std::string> names_;
  TensorInfo tensor_;
  int offsets_seen_ = 0;
  bool dtype_seen_ = false, shape_seen_ = false, data_offsets_seen_ = false;
};

}  // namespace

Layout parse_header_json(std::string_view json) {
  // The parser takes a zero byte for the end of its input and would accept anything behind it.
  if (const std::size_t zero = json.find('\0'); zero != std::string_view::npos) {
    throw HeaderError(fmt::format("its header is not valid JSON at byte {}", zero));
  }
  HeaderHandler handler;
  nlohmann::json::sax_parse(json.data(), json.data() + json.size(), &handler);
  return handler.take();
}

}  // namespace flashmask::safetensors
