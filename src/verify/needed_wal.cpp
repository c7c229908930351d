#include "verify/needed_wal.h"

#include <algorithm>

#include "core/parallel.h"
#include "postgres/wal_segment.h"
#include "repository/wal_object.h"
#include "repository/wal_search.h"
#include "storage/thawing.h"

namespace holdfast {
namespace {

// A segment is looked at in one piece; of larger ones the content hash has to do.
constexpr std::uint64_t kMaxNeededSegmentBytes = std::uint64_t{64} << 20U;

class NeededWalCheck {
 public:
  NeededWalCheck(const Repository& repository, const BackupInfo& backup, WalLine line,
                 const VerifyOptions& options, Findings& findings)
      : repository_(repository),
        backup_(backup),
        line_(std::move(line)),
        options_(options),
        findings_(findings) {}

  std::uint64_t run(const std::stop_token& stop) {
    const WalSegmentSize size = backup_.wal_segment_size;
    const auto segments =
        carried_segments(backup_.timeline, backup_.start_lsn, backup_.stop_lsn, size);
    parallel_for(segments.size(), threads(), stop,
                 [&](std::size_t i, const std::stop_token& inner) {
                   check(wal_file_of(segments[i].name, size), &segments[i], inner);
                 });
    if (backup_.timeline.value == 1) return segments.size();
    check(history_file_of(backup_.timeline), nullptr, stop);
    return segments.size() + 1;
  }

 private:
  std::size_t threads() const {
    const std::uint64_t fits = options_.memory_bytes / (kWalPartBytes + kMaxNeededSegmentBytes);
    const std::size_t wanted =
        std::max(options_.jobs, repository_.store().capabilities().parallel_requests);
    return std::clamp<std::size_t>(fits, 1, wanted);
  }

  void check(const WalFileName& file, const CarriedSegment* segment, const std::stop_token& stop) {
    for (const WalCandidate& candidate : find_candidates(repository_, line_, file, stop)) {
      try {
        if (is_there(candidate, file, segment, stop)) return;
      } catch (const Error& error) {
        if (!condemns_one_object(error.kind())) throw;
        return findings_.add(candidate.object, error.message());
      }
    }
    findings_.add(names::wal_object({line_.cluster, line_.steps.front().history}, file, {}),
                  "missing: WAL that the backup needs");
  }

  bool is_there(const WalCandidate& candidate, const WalFileName& file,
                const CarriedSegment* segment, const std::stop_token& stop) {
    if (options_.mode == VerifyMode::kQuick) {
      return repository_.store().head(candidate.object, stop).has_value();
    }
    ObjectStore& store = repository_.store();
    if (store.capabilities().storage_classes) {
      // What is frozen is there; to bring WAL back is for who recovers (repository/thaw.h).
      const auto state = thaw_state(store, candidate.object, stop);
      if (!state) return false;
      if (*state != ThawState::kReadable) return true;
    }
    const std::uint32_t bytes = backup_.wal_segment_size.bytes;
    const bool look_inside =
        options_.mode == VerifyMode::kDeep && segment != nullptr && bytes <= kMaxNeededSegmentBytes;
    Bytes content;
    if (look_inside) content.reserve(bytes);
    const auto identity =
        read_wal(repository_, candidate.place, file, candidate.object, stop, [&](ByteView piece) {
          if (look_inside) content.insert(content.end(), piece.begin(), piece.end());
        });
    if (!identity) return false;
    if (look_inside) {
      content.resize(bytes);  // the zeros at its end
      check_pages(candidate.object, content, *segment);
    }
    return true;
  }

  void check_pages(const std::string& object, ByteView content, const CarriedSegment& segment) {
    const WalSegmentSize size = backup_.wal_segment_size;
    const Lsn end{start_of(segment.name, size).value + segment.valid_bytes};
    const auto wrong =
        check_wal_pages(content, segment.name, size, backup_.name.history.system_identifier, end);
    if (wrong) findings_.add(object, "WAL that the backup needs is not usable: " + *wrong);
  }

  const Repository& repository_;
  const BackupInfo& backup_;
  const WalLine line_;
  const VerifyOptions& options_;
  Findings& findings_;
};

}  // namespace

std::uint64_t check_needed_wal(const Repository& repository, const BackupInfo& backup,
                               const VerifyOptions& options, Findings& findings,
                               const std::stop_token& stop) {
  if (backup.standalone) return 0;
  const std::string& cluster = backup.name.cluster;
  std::optional<WalLine> line;
  try {
    const auto histories = list_histories(repository, cluster, stop);
    line = wal_line(cluster, histories, backup.name.history);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    findings.add(error.object(), error.message());
    return 0;
  }
  return NeededWalCheck(repository, backup, std::move(*line), options, findings).run(stop);
}

}  // namespace holdfast
