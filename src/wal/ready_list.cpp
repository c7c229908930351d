#include "wal/ready_list.h"

#include <algorithm>

#include "repository/wal_file.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kReady = ".ready";

// Calls `visit` for each waiting file until it returns false.
template <class Visit>
void for_each_waiting(const fs::path& data_directory, Visit visit) {
  const fs::path folder = data_directory / "pg_wal" / "archive_status";
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (!name.ends_with(kReady)) continue;
    name.resize(name.size() - kReady.size());
    if (parse_wal_file_name(name) && !visit(std::move(name))) return;
  }
  if (error) throw_file_error(error.value(), "read", folder.native());
}

}  // namespace

bool is_asked_before(std::string_view left, std::string_view right) {
  const bool left_history = left.ends_with(".history");
  if (left_history != right.ends_with(".history")) return left_history;
  return left < right;
}

std::vector<std::string> files_waiting(const fs::path& data_directory, std::size_t limit) {
  std::vector<std::string> first;  // a heap: the one that is asked for last on top
  for_each_waiting(data_directory, [&](std::string name) {
    if (first.size() == limit) {
      if (limit == 0 || !is_asked_before(name, first.front())) return true;
      std::ranges::pop_heap(first, is_asked_before);
      first.pop_back();
    }
    first.push_back(std::move(name));
    std::ranges::push_heap(first, is_asked_before);
    return true;
  });
  std::ranges::sort_heap(first, is_asked_before);
  return first;
}

std::uint64_t segments_waiting(const fs::path& data_directory) {
  std::uint64_t count = 0;
  for_each_waiting(data_directory, [&](const std::string& name) {
    const auto file = parse_wal_file_name(name);
    count += file && file->kind == WalFileKind::kSegment ? 1 : 0;
    return true;
  });
  return count;
}

bool others_wait(const fs::path& data_directory, std::string_view file) {
  bool found = false;
  for_each_waiting(data_directory, [&](const std::string& name) {
    found = name != file;
    return !found;
  });
  return found;
}

}  // namespace holdfast
