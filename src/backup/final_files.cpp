#include "backup/final_files.h"

#include <algorithm>

namespace holdfast {
namespace {

class MemoryFile final : public SourceFile {
 public:
  explicit MemoryFile(ByteView content) : content_(content) {}

  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    if (offset >= content_.size()) return 0;
    const ByteView rest = content_.subspan(offset);
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return count;
  }

 private:
  ByteView content_;  // owned by FinalFiles
};

}  // namespace

void FinalFiles::add(const std::string& path, Bytes content, std::uint32_t mode) {
  contents_[path] = {std::move(content), mode};
}

void FinalFiles::add_wal(std::unique_ptr<CarriedWal> wal) {
  wal_ = std::move(wal);
}

std::vector<FinalFiles::File> FinalFiles::files() const {
  std::vector<File> files;
  files.reserve(contents_.size());
  for (const auto& [path, content] : contents_) {
    files.push_back({path, content.bytes.size(), content.mode});
  }
  if (wal_ != nullptr) {
    for (const CarriedWal::File& file : wal_->files())
      files.push_back({file.path, file.size, 0600});
  }
  std::ranges::sort(files, path_before, &File::path);
  return files;
}

std::unique_ptr<SourceFile> FinalFiles::open(const std::string& path) {
  if (const auto at = contents_.find(path); at != contents_.end()) {
    return std::make_unique<MemoryFile>(at->second.bytes);
  }
  return wal_->open(path);
}

}  // namespace holdfast
