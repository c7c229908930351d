#pragma once
// The parts of `check`, and the list that they write their findings into. Internal to app/check.cpp
// and its neighbours.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/check.h"
#include "core/error.h"
#include "postgres/session.h"
#include "repository/history.h"
#include "repository/repository.h"

namespace holdfast {

class CheckFindings {
 public:
  void ok(std::string name, std::string detail) {
    add({std::move(name), FindingLevel::kOk, std::move(detail)});
  }
  void add(CheckFinding finding) {
    if (finding.repository.empty()) finding.repository = repository_;
    list_.push_back(std::move(finding));
  }
  // What is found from now on is about this repository; empty: about none.
  void look_at(std::string repository) { repository_ = std::move(repository); }

  // Runs `look`; an Error becomes a failed finding of this name. kCancelled passes.
  template <class Look>
  void attempt(const std::string& name, Look look) {
    try {
      look();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      fail(name, error);
    }
  }
  void fail(const std::string& name, const Error& error);

  std::vector<CheckFinding> take() { return std::move(list_); }

 private:
  std::vector<CheckFinding> list_;
  std::string repository_;
};

// A repository that could be opened.
struct CheckedRepository {
  const RepositoryConfig& config;
  std::unique_ptr<Repository> repository;
};

// nullopt when there is no connection; the findings then say why.
std::optional<Session> check_connection(CheckFindings& findings, const Config& config,
                                        const std::stop_token& stop);
// Privileges, settings, and for a standby its primary.
void check_postgres(CheckFindings& findings, Session& session, const Config& config,
                    const std::stop_token& stop);
// The data directory: the server's own, and readable.
void check_data_directory(CheckFindings& findings, Session& session, const Config& config);

struct ArchiveCheck {
  const Config& config;
  const std::vector<CheckedRepository>& repositories;
};
// That WAL is archived: ends a segment and waits until the repositories that hold WAL have it; and
// the settings that would make an archive useless.
void check_archive(CheckFindings& findings, Session& session, const ArchiveCheck& check,
                   const std::stop_token& stop);

// Invariant 6: two servers that go on with one history are an alarm. Looks into one repository;
// false when another server was promoted behind this one.
struct WritersCheck {
  const Repository& repository;
  const HistoryRecord& history;
  std::string cluster;
  TimelineId timeline;  // that this server writes
};
bool check_other_writers(CheckFindings& findings, const WritersCheck& check,
                         const std::stop_token& stop);

struct RepositoryCheck {
  const RepositoryConfig& config;
  const CheckOptions& options;
};
// nullptr when it cannot be opened; the findings then say why.
std::unique_ptr<Repository> check_repository(CheckFindings& findings, const RepositoryCheck& check,
                                             const std::stop_token& stop);
// That this store may be written, read, listed and cleaned up, in every configured storage class.
void check_rights(CheckFindings& findings, Repository& repository, const RepositoryConfig& config,
                  const std::stop_token& stop);

}  // namespace holdfast
