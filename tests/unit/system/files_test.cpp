#include "system/files.h"

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/durable_write.h"

namespace holdfast {
namespace {

using std::filesystem::path;

class Files : public testing::Test {
 protected:
  Files() {
    std::string name = std::filesystem::temp_directory_path() / "holdfast-files-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
  }
  ~Files() override { std::filesystem::remove_all(folder_); }

  std::size_t count_files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  path folder_;
};

std::optional<FileError> failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const FileError& error) {
    return error;
  }
  return std::nullopt;
}

ErrorKind kind_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kBug;
}

TEST_F(Files, DescriptorClosesOnceAndMoves) {
  FileDescriptor first = open_or_throw(folder_ / "a", O_RDWR | O_CREAT);
  const int fd = first.get();
  FileDescriptor second = std::move(first);
  EXPECT_FALSE(first.valid());
  EXPECT_EQ(second.get(), fd);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  second.close("a");
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_F(Files, ErrorsCarryPathAndErrno) {
  const auto error = failure_of([&] { open_or_throw(folder_ / "none", O_RDONLY); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->error_number(), ENOENT);
  EXPECT_EQ(error->kind(), ErrorKind::kHost);
  EXPECT_NE(error->message().find((folder_ / "none").native()), std::string::npos);
  EXPECT_FALSE(open_to_read(folder_ / "none"));
  EXPECT_TRUE(failure_of([&] { open_to_read(folder_ / std::string(300, 'x')); }));
}

TEST_F(Files, ReadAtStopsAtTheEndAndWriteAtFillsHoles) {
  const FileDescriptor file = open_or_throw(folder_ / "a", O_RDWR | O_CREAT);
  write_at(file.get(), 3, as_bytes("abc"), "a");
  Bytes out(10, std::byte{9});
  EXPECT_EQ(read_at(file.get(), 1, out, "a"), 5U);
  EXPECT_EQ(as_text(ByteView(out).first(5)), std::string_view("\0\0abc", 5));
  EXPECT_EQ(read_at(file.get(), 100, out, "a"), 0U);
}

TEST_F(Files, ReadFileKeepsToItsLimit) {
  EXPECT_FALSE(read_file(folder_ / "none", 10));
  write_durably(folder_ / "a", as_bytes("0123456789"), 0600, Overwrite::kNo);
  EXPECT_EQ(read_file(folder_ / "a", 10), "0123456789");
  EXPECT_EQ(read_file(folder_ / "a", 1U << 30U), "0123456789");
  EXPECT_EQ(kind_of([&] { read_file(folder_ / "a", 9); }), ErrorKind::kHost);
  EXPECT_GT(read_file("/proc/self/status", 1U << 20U)->size(), 100U);  // its size is said to be 0
}

int no_links(int, const char*, const char*) {
  return EOPNOTSUPP;
}
int no_flags(int, const char*, const char*) {
  return EINVAL;
}
int fail_io(int, const char*, const char*) {
  return EIO;
}

// A network file system that does the link, but whose answer got lost.
int link_twice(int folder, const char* from, const char* to) {
  system_publish_calls().link(folder, from, to);
  return system_publish_calls().link(folder, from, to);
}

TEST_F(Files, WriteReplacesOnlyWhenAskedAndLeavesNoTemporary) {
  const path file = folder_ / "a";
  EXPECT_EQ(write_durably(file, as_bytes("one"), 0640, Overwrite::kNo), WriteOutcome::kWritten);
  EXPECT_EQ(write_durably(file, as_bytes("two"), 0640, Overwrite::kNo), WriteOutcome::kExists);
  EXPECT_EQ(read_file(file, 10), "one");
  EXPECT_EQ(write_durably(file, as_bytes(""), 0600, Overwrite::kYes), WriteOutcome::kWritten);
  EXPECT_EQ(read_file(file, 10), "");
  struct stat status{};
  ::stat(file.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(status.st_nlink, 1U);
  EXPECT_EQ(count_files(), 1U);
}

TEST_F(Files, EveryWayOfConcurrentPublishingCreatesOnlyOnce) {
  const FileDescriptor folder = open_folder(folder_);
  const PublishCalls ways[] = {
      system_publish_calls(),
      {.link = no_links, .rename_no_replace = system_publish_calls().rename_no_replace},
      {.link = no_links, .rename_no_replace = no_flags}};
  int way = 0;
  for (const PublishCalls& calls : ways) {
    const path file = folder_ / ("way" + std::to_string(way++));
    // Past the first look at the name, so that it is the publishing that is tested.
    std::atomic<int> written{0};
    {
      std::vector<std::jthread> writers;
      for (int i = 0; i < 8; ++i) {
        writers.emplace_back([&, i] {
          const DurableWrite how{.calls = calls};
          const std::string content(1U << 20U, char('a' + i));
          written += write_durably_in({.folder = folder.get(), .path = file}, as_bytes(content),
                                      how) == WriteOutcome::kWritten;
        });
      }
    }
    EXPECT_EQ(written, 1) << way;
    EXPECT_EQ(count_files(), static_cast<std::size_t>(way));
  }
}

TEST_F(Files, LostAnswerToALinkIsStillOurs) {
  const FileDescriptor folder = open_folder(folder_);
  const path file = folder_ / "a";
  const DurableWrite how{.calls = {.link = link_twice, .rename_no_replace = no_flags}};
  EXPECT_EQ(write_durably_in({.folder = folder.get(), .path = file}, as_bytes("x"), how),
            WriteOutcome::kWritten);
  EXPECT_EQ(count_files(), 1U);
}

TEST_F(Files, FailedPublishRemovesTheTemporary) {
  const FileDescriptor folder = open_folder(folder_);
  const DurableWrite how{.calls = {.link = fail_io, .rename_no_replace = fail_io}};
  const path file = folder_ / "a";
  const auto error = failure_of(
      [&] { write_durably_in({.folder = folder.get(), .path = file}, as_bytes("x"), how); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->error_number(), EIO);
  EXPECT_EQ(count_files(), 0U);
}

// RLIMIT_FSIZE is a full disk that every user can have: write(2) stops in the middle.
TEST_F(Files, WriteThatFailsHalfwayLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{5U << 20U, 5U << 20U};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string content(8U << 20U, 'x');
    const auto error =
        failure_of([&] { write_durably(folder_ / "a", as_bytes(content), 0600, Overwrite::kNo); });
    ::_exit(error && error->error_number() == EFBIG && count_files() == 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Files, FullDiskHasAHint) {
  const FileDescriptor full = open_or_throw("/dev/full", O_WRONLY);
  const auto error = failure_of([&] { write_at(full.get(), 0, as_bytes("x"), "/dev/full"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->error_number(), ENOSPC);
  EXPECT_NE(error->hint().find("Free space"), std::string::npos);
}

TEST_F(Files, CancelledWriteLeavesNothing) {
  const FileDescriptor folder = open_folder(folder_);
  std::stop_source source;
  source.request_stop();
  const DurableWrite how{.stop = source.get_token()};
  const path file = folder_ / "a";
  EXPECT_EQ(kind_of([&] {
              write_durably_in({.folder = folder.get(), .path = file}, as_bytes("x"), how);
            }),
            ErrorKind::kCancelled);
  EXPECT_EQ(count_files(), 0U);
}

TEST_F(Files, MakeFoldersIsIdempotentAndConcurrent) {
  make_folders(folder_ / "a/b/c/", 0700);
  make_folders(folder_ / "a/b/c", 0700);
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "a/b/c"));
  write_durably(folder_ / "file", as_bytes("x"), 0600, Overwrite::kNo);
  EXPECT_EQ(failure_of([&] { make_folders(folder_ / "file", 0700); })->error_number(), ENOTDIR);
  EXPECT_TRUE(failure_of([&] { make_folders(folder_ / "file/below", 0700); }));

  std::atomic<bool> done{false};
  std::jthread remover([&] {
    while (!done) {
      ::rmdir((folder_ / "x/y").c_str());
      ::rmdir((folder_ / "x").c_str());
    }
  });
  int failures = 0;
  for (int i = 0; i < 200; ++i) {
    const auto error = failure_of([&] { make_folders(folder_ / "x/y/z", 0700); });
    // Gone again between making and syncing it: said, not hidden.
    if (error && error->error_number() != ENOENT) ++failures;
    ::rmdir((folder_ / "x/y/z").c_str());
  }
  done = true;
  EXPECT_EQ(failures, 0);
}

TEST_F(Files, RemoveDurablyMindsNothingMissing) {
  write_durably(folder_ / "a", as_bytes("x"), 0600, Overwrite::kNo);
  remove_durably(folder_ / "a");
  remove_durably(folder_ / "a");
  EXPECT_EQ(count_files(), 0U);
  EXPECT_TRUE(failure_of([&] { remove_durably(folder_ / "none/a"); }));
}

TEST_F(Files, LockHoldsUntilItsOwnerIsGone) {
  auto held = FileLock::try_acquire(folder_ / "lock");
  ASSERT_TRUE(held);
  EXPECT_FALSE(FileLock::try_acquire(folder_ / "lock"));
  held.reset();
  EXPECT_TRUE(FileLock::try_acquire(folder_ / "lock"));

  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = FileLock::try_acquire(folder_ / "lock");
    [[maybe_unused]] const ssize_t told = ::write(ready[1], lock ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::try_acquire(folder_ / "lock"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::try_acquire(folder_ / "lock"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Files, SecretIsRefusedWhenOthersMayReadIt) {
  const path file = folder_ / "secret";
  write_durably(file, as_bytes("  pass word \r\n\n"), 0600, Overwrite::kNo);
  EXPECT_EQ(read_secret_file(file), "  pass word ");
  for (const mode_t mode : {0640U, 0604U, 0620U}) {
    ::chmod(file.c_str(), mode);
    EXPECT_EQ(kind_of([&] { read_secret_file(file); }), ErrorKind::kConfiguration) << mode;
  }
  EXPECT_TRUE(failure_of([&] { read_secret_file(folder_ / "none"); }));
  write_durably(folder_ / "big", as_bytes(std::string(70'000, 'x')), 0600, Overwrite::kNo);
  EXPECT_EQ(kind_of([&] { read_secret_file(folder_ / "big"); }), ErrorKind::kConfiguration);
}

// Opening a pipe that nobody writes to would wait for ever.
TEST_F(Files, SecretMustBeARegularFile) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(kind_of([&] { read_secret_file(folder_ / "pipe"); }), ErrorKind::kConfiguration);
  ::mkdir((folder_ / "folder").c_str(), 0700);
  EXPECT_EQ(kind_of([&] { read_secret_file(folder_ / "folder"); }), ErrorKind::kConfiguration);
  // Kubernetes mounts secrets as links.
  write_durably(folder_ / "secret", as_bytes("x"), 0600, Overwrite::kNo);
  std::filesystem::create_symlink("secret", folder_ / "link");
  EXPECT_EQ(read_secret_file(folder_ / "link"), "x");
}

TEST_F(Files, SpaceAndSync) {
  EXPECT_GT(free_bytes(folder_), 0U);
  EXPECT_TRUE(failure_of([&] { free_bytes(folder_ / "none"); }));
  sync_file_system(folder_);
  EXPECT_TRUE(failure_of([&] { sync_file_system(folder_ / "none"); }));
}

}  // namespace
}  // namespace holdfast
