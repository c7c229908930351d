#include "postgres/local_server.h"

#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

void write_pid_file(const test::TempFolder& folder, const std::string& first_line) {
  test::write_text(folder / "postmaster.pid", first_line + "\n" + folder.path().string() +
                                                  "\n1790000000\n5433\n/run/pg\nlocalhost\n"
                                                  "  5374002     98328\nready   \n");
}

TEST(PostmasterFile, IsRead) {
  const test::TempFolder folder;
  write_pid_file(folder, "4711");
  const auto file = read_postmaster_file(folder.path());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->pid, 4711);
  EXPECT_EQ(file->data_directory, folder.path());
  EXPECT_EQ(file->started.time_since_epoch().count(), 1790000000);
  EXPECT_EQ(file->port, 5433);
  EXPECT_EQ(file->socket_directory, "/run/pg");
  EXPECT_EQ(file->listen_address, "localhost");
  EXPECT_EQ(file->status, "ready");
}

TEST(PostmasterFile, MayHaveItsFirstLinesOnly) {
  const test::TempFolder folder;
  test::write_text(folder / "postmaster.pid", "-12\n");  // postgres --single
  const auto file = read_postmaster_file(folder.path());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->pid, 12);
  EXPECT_EQ(file->port, 0);
}

TEST(PostmasterFile, ThatIsMissingOrNonsense) {
  const test::TempFolder folder;
  EXPECT_FALSE(read_postmaster_file(folder.path()));
  for (const char* const text : {"", "\n", "x\n", "0\n", "99999999999999999999\n"}) {
    test::write_text(folder / "postmaster.pid", text);
    EXPECT_THROW(read_postmaster_file(folder.path()), Error) << text;
  }
}

// A drill failed because it looked in between.
TEST(PostmasterFile, ThatAServerHasJustCreatedIsReadOnceItIsWritten) {
  const test::TempFolder folder;
  test::write_text(folder / "postmaster.pid", "");
  std::jthread server([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{60});
    test::write_text(folder / "postmaster.pid", "4321\n");
  });
  EXPECT_EQ(read_postmaster_file(folder.path())->pid, 4321);
}

TEST(RunningServer, IsAProcessThatWorksInTheDataDirectory) {
  const test::TempFolder folder;
  const test::TempFolder elsewhere;
  test::Process process({.arguments = {"sleep", "60"}, .folder = folder.path()});
  test::Process other({.arguments = {"sleep", "60"}, .folder = elsewhere.path()});
  EXPECT_FALSE(running_server(folder.path()));  // no file
  write_pid_file(folder, std::to_string(process.pid()));
  ASSERT_TRUE(running_server(folder.path()));
  EXPECT_EQ(running_server(folder.path())->pid, process.pid());
  // A left-behind file whose number another program has got since.
  write_pid_file(folder, std::to_string(other.pid()));
  EXPECT_FALSE(running_server(folder.path()));
}

TEST(RunningServer, IsGoneWithItsProcess) {
  const test::TempFolder folder;
  test::Process process({.arguments = {"true"}, .folder = folder.path()});
  const pid_t pid = process.pid();
  process.wait(std::chrono::seconds{10});
  write_pid_file(folder, std::to_string(pid));
  EXPECT_FALSE(running_server(folder.path()));
}

TEST(RunningServer, OfAnotherUserCountsAsRunning) {
  if (geteuid() == 0) GTEST_SKIP() << "root may look at every process";
  const test::TempFolder folder;
  write_pid_file(folder, "1");
  EXPECT_TRUE(running_server(folder.path()));
}

TEST(DataDirectoryVersion, IsThatOfItsFile) {
  const test::TempFolder folder;
  test::write_text(folder / "PG_VERSION", "15\n");
  EXPECT_EQ(data_directory_version(folder.path()), 15);
}

TEST(DataDirectoryVersion, OfAnotherFolderIsAnErrorOfTheConfiguration) {
  const test::TempFolder folder;
  EXPECT_THROW(data_directory_version(folder.path()), Error);
  for (const char* const text : {"", "x", "15.2\n", "-3\n", "0"}) {
    test::write_text(folder / "PG_VERSION", text);
    EXPECT_THROW(data_directory_version(folder.path()), Error) << text;
  }
}

std::filesystem::path make_programs(const test::TempFolder& folder, const std::string& version) {
  const auto program = folder / "postgres";
  test::write_text(program, "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  return folder.path();
}

TEST(BinDirectory, IsTheConfiguredOneWhenItsVersionFits) {
  const test::TempFolder folder;
  EXPECT_EQ(find_bin_directory(99, make_programs(folder, "99.1 (Debian 99.1-1)")), folder.path());
  EXPECT_EQ(find_bin_directory(99, make_programs(folder, "99beta1")), folder.path());
}

TEST(BinDirectory, OfAnotherVersionOrEmptyIsAnErrorOfTheConfiguration) {
  const test::TempFolder folder;
  const auto kind = [&](const std::filesystem::path& configured) {
    try {
      find_bin_directory(99, configured);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kBug;
  };
  EXPECT_EQ(kind(folder.path()), ErrorKind::kConfiguration);
  EXPECT_EQ(kind(make_programs(folder, "98.1")), ErrorKind::kConfiguration);
  EXPECT_EQ(kind({}), ErrorKind::kConfiguration);  // there is no version 99 on any machine
}

}  // namespace
}  // namespace holdfast
