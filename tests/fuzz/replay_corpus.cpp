// The driver of the short fuzz runs, for any compiler: every seed as it is, then mutations of them from a fixed
// generator, so that a run repeats and a finding comes back. An input that ends the program, or that takes too long, is
// left in a file.
//
//   PROGRAM [--mutations N] [--dictionary FILE] SEED-OR-FOLDER…

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Of a sanitizer's runtime, where there is one: it ends the program without a signal.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace {

constexpr unsigned kSecondsPerInput = 30;
constexpr std::size_t kMostBytes = 16'384;
constexpr const char* kFinding = "fuzz-finding";

// What a handler of signals may touch.
const std::string* current = nullptr;

void keep_current() {
  if (!current) return;
  const int file = open(kFinding, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool whole = write(file, current->data(), current->size()) == static_cast<ssize_t>(current->size());
  close(file);
  constexpr std::string_view kKept = "the input is in the file fuzz-finding\n";
  if (whole && write(STDERR_FILENO, kKept.data(), kKept.size()) < 0) return;
}

void on_signal(int number) {
  keep_current();
  signal(number, SIG_DFL);
  raise(number);
}

void watch_for_ends() {
  for (const int number : {SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGSEGV}) signal(number, on_signal);
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_current);
}

void run(const std::string& input) {
  current = &input;
  alarm(kSecondsPerInput);
  // A copy of exactly these bytes, so that a sanitizer sees a read behind them.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  alarm(0);
  current = nullptr;
}

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

void add_seeds(const std::filesystem::path& path, std::vector<std::string>& seeds) {
  if (!std::filesystem::is_directory(path)) {
    seeds.push_back(content_of(path));
    return;
  }
  std::vector<std::filesystem::path> files;  // in the order of their names, which is the same everywhere
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) seeds.push_back(content_of(file));
}

/// The words of libFuzzer's form: a quoted word per line, with \xNN, \\ and \" in it.
std::vector<std::string> words_of(const std::filesystem::path& path) {
  std::vector<std::string> words;
  std::ifstream lines(path);
  if (!lines) refuse("cannot read " + path.string());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find('"');
    const std::size_t last = line.rfind('"');
    if (line.starts_with('#') || first == std::string::npos || last == first) continue;
    std::string word;
    for (std::size_t i = first + 1; i < last; ++i) {
      if (line[i] != '\\' || i + 1 == last) {
        word += line[i];
      } else if (line[++i] == 'x' && i + 2 < last) {
        unsigned value = 0;
        std::from_chars(line.data() + i + 1, line.data() + i + 3, value, 16);
        word += static_cast<char>(value);
        i += 2;
      } else {
        word += line[i];
      }
    }
    words.push_back(std::move(word));
  }
  return words;
}

class Mutator {
 public:
  Mutator(std::vector<std::string> seeds, std::vector<std::string> words)
      : seeds_(std::move(seeds)), words_(std::move(words)) {
    for (const std::string_view word : {"0", "-1", "4294967296", "18446744073709551616", "1e999", "\xff\xff\xff\xff"})
      words_.emplace_back(word);
  }

  /// One to eight changes to one of the seeds.
  std::string operator()() {
    std::string text = any(seeds_);
    for (std::size_t changes = 1 + below(8); changes > 0; --changes) change(text);
    if (text.size() > kMostBytes) text.resize(kMostBytes);
    return text;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  const std::string& any(const std::vector<std::string>& texts) { return texts[below(texts.size())]; }

  std::string piece_of(const std::string& text) {
    const std::size_t at = below(text.size());
    return text.substr(at, 1 + below(below(4) == 0 ? text.size() : 16));
  }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = std::min(text.size() - at, 1 + below(below(8) == 0 ? text.size() + 1 : 8));
    switch (below(7)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        break;
      case 3:
        text.insert(at, any(words_));
        break;
      case 4:
        text.replace(at, length, any(words_));
        break;
      case 5:
        text.insert(at, piece_of(any(seeds_)));
        break;
      default:
        text.insert(at, piece_of(text));
        break;
    }
  }

  std::vector<std::string> seeds_;
  std::vector<std::string> words_;
  std::mt19937_64 random_{20'240'601};
};

}  // namespace

int main(int count, char** arguments) {
  std::size_t mutations = 0;
  std::vector<std::string> words;
  std::vector<std::string> seeds;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with("--") && i + 1 == count) refuse(std::string(argument) + " needs a value");
    if (argument == "--mutations") {
      mutations = std::strtoull(arguments[++i], nullptr, 10);
    } else if (argument == "--dictionary") {
      words = words_of(arguments[++i]);
    } else {
      add_seeds(argument, seeds);
    }
  }
  if (seeds.empty()) refuse("no seed");

  watch_for_ends();
  run("");
  for (const std::string& seed : seeds) run(seed);
  Mutator next(seeds, words);
  for (std::size_t i = 0; i < mutations; ++i) run(next());
  std::printf("%zu executions: %zu seeds, the empty input, %zu mutations; no finding\n", 1 + seeds.size() + mutations,
              seeds.size(), mutations);
  return 0;
}
