#pragma once
// Histories: the lines of backups and WAL of one cluster (invariant 6). Each is opened by a
// create-only record at <cluster>/<NNNN-system identifier>/history; the highest number is the
// current one.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/wal_position.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

struct HistoryRecord {
  HistoryName name;
  int postgres_version_num = 0;  // when it was opened
  WalSegmentSize wal_segment_size;
  std::string opened;     // RFC 3339
  std::string opened_by;  // host
};

// The names alone, by number, from a listing: their records may be damaged or missing.
std::vector<HistoryName> list_history_names(const Repository& repository,
                                            const std::string& cluster,
                                            const std::stop_token& stop);
// The record of one history; missing or damaged is kDamage.
HistoryRecord read_history(const Repository& repository, const std::string& cluster,
                           const HistoryName& name, const std::stop_token& stop);

// All histories of a cluster, by number; empty when the cluster is not registered.
std::vector<HistoryRecord> list_histories(const Repository& repository, const std::string& cluster,
                                          const std::stop_token& stop);

struct ClusterIdentity {
  std::uint64_t system_identifier = 0;
  int postgres_version_num = 0;
  WalSegmentSize wal_segment_size;
  std::string host;
};
// Opens the first history of a cluster; when one is open already for this very cluster, returns it.
// Another system identifier under this cluster name is kRefused.
struct Registration {
  HistoryRecord history;
  bool created = false;
};
Registration register_cluster(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop);

// The current history, which must be that of `identity`: kRefused when the cluster is not
// registered or is another one.
HistoryRecord current_history(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop);

}  // namespace holdfast
