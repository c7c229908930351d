#include "backup/page_guard.h"

#include <chrono>
#include <thread>

#include "postgres/page.h"

namespace holdfast {
namespace {

constexpr int kRereads = 8;
// Once this many pages were found damaged, further ones are read again once and without waiting: a
// badly damaged relation must not hold up the backup for hours.
constexpr std::uint64_t kPatience = 100;

void note(std::uint64_t& count, std::vector<BadPage>& pages, BadPage page) {
  ++count;
  if (pages.size() < kMaxBadPages) pages.push_back(std::move(page));
}

}  // namespace

void wait_a_moment(int attempt) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1 << attempt));
}

void PageGuard::check(SourceFile& file, const std::string& path, const RelationFilePath& relation,
                      std::uint64_t offset, MutableByteView data) {
  const std::uint64_t first = offset / kPageBytes;
  const std::uint64_t base = std::uint64_t{relation.number} * options_.relation_segment_blocks;
  for (std::size_t i = 0; (i + 1) * kPageBytes <= data.size(); ++i) {
    const MutableByteView page = data.subspan(i * kPageBytes, kPageBytes);
    const auto block = static_cast<std::uint32_t>(base + first + i);
    if (check_page(page, block) != PageState::kBad) continue;
    const bool patient = findings().damaged_pages < kPatience;
    bool good = false;
    for (int attempt = 0; attempt < (patient ? kRereads : 1) && !good; ++attempt) {
      if (patient) options_.pause(attempt);
      // A file that was truncated meanwhile keeps what was read first: replay truncates it again.
      Bytes again(kPageBytes);
      if (file.read_at(offset + i * kPageBytes, again) != kPageBytes) break;
      std::copy(again.begin(), again.end(), page.begin());
      good = check_page(page, block) != PageState::kBad;
    }
    if (!good) judge(path, first + i, page);
  }
}

void PageGuard::judge(const std::string& path, std::uint64_t block, ByteView page) {
  const Lsn lsn = page_lsn(page);
  const bool excused = lsn >= options_.backup_start && lsn <= options_.insert_position();
  const std::lock_guard lock(mutex_);
  if (excused) {
    note(findings_.excused_pages, findings_.excused, {path, block});
  } else {
    note(findings_.damaged_pages, findings_.damaged, {path, block});
  }
}

PageGuard::Findings PageGuard::findings() const {
  const std::lock_guard lock(mutex_);
  return findings_;
}

}  // namespace holdfast
