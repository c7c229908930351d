#pragma once
// PostgreSQL on a restored copy, started so that it reaches nothing outside of itself
// (isolation.h), as a child of this process that does not outlive it.
//
// Guarantees: only the user who runs it can connect, through a socket in a folder of its own; the
//   folder and the server are gone when the object is. As root, which PostgreSQL refuses, it runs
//   as the owner of the data directory.
// Errors: kPostgres when it ends by itself, with what its log said last; kHost; kCancelled.
// Threads: one at a time, the thread that made it; that thread must live as long as the server.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/progress.h"
#include "recover/copy_start.h"
#include "system/child_process.h"

namespace holdfast {

class IsolatedServer {
 public:
  explicit IsolatedServer(CopyServerOptions options);
  ~IsolatedServer();
  IsolatedServer(const IsolatedServer&) = delete;
  IsolatedServer& operator=(const IsolatedServer&) = delete;

  // Until recovery has ended and the first superuser, initdb's, can open a session. kPostgres when
  // none of the known roles can, though the server says that it is ready.
  void wait_until_open(Progress& progress, const std::stop_token& stop);
  // For Connection (postgres/connection.h), as that superuser.
  std::string connection(const std::string& database) const;
  // A clean stop, after which its files are consistent.
  void stop(const std::stop_token& stop);

 private:
  class Folder {
   public:
    explicit Folder(const std::optional<ChildUser>& user);
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::filesystem::path path;
  };

  bool find_superuser(const std::stop_token& stop);
  bool is_ready() const;
  [[noreturn]] void throw_ended(int exit_code) const;

  const CopyServerOptions options_;
  const std::optional<ChildUser> user_;  // as whom it runs; none: as we do
  Folder folder_;
  std::string superuser_;
  std::string last_refusal_;  // of a session
  std::optional<ChildProcess> server_;
};

}  // namespace holdfast
