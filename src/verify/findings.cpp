#include "verify/findings.h"

#include <algorithm>
#include <functional>

namespace holdfast {

Findings::Entry* Findings::entry(const std::string& object, std::string_view problem) {
  const auto key = std::pair(backup_, object);
  if (const auto at = entries_.find(key); at != entries_.end()) return &at->second;
  if (entries_.size() >= kMaxFindings) {
    ++unnamed_;
    return nullptr;
  }
  Entry& fresh = entries_[key];
  fresh.finding.object = object;
  fresh.finding.backup = backup_;
  fresh.finding.problem = problem;
  return &fresh;
}

void Findings::add(const std::string& object, std::string_view problem) {
  const std::lock_guard lock(mutex_);
  entry(object, problem);
}

void Findings::add_loss(const std::string& object, const Loss& loss) {
  const std::lock_guard lock(mutex_);
  Entry* at = entry(object, loss.problem);
  if (at == nullptr) return;
  VerifyFinding& finding = at->finding;
  finding.affected_blocks += loss.blocks.count;
  if (at->paths.size() < kMaxCountedFiles &&
      at->paths.insert(std::hash<std::string_view>{}(loss.path)).second) {
    ++finding.affected_files;
  }
  auto file = std::ranges::find(finding.files, loss.path, &AffectedFile::path);
  if (file == finding.files.end()) {
    if (finding.files.size() >= kMaxNamedFiles) return;
    file = finding.files.insert(file, {std::string(loss.path), 0, {}});
  }
  file->blocks += loss.blocks.count;
  if (!file->ranges.empty() &&
      file->ranges.back().first + file->ranges.back().count == loss.blocks.first) {
    file->ranges.back().count += loss.blocks.count;
  } else if (file->ranges.size() < kMaxNamedRanges) {
    file->ranges.push_back(loss.blocks);
  }
}

std::size_t Findings::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size() + unnamed_;
}

std::vector<std::string> Findings::objects_of(const std::string& backup, std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> objects;
  for (auto at = entries_.lower_bound({backup, {}});
       at != entries_.end() && at->first.first == backup && objects.size() < limit; ++at) {
    objects.push_back(at->first.second);
  }
  return objects;
}

std::vector<VerifyFinding> Findings::take() {
  const std::lock_guard lock(mutex_);
  std::vector<VerifyFinding> found;
  for (auto& [key, at] : entries_) {
    std::ranges::sort(at.finding.files, {}, &AffectedFile::path);
    for (AffectedFile& file : at.finding.files) {
      std::ranges::sort(file.ranges, {}, &BlockRange::first);
    }
    found.push_back(std::move(at.finding));
  }
  entries_.clear();
  return found;
}

}  // namespace holdfast
