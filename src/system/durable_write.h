#pragma once
// The parts of write_durably (system/files.h), for callers that hold the folder open, write much at
// a time or run on a file system of their own choosing.
//
// Publishing without replacing takes the first of three ways that the file system knows:
//   link(2), else renameat2(2) with RENAME_NOREPLACE, else a reservation: "<name>.tmp-lock" is
//   created with O_EXCL, the name is looked up, and rename(2) follows if it is free.
// The first two are atomic by the kernel's word. The third excludes everyone who goes the same way,
// which on one file system is everyone. A reservation left by a crash makes writers of that name
// fail with a hint after kReservationPatience; nobody breaks it by guessing its owner dead.
// Errors: FileError. Durability: content and the folder's entry are synced before the call returns,
//   also for kExists: then whoever created the file may not have synced its entry yet.
// Threads: no state; any.

#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "system/files.h"

namespace holdfast {

// What marks a file's name as a temporary one: "<name>.tmp-<16 hexadecimal digits>".
inline constexpr std::string_view kTemporaryMark = ".tmp-";
bool is_temporary_name(std::string_view name);

inline constexpr std::chrono::milliseconds kReservationPatience{10'000};

// The two system calls that publish without replacing, as functions that return 0 or an errno, so
// that a test can behave like a file system without them.
struct PublishCalls {
  int (*link)(int folder, const char* from, const char* to);
  int (*rename_no_replace)(int folder, const char* from, const char* to);
  std::chrono::milliseconds reservation_patience = kReservationPatience;
};
const PublishCalls& system_publish_calls();

struct DurableWrite {
  mode_t mode = 0600;
  Overwrite overwrite = Overwrite::kNo;
  std::stop_token stop = {};  // looked at every few MiB; the rest is one fsync
  PublishCalls calls = system_publish_calls();
};

// A name in an open folder. `path` is the whole path: its last part is the name, all of it is for
// messages.
struct FolderEntry {
  int folder;
  const std::filesystem::path& path;
};

WriteOutcome write_durably_in(const FolderEntry& entry, ByteView content, const DurableWrite& how);

}  // namespace holdfast
