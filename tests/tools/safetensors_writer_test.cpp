#include "tools/safetensors/writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdint>
#include <span>
#include <vector>

#include "flashmask/error.h"
#include "tests/tools/temporary_directory.h"
#include "tools/safetensors/reader.h"

namespace flashmask::safetensors {
namespace {

using test::read_file;
using test::TemporaryDirectory;
using test::write_file;

const std::vector<float> kFloats = {1.0f, -2.5f, 3.25f};
const std::vector<std::uint16_t> kHalves = {0x3c00, 0xbc00};

Writer two_tensors() {
  Writer writer;
  writer.add("halves", ElementType::kF16, {2}, std::as_bytes(std::span(kHalves)));
  writer.add("floats", ElementType::kF32, {3, 1}, std::as_bytes(std::span(kFloats)));
  writer.set_metadata("note", "a \"quoted\" text");
  return writer;
}

TEST(SafetensorsWriter, WhatIsWrittenIsReadBack) {
  const TemporaryDirectory directory;
  two_tensors().save(directory / "x");
  const Reader reader(directory / "x");
  EXPECT_EQ(reader.layout().metadata.at("note"), "a \"quoted\" text");
  const TensorInfo* floats = reader.find("floats");
  ASSERT_NE(floats, nullptr);
  EXPECT_EQ(floats->shape, (std::vector<std::uint64_t>{3, 1}));
  const auto bytes = std::as_bytes(std::span(kFloats));
  std::vector<std::byte> data(floats->bytes());
  reader.read(*floats, data);
  EXPECT_EQ(data, std::vector<std::byte>(bytes.begin(), bytes.end()));
}

TEST(SafetensorsWriter, EqualContentGivesEqualBytesInAnyOrder) {
  const TemporaryDirectory directory;
  two_tensors().save(directory / "a");
  Writer other;
  other.set_metadata("note", "a \"quoted\" text");
  other.add("floats", ElementType::kF32, {3, 1}, std::as_bytes(std::span(kFloats)));
  other.add("halves", ElementType::kF16, {2}, std::as_bytes(std::span(kHalves)));
  other.save(directory / "b");
  EXPECT_EQ(read_file(directory / "a"), read_file(directory / "b"));
}

TEST(SafetensorsWriter, DataAreAlignedToTheirElements) {
  const TemporaryDirectory directory;
  two_tensors().save(directory / "x");
  const Reader reader(directory / "x");
  EXPECT_EQ(reader.find("floats")->begin % 4, 0u);
  EXPECT_EQ(read_file(directory / "x")[0] % 8, 0);
}

TEST(SafetensorsWriter, AFileWithoutTensorsIsLegal) {
  const TemporaryDirectory directory;
  Writer().save(directory / "x");
  EXPECT_TRUE(Reader(directory / "x").layout().tensors.empty());
}

TEST(SafetensorsWriter, BytesThatDoNotMatchTheShapeAreRefused) {
  Writer writer;
  EXPECT_THROW(writer.add("t", ElementType::kF32, {2}, std::as_bytes(std::span(kFloats))), Error);
  EXPECT_THROW(writer.add("t", ElementType::kF32, {~0ull, 3}, std::as_bytes(std::span(kFloats))), Error);
  EXPECT_THROW(writer.add("__metadata__", ElementType::kF32, {3}, std::as_bytes(std::span(kFloats))), Error);
  writer.add("t", ElementType::kF32, {3}, std::as_bytes(std::span(kFloats)));
  EXPECT_THROW(writer.add("t", ElementType::kF32, {3}, std::as_bytes(std::span(kFloats))), Error);
}

TEST(SafetensorsWriter, AnExistingFileIsReplacedAndKeepsItsPermissions) {
  const TemporaryDirectory directory;
  write_file(directory / "x", "old");
  ASSERT_EQ(::chmod((directory / "x").c_str(), 0640), 0);
  two_tensors().save(directory / "x");
  EXPECT_EQ(Reader(directory / "x").layout().tensors.size(), 2u);
  struct stat status{};
  ASSERT_EQ(::stat((directory / "x").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  EXPECT_EQ(directory.number_of_files(), 1u);
}

TEST(SafetensorsWriter, ADirectoryThatIsNotThereIsAnError) {
  const TemporaryDirectory directory;
  EXPECT_THROW(two_tensors().save(directory / "missing/x"), Error);
  EXPECT_THROW(two_tensors().save(directory.path()), Error);
}

TEST(SafetensorsWriter, AFailedWriteLeavesTheOldFileAndNothingElse) {
  const TemporaryDirectory directory;
  write_file(directory / "x", "old");
  const std::vector<std::byte> large(1 << 20);
  Writer writer;
  writer.add("t", ElementType::kU8, {large.size()}, large);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit{4096, old_limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_THROW(writer.save(directory / "x"), Error);
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read_file(directory / "x"), "old");
  EXPECT_EQ(directory.number_of_files(), 1u);
}

}  // namespace
}  // namespace flashmask::safetensors
