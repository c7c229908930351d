// Runs fuzz targets over files, in a build by any compiler:
//   fuzz_replay --list
//   fuzz_replay --write-seeds FOLDER      the seed corpus, one folder per target
//   fuzz_replay TARGET FILE...            a corpus, or the input of a crash

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

int usage() {
  std::fprintf(stderr, "usage: fuzz_replay --list | --write-seeds FOLDER | TARGET FILE...\n");
  return 2;
}

int list() {
  for (const Target& target : targets()) std::printf("%s\n", std::string(target.name).c_str());
  return 0;
}

int write_seeds(const std::filesystem::path& folder) {
  for (const Target& target : targets()) {
    std::filesystem::create_directories(folder / target.name);
    int number = 0;
    for (const Bytes& seed : target.seeds()) {
      const auto path = folder / target.name / ("seed-" + std::to_string(number++));
      std::ofstream out(path, std::ios::binary);
      out << as_text(seed) << std::flush;
      if (!out) {
        std::fprintf(stderr, "cannot write %s\n", path.c_str());
        return 1;
      }
    }
  }
  return 0;
}

int replay(const Target& target, std::span<char*> files) {
  for (const char* file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(in), {}};
    if (!in.is_open() || in.bad()) {
      std::fprintf(stderr, "cannot read %s\n", file);
      return 1;
    }
    std::fprintf(stderr, "%s\n", file);  // the last one named is the one that crashed
    run_one(target, as_bytes(content));
  }
  std::printf("%zu inputs, no finding\n", files.size());
  return 0;
}

int run(std::span<char*> arguments) {
  if (arguments.empty()) return usage();
  const std::string_view first = arguments[0];
  if (first == "--list" && arguments.size() == 1) return list();
  if (first == "--write-seeds" && arguments.size() == 2) return write_seeds(arguments[1]);
  const Target* target = find_target(first);
  if (target == nullptr || arguments.size() < 2) return usage();
  return replay(*target, arguments.subspan(1));
}

}  // namespace
}  // namespace holdfast::fuzz

int main(int argc, char** argv) {
  try {
    return holdfast::fuzz::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const std::exception& finding) {
    std::fprintf(stderr, "finding: %s\n", finding.what());
    return 1;
  }
}
