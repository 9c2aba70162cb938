#include "tools/safetensors/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "flashmask/error.h"
#include "tests/tools/raw_safetensors.h"
#include "tests/tools/temporary_directory.h"

namespace flashmask::safetensors {
namespace {

using test::raw_safetensors;
using test::TemporaryDirectory;
using test::write_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGoodHeader =
    R"({"__metadata__":{"made":"by hand"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
    R"("b":{"dtype":"I32","shape":[1],"data_offsets":[12,16]}})";

std::vector<std::byte> data_of(const Reader& reader, const TensorInfo& tensor) {
  std::vector<std::byte> data(tensor.bytes());
  reader.read(tensor, data);
  return data;
}

/// The error that reading `content` gives; empty when it is accepted. Also reads every tensor.
std::string error_of(const TemporaryDirectory& directory, const std::string& content) {
  const auto path = directory / "x.safetensors";
  write_file(path, content);
  try {
    const Reader reader(path);
    for (const TensorInfo& tensor : reader.layout().tensors) data_of(reader, tensor);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
    return error.what();
  }
  return "";
}

std::string tensor_error(const std::string& fields, std::size_t data_bytes) {
  const TemporaryDirectory directory;
  return error_of(directory, raw_safetensors(R"({"t":{)" + fields + "}}", data_bytes));
}

TEST(SafetensorsReader, AFileOfTheFormatIsRead) {
  const TemporaryDirectory directory;
  write_file(directory / "x", raw_safetensors(kGoodHeader + "   ", 16));
  const Reader reader(directory / "x");
  ASSERT_EQ(reader.layout().tensors.size(), 2u);
  EXPECT_EQ(reader.layout().metadata.at("made"), "by hand");
  const TensorInfo* a = reader.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type, ElementType::kF16);
  EXPECT_EQ(a->shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(data_of(reader, *a), std::vector<std::byte>(12, std::byte{0x3c}));
  EXPECT_EQ(reader.find("c"), nullptr);
}

TEST(SafetensorsReader, TensorsMayStandInTheHeaderInAnyOrder) {
  const TemporaryDirectory directory;
  EXPECT_EQ(error_of(directory, raw_safetensors(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},)"
                                                R"("e":{"dtype":"U8","shape":[0],"data_offsets":[3,3]},)"
                                                R"("a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
                                                5)),
            "");
}

TEST(SafetensorsReader, AScalarHasAnEmptyShape) {
  EXPECT_EQ(tensor_error(R"("dtype":"F32","shape":[],"data_offsets":[0,4])", 4), "");
}

TEST(SafetensorsReader, AFileCutAtAnyLengthIsRefused) {
  const TemporaryDirectory directory;
  const std::string file = raw_safetensors(kGoodHeader, 16);
  ASSERT_EQ(error_of(directory, file), "");
  for (std::size_t length = 0; length < file.size(); ++length) {
    EXPECT_NE(error_of(directory, file.substr(0, length)), "") << length;
  }
  EXPECT_THAT(error_of(directory, file + "x"), HasSubstr("no byte may belong to none"));
}

TEST(SafetensorsReader, NoFlippedBitOfTheHeaderCrashesIt) {
  const TemporaryDirectory directory;
  const std::string file = raw_safetensors(kGoodHeader, 16);
  std::size_t refused = 0;
  for (std::size_t byte = 0; byte < 8 + kGoodHeader.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[byte] = static_cast<char>(flipped[byte] ^ 1 << bit);
      refused += error_of(directory, flipped).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 700u);  // what remains are flips in names and in metadata, which nothing can notice
}

TEST(SafetensorsReader, AHeaderLengthBeyondTheFileOrTheLimitIsRefused) {
  const TemporaryDirectory directory;
  for (std::uint64_t length : {kGoodHeader.size() + 17, std::size_t{99'999'999}}) {
    EXPECT_THAT(error_of(directory, raw_safetensors(kGoodHeader, 16, length)), HasSubstr("the file is cut")) << length;
  }
  for (std::uint64_t length :
       {std::uint64_t{100'000'001}, ~std::uint64_t{0}, ~std::uint64_t{0} - 7, std::uint64_t{1} << 63}) {
    EXPECT_THAT(error_of(directory, raw_safetensors(kGoodHeader, 16, length)), HasSubstr("at most 100000000"))
        << length;
  }
}

TEST(SafetensorsReader, SizesThatOverflowAreRefused) {
  for (const char* shape : {"[9223372036854775808,2]", "[4294967296,4294967296]", "[18446744073709551615]",
                            "[3,6148914691236517206,2]", "[18446744073709551615,18446744073709551615,0]"}) {
    EXPECT_THAT(tensor_error(std::string(R"("dtype":"F16","data_offsets":[0,4],"shape":)") + shape, 4),
                AllOf(HasSubstr("tensor \"t\""), HasSubstr("overflows")))
        << shape;
  }
}

TEST(SafetensorsReader, NumbersThatAreNoSizesAreRefused) {
  for (const char* shape :
       {"[-1]", "[1.0]", "[1e1]", "[18446744073709551616]", "[true]", "[null]", "[\"1\"]", "[[1]]", "[{}]"}) {
    EXPECT_THAT(tensor_error(std::string(R"("dtype":"U8","data_offsets":[0,1],"shape":)") + shape, 1),
                HasSubstr("integers from 0 are needed"))
        << shape;
  }
}

TEST(SafetensorsReader, OffsetsMustBeAPairInsideTheData) {
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[2],"data_offsets":[2,0])", 2), HasSubstr("begin <= end"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[2],"data_offsets":[0,3])", 2), HasSubstr("leave the 2 bytes"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[2],"data_offsets":[18446744073709551615,18446744073709551615])", 2),
              HasSubstr("leave the 2 bytes"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[2],"data_offsets":[0])", 2), HasSubstr("fewer than two"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[2],"data_offsets":[0,1,2])", 2), HasSubstr("more than two"));
}

TEST(SafetensorsReader, ShapeAndOffsetsMustAgree) {
  EXPECT_THAT(tensor_error(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4), HasSubstr("needs 8 bytes"));
  EXPECT_EQ(tensor_error(R"("dtype":"F4","shape":[2],"data_offsets":[0,1])", 1), "");
  EXPECT_THAT(tensor_error(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])", 2), HasSubstr("whole bytes"));
}

TEST(SafetensorsReader, TensorsThatOverlapAreRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                                                  R"("b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}})",
                                                  5)),
              AllOf(HasSubstr("tensor \"b\""), HasSubstr("must not overlap")));
}

TEST(SafetensorsReader, TwoTensorsOnTheSameBytesAreRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                                                  R"("b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
                                                  3)),
              HasSubstr("must not overlap"));
}

TEST(SafetensorsReader, AHoleBetweenTensorsIsRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                                                  R"("b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})",
                                                  7)),
              HasSubstr("no hole"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])", 2), HasSubstr("no hole"));
}

TEST(SafetensorsReader, DeepJsonIsRefusedAtItsFirstStepTooDeep) {
  const TemporaryDirectory directory;
  const std::string deep(5'000'000, '[');
  EXPECT_NE(error_of(directory, raw_safetensors(deep, 0)), "");
  EXPECT_NE(error_of(directory, raw_safetensors("{\"t\":" + deep, 0)), "");
  EXPECT_NE(error_of(directory, raw_safetensors("{\"t\":{\"shape\":" + deep, 0)), "");
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  EXPECT_NE(error_of(directory, raw_safetensors(objects, 0)), "");
}

TEST(SafetensorsReader, AFieldOrNameThatStandsTwiceIsRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                                                  R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                                                  0)),
              HasSubstr("\"a\" stands twice"));
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"__metadata__":{"k":"1","k":"2"}})", 0)),
              HasSubstr("stands twice"));
  EXPECT_THAT(error_of(directory, raw_safetensors(R"({"__metadata__":{},"__metadata__":{}})", 0)),
              HasSubstr("stands twice"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0])", 0),
              HasSubstr("stands twice"));
}

TEST(SafetensorsReader, AFieldThatIsMissingOrUnknownIsRefused) {
  EXPECT_THAT(tensor_error(R"("shape":[0],"data_offsets":[0,0])", 0), HasSubstr("dtype is missing"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","data_offsets":[0,0])", 0), HasSubstr("shape is missing"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[0])", 0), HasSubstr("data_offsets is missing"));
  EXPECT_THAT(tensor_error(R"("dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1)", 0), HasSubstr("unknown field"));
  EXPECT_THAT(tensor_error(R"("dtype":"F17","shape":[0],"data_offsets":[0,0])", 0),
              HasSubstr("\"F17\" is not of the format"));
  EXPECT_THAT(tensor_error(R"("dtype":16,"shape":[0],"data_offsets":[0,0])", 0), HasSubstr("a string is needed"));
}

TEST(SafetensorsReader, TextThatIsNotTheHeadersJsonIsRefused) {
  const TemporaryDirectory directory;
  for (const std::string& json :
       {std::string(""), std::string(" {}"), std::string("[]"), std::string("{"), std::string("{}}"),
        std::string("{} x"), std::string("{\"a\":1}"), std::string("{\"a\":\"b\"}"),
        std::string("{\"__metadata__\":[]}"), std::string("{\"__metadata__\":{\"a\":1}}"), std::string("{\"\xff\":{}}"),
        std::string("{}\0{", 4), std::string("\xef\xbb\xbf{}"), std::string("{/**/}"), std::string("{,}"),
        std::string("{\"a\":{},}")}) {
    EXPECT_NE(error_of(directory, raw_safetensors(json, 0)), "") << json;
  }
  EXPECT_EQ(error_of(directory, raw_safetensors("{}", 0)), "");
}

TEST(SafetensorsReader, AHostileNameReachesNoTerminal) {
  const TemporaryDirectory directory;
  const std::string name = "\\u001b]0;pwned\\u0007" + std::string(5000, 'x');
  const std::string error = error_of(directory, raw_safetensors("{\"" + name + "\":{\"dtype\":\"U8\"}}", 0));
  EXPECT_THAT(error, HasSubstr("\\x1b]0;pwned\\x07"));
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_LT(error.size(), 400u);
}

TEST(SafetensorsReader, OnlyARegularFileIsOpened) {
  const TemporaryDirectory directory;
  EXPECT_THROW(Reader reader(directory / "missing"), Error);
  EXPECT_THROW(Reader reader(directory.path()), Error);
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(Reader reader(directory / "pipe"), Error);
  EXPECT_THROW(Reader reader("/dev/zero"), Error);
}

TEST(SafetensorsReader, AFileThatShrinksWhileItIsReadIsAnError) {
  const TemporaryDirectory directory;
  write_file(directory / "x", raw_safetensors(kGoodHeader, 16));
  const Reader reader(directory / "x");
  std::filesystem::resize_file(directory / "x", 8 + kGoodHeader.size() + 4);
  EXPECT_THROW(data_of(reader, *reader.find("a")), Error);
}

}  // namespace
}  // namespace flashmask::safetensors
