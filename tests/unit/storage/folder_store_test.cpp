// What a folder does beyond the conformance suite: publishing on poor file systems, crashes, the
// mark, order and paging of listings.

#include "storage/folder_store.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "storage/folder_listing.h"
#include "storage/leftovers.h"
#include "temporary_folder.h"

namespace holdfast {
namespace {

using test::count_temporaries;
using test::FolderRepository;
using test::TemporaryFolder;

const std::stop_token kNoStop;

PutOutcome put(ObjectStore& store, const std::string& name, std::string_view content = "x") {
  return store.put(name, as_bytes(content), {}, kNoStop);
}

std::optional<std::string> get(ObjectStore& store, const std::string& name) {
  const auto content = store.get(name, kNoStop);
  return content ? std::optional(std::string(as_text(*content))) : std::nullopt;
}

std::vector<std::string> names_of(const ListPage& page) {
  std::vector<std::string> names;
  for (const ObjectInfo& object : page.objects) names.push_back(object.name);
  return names;
}

std::vector<std::string> list_all(ObjectStore& store, ListRequest request) {
  std::vector<std::string> names;
  for (;;) {
    const ListPage page = store.list(request, kNoStop);
    for (const std::string& name : names_of(page)) names.push_back(name);
    for (const std::string& name : page.folders) names.push_back(name);
    if (!page.next) return names;
    request.after = *page.next;
  }
}

ErrorKind kind_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kBug;
}

int no_links(int, const char*, const char*) {
  return EPERM;
}
int no_flags(int, const char*, const char*) {
  return EINVAL;
}

PublishCalls calls_of_file_system(const std::string& kind) {
  PublishCalls calls = system_publish_calls();
  if (kind != "hard_links") calls.link = no_links;
  if (kind == "neither") calls.rename_no_replace = no_flags;
  return calls;
}

class FolderPublish : public testing::TestWithParam<std::string> {
 protected:
  FolderRepository repository_;
  std::unique_ptr<ObjectStore> store_ = repository_.open(calls_of_file_system(GetParam()));
};

TEST_P(FolderPublish, CreatesOnceAndLeavesNoTemporary) {
  EXPECT_EQ(put(*store_, "a/b/object", "first"), PutOutcome::kCreated);
  EXPECT_EQ(put(*store_, "a/b/object", "second"), PutOutcome::kExists);
  EXPECT_EQ(get(*store_, "a/b/object"), "first");
  EXPECT_EQ(count_temporaries(repository_.root()), 0U);
}

TEST_P(FolderPublish, OfManyConcurrentWritersOneWins) {
  for (int round = 0; round < 10; ++round) {
    const std::string name = "race/" + std::to_string(round);
    std::atomic<int> created{0};
    std::atomic<int> winner{-1};
    {
      std::vector<std::jthread> writers;
      for (int i = 0; i < 8; ++i) {
        writers.emplace_back([&, i] {
          if (put(*store_, name, std::string(5000, char('a' + i))) == PutOutcome::kCreated) {
            ++created;
            winner = i;
          }
        });
      }
    }
    ASSERT_EQ(created, 1);
    ASSERT_EQ(get(*store_, name), std::string(5000, char('a' + winner)));
  }
  EXPECT_EQ(count_temporaries(repository_.root()), 0U);
}

TEST_P(FolderPublish, ConcurrentReaderNeverSeesHalfAnObject) {
  const std::string content(12U << 20U, 'z');
  for (int round = 0; round < 4; ++round) {
    const std::string name = "half/" + std::to_string(round);
    std::atomic<bool> done{false};
    std::atomic<int> looks{0};
    std::atomic<int> wrong{0};
    std::jthread reader([&] {
      while (!done) {
        const auto info = store_->head(name, kNoStop);
        if (info && info->size != content.size()) ++wrong;
        const auto listed = store_->list({.prefix = "half/"}, kNoStop).objects;
        for (const ObjectInfo& object : listed) wrong += object.size != content.size();
        ++looks;
      }
    });
    while (looks == 0) std::this_thread::yield();
    EXPECT_EQ(put(*store_, name, content), PutOutcome::kCreated);
    done = true;
    reader.join();
    EXPECT_EQ(wrong, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(FileSystems, FolderPublish,
                         testing::Values("hard_links", "rename_flags", "neither"),
                         [](const auto& kind) { return kind.param; });

TEST(FolderStore, KilledWriterLeavesNothingVisible) {
  const FolderRepository repository(test::Medium::kDisk);
  const std::uint32_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const std::string content(48U << 20U, 'k');
  for (int round = 0; round < 12; ++round) {
    const std::string name = "kill/" + std::to_string(round);
    const pid_t child = ::fork();
    if (child == 0) {
      put(*repository.open(), name, content);
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto store = repository.open();
    const auto found = get(*store, name);
    if (found) {
      EXPECT_EQ(*found, content);
    } else {
      EXPECT_TRUE(list_all(*store, {.prefix = name}).empty());
      EXPECT_EQ(put(*store, name, content), PutOutcome::kCreated);
    }
  }
  EXPECT_EQ(list_all(*repository.open(), {}).size(), 12U);
}

TEST(FolderStore, TemporariesAreInvisibleAndOldOnesAreRemoved) {
  const FolderRepository repository;
  put(*repository.open(), "a/object");
  const auto old_file = repository.root() / "a/object2.tmp-0123456789abcdef";
  const auto new_file = repository.root() / "a/object2.tmp-fedcba9876543210";
  std::ofstream(old_file) << "half";
  std::ofstream(new_file) << "half";
  const auto now = std::filesystem::last_write_time(new_file);
  std::filesystem::last_write_time(old_file, now - std::chrono::hours(25));
  std::filesystem::last_write_time(new_file, now - std::chrono::hours(23));

  const auto store = repository.open();
  EXPECT_EQ(list_all(*store, {}), std::vector<std::string>{"a/object"});
  EXPECT_EQ(kind_of([&] { get(*store, "a/object2.tmp-0123456789abcdef"); }), ErrorKind::kBug);
  put(*store, "a/other");
  EXPECT_FALSE(std::filesystem::exists(old_file));
  EXPECT_TRUE(std::filesystem::exists(new_file));
}

TEST(FolderStore, LeftoversBelowAPrefixAreRemovedWhenTheyAreOld) {
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "dead/begin");
  put(*store, "other/object");
  const auto file = [&](const std::string& name, int hours) {
    const auto path = repository.root() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "half";
    const auto now = std::filesystem::last_write_time(path);
    std::filesystem::last_write_time(path, now - std::chrono::hours(hours));
    return path;
  };
  const auto old_one = file("dead/pack/000001.tmp-0123456789abcdef", 25);
  const auto young = file("dead/pack/000002.tmp-0123456789abcdef", 1);
  const auto object = file("dead/pack/000003", 25);
  const auto elsewhere = file("other/x.tmp-0123456789abcdef", 25);
  EXPECT_EQ(remove_leftovers(*store, "dead/", {}), 1U);
  EXPECT_FALSE(std::filesystem::exists(old_one));
  EXPECT_TRUE(std::filesystem::exists(young)) << "somebody may be writing it";
  EXPECT_TRUE(std::filesystem::exists(object)) << "it is an object";
  EXPECT_TRUE(std::filesystem::exists(elsewhere));
  EXPECT_EQ(remove_leftovers(*store, "missing/", {}), 0U);
}

TEST(FolderStore, ReservationOfACrashedWriterIsReportedNotBroken) {
  const FolderRepository repository;
  PublishCalls calls = calls_of_file_system("neither");
  calls.reservation_patience = std::chrono::milliseconds(50);
  const auto store = repository.open(calls);
  put(*store, "a/first");
  const auto lock = repository.root() / "a/object.tmp-lock";
  std::ofstream(lock) << "";
  try {
    put(*store, "a/object");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRepository);
    EXPECT_NE(error.hint().find(lock.native()), std::string::npos) << error.hint();
  }
  EXPECT_FALSE(get(*store, "a/object"));
  std::filesystem::remove(lock);
  EXPECT_EQ(put(*store, "a/object"), PutOutcome::kCreated);
}

TEST(FolderStore, MissingRootOrMarkIsAnErrorNeverAbsent) {
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "a/object");
  const auto expect_errors = [&] {
    std::byte byte{};
    EXPECT_EQ(kind_of([&] { get(*store, "nothing"); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { store->get_range("nothing", 0, {&byte, 1}, kNoStop); }),
              ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { store->head("nothing", kNoStop); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { list_all(*store, {}); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { store->remove("nothing", kNoStop); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { store->remove_many({"nothing"}, kNoStop); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { store->now(kNoStop); }), ErrorKind::kRepository);
    EXPECT_EQ(kind_of([&] { put(*store, "new"); }), ErrorKind::kRepository);
  };
  const auto away = repository.root().native() + ".away";
  std::filesystem::rename(repository.root(), away);
  expect_errors();
  std::filesystem::create_directory(repository.root());  // as an empty mount point
  expect_errors();
  EXPECT_TRUE(std::filesystem::is_empty(repository.root()));
  std::filesystem::remove(repository.root());
  std::filesystem::rename(away, repository.root());
  EXPECT_EQ(get(*store, "a/object"), "x");
  EXPECT_FALSE(get(*store, "nothing"));
}

TEST(FolderStore, InitRefusesAFolderWithOtherFilesAndRepeatsItself) {
  const TemporaryFolder folder;
  const auto root = folder.path() / "deep/er/";
  create_folder_root(root);
  put(*make_folder_store(root), "object");
  create_folder_root(root);
  std::ofstream(folder.path() / "letter.txt") << "Dear …";
  EXPECT_EQ(kind_of([&] { create_folder_root(folder.path()); }), ErrorKind::kRefused);
}

TEST(FolderStore, BadNamesNeverLeaveTheRoot) {
  const FolderRepository repository;
  const auto store = repository.open();
  for (const std::string name : {"", "/", "/etc/passwd", "a//b", "a/", "..", "../x", "a/../b",
                                 "a/.", ".hidden", "a\nb", "a\x80", "a.tmp-b", "holdfast.folder"}) {
    EXPECT_EQ(kind_of([&] { put(*store, name); }), ErrorKind::kBug) << name;
    EXPECT_EQ(kind_of([&] { get(*store, name); }), ErrorKind::kBug) << name;
  }
  EXPECT_EQ(kind_of([&] { list_all(*store, {.prefix = "../"}); }), ErrorKind::kBug);
  EXPECT_EQ(kind_of([&] { put(*store, std::string(201, 'a')); }), ErrorKind::kBug);
}

TEST(FolderStore, AFolderIsNoObjectAndAnObjectNoFolder) {
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "a/b");
  EXPECT_FALSE(get(*store, "a"));
  EXPECT_FALSE(store->head("a", kNoStop));
  EXPECT_FALSE(get(*store, "a/b/c"));
  store->remove("a", kNoStop);
  EXPECT_EQ(get(*store, "a/b"), "x");
  EXPECT_EQ(kind_of([&] { put(*store, "a/b/c"); }), ErrorKind::kRepository);
}

TEST(FolderStore, RemoveTakesEmptyFoldersAlongDuringConcurrentPuts) {
  const FolderRepository repository;
  const auto store = repository.open();
  std::vector<std::jthread> workers;
  std::atomic<int> failures{0};
  for (int i = 0; i < 6; ++i) {
    workers.emplace_back([&, i] {
      const auto mine = repository.open();
      const std::string name = "x/y/z/" + std::to_string(i);
      for (int round = 0; round < 60; ++round) {
        try {
          if (put(*mine, name) != PutOutcome::kCreated || get(*mine, name) != "x") ++failures;
          mine->remove(name, kNoStop);
        } catch (const Error& error) {
          std::cout << error.message() << "\n";
          ++failures;
        }
      }
    });
  }
  workers.clear();
  EXPECT_EQ(failures, 0);
  EXPECT_FALSE(std::filesystem::exists(repository.root() / "x"));
  EXPECT_TRUE(std::filesystem::exists(repository.root()));
}

// Any names, any prefix, any limit, any start: the same as sorting and filtering them all.
TEST(FolderStore, ListingEqualsTheModel) {
  const std::uint32_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const FolderRepository repository;
  const auto store = repository.open();
  const std::array<std::string, 9> parts{"a", "a-b", "a.b", "a0", "aa", "b", "a b", "a+", "~"};
  const auto random_name = [&] {
    std::string name;
    for (std::size_t i = 0, depth = 1 + random() % 4; i < depth; ++i) {
      // Folders and objects differ by a suffix, so that no name is both.
      name += (i > 0 ? "d/" : "") + parts[random() % parts.size()];
    }
    return name;
  };
  std::set<std::string> names;
  for (int i = 0; i < 150; ++i) names.insert(random_name());
  for (const std::string& name : names) put(*store, name);
  std::filesystem::create_directories(repository.root() / "bd/empty/folder");

  for (int round = 0; round < 600; ++round) {
    std::string prefix = random() % 4 == 0 ? "" : random_name();
    prefix.resize(random() % (prefix.size() + 1));
    std::string after = random() % 2 == 0 ? "" : random_name();
    after.resize(random() % (after.size() + 1));
    const bool group = random() % 2 == 0;
    std::set<std::string> expected;
    for (const std::string& name : names) {
      if (!name.starts_with(prefix)) continue;
      const std::size_t slash = name.find('/', prefix.size());
      const std::string shown =
          group && slash != std::string::npos ? name.substr(0, slash + 1) : name;
      if (shown > after) expected.insert(shown);
    }
    const ListRequest request{
        .prefix = prefix, .after = after, .group_folders = group, .limit = 1 + random() % 7};
    std::vector<std::string> found = list_all(*store, request);
    // Within a page folders come behind objects; both are in order by themselves.
    std::ranges::sort(found);
    ASSERT_EQ(found, std::vector<std::string>(expected.begin(), expected.end()))
        << "prefix '" << prefix << "' after '" << after << "' limit " << request.limit;
  }
}

TEST(FolderStore, LargeFolderIsListedInOrderAndSeesChangesBetweenPages) {
  const FolderRepository repository;
  const auto store = repository.open();
  const auto folder = repository.root() / "big";
  std::filesystem::create_directory(folder);
  constexpr std::size_t kCount = 2 * kScanEntries + 1000;
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string name = std::to_string(i * 7919 % kCount);
    const int fd = ::open((folder / name).c_str(), O_WRONLY | O_CREAT, 0600);
    ASSERT_GE(fd, 0);
    ::close(fd);
    expected.push_back("big/" + name);
  }
  std::ranges::sort(expected);
  // Old enough that what a page has read may be kept for the next.
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, folder.c_str(), times, 0), 0);
  EXPECT_EQ(list_all(*store, {.prefix = "big/", .limit = 5000}), expected);

  const ListPage first = store->list({.prefix = "big/", .limit = 10}, kNoStop);
  put(*store, "big/zzz");
  store->remove("big/999", kNoStop);
  ListRequest rest{.prefix = "big/", .after = *first.next, .limit = kCount};
  const auto names = names_of(store->list(rest, kNoStop));
  EXPECT_EQ(names.back(), "big/zzz");
  EXPECT_FALSE(std::ranges::binary_search(names, std::string("big/999")));
  EXPECT_EQ(names.size(), kCount - 10);
}

TEST(FolderStore, DanglingLinkIsAMissingDiskNotAnAbsentObject) {
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "a/object");
  std::filesystem::create_directory_symlink("/nonexistent/disk", repository.root() / "b");
  std::filesystem::create_symlink("/nonexistent/file", repository.root() / "a" / "linked");
  for (const std::string name : {"b/object", "b/folder/object", "a/linked"}) {
    EXPECT_EQ(kind_of([&] { get(*store, name); }), ErrorKind::kRepository) << name;
    EXPECT_EQ(kind_of([&] { store->head(name, kNoStop); }), ErrorKind::kRepository) << name;
    Bytes part(1);
    EXPECT_EQ(kind_of([&] { store->get_range(name, 0, part, kNoStop); }), ErrorKind::kRepository)
        << name;
  }
  EXPECT_EQ(get(*store, "a/other"), std::nullopt);  // absent all the same beside them
  EXPECT_EQ(store->head("c/object", kNoStop), std::nullopt);
  std::filesystem::remove(repository.root() / "a" / "linked");
  EXPECT_EQ(kind_of([&] { list_all(*store, {}); }), ErrorKind::kRepository);
  std::filesystem::remove(repository.root() / "b");
  std::filesystem::create_directory_symlink(repository.root() / "a", repository.root() / "b");
  EXPECT_EQ(list_all(*store, {}), (std::vector<std::string>{"a/object", "b/object"}));
}

TEST(FolderStore, FolderWithoutPermissionIsAnError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may do everything";
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "a/object");
  std::filesystem::permissions(repository.root() / "a", std::filesystem::perms::none);
  EXPECT_EQ(kind_of([&] { get(*store, "a/object"); }), ErrorKind::kRepository);
  EXPECT_EQ(kind_of([&] { list_all(*store, {}); }), ErrorKind::kRepository);
  EXPECT_EQ(kind_of([&] { put(*store, "a/other"); }), ErrorKind::kRepository);
  std::filesystem::permissions(repository.root() / "a", std::filesystem::perms::owner_all);
}

int disk_full(int, const char*, const char*) {
  return ENOSPC;
}
int server_gone(int, const char*, const char*) {
  return ESTALE;
}

TEST(FolderStore, FullDiskIsTheRepositorysErrorAndNoRetryMendsIt) {
  const FolderRepository repository;
  const auto error_of = [&](int (*link)(int, const char*, const char*)) {
    PublishCalls calls = system_publish_calls();
    calls.link = link;
    try {
      put(*repository.open(calls), "a/object");
    } catch (const Error& error) {
      return error;
    }
    return Error(ErrorKind::kBug, "no error");
  };
  const Error full = error_of(disk_full);
  EXPECT_EQ(full.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(full.retryable());
  EXPECT_EQ(full.object(), "a/object");
  EXPECT_NE(full.hint().find("Free space"), std::string::npos) << full.hint();
  const Error gone = error_of(server_gone);
  EXPECT_EQ(gone.kind(), ErrorKind::kRepository);
  EXPECT_TRUE(gone.retryable());
  EXPECT_EQ(count_temporaries(repository.root()), 0U);
}

TEST(FolderStore, CancelledPutLeavesNothing) {
  const FolderRepository repository;
  const auto store = repository.open();
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(kind_of([&] { store->put("a", as_bytes("x"), {}, source.get_token()); }),
            ErrorKind::kCancelled);
  EXPECT_FALSE(get(*store, "a"));
  EXPECT_EQ(count_temporaries(repository.root()), 0U);
}

TEST(FolderStore, ObjectTooLargeOrTooShortIsDamage) {
  const FolderRepository repository;
  const auto store = repository.open();
  put(*store, "object", "12345");
  ASSERT_EQ(::truncate((repository.root() / "object").c_str(), off_t{kMaxObjectBytes} + 1), 0);
  EXPECT_EQ(kind_of([&] { get(*store, "object"); }), ErrorKind::kDamage);
  ASSERT_EQ(::truncate((repository.root() / "object").c_str(), 3), 0);
  Bytes out(4);
  EXPECT_EQ(kind_of([&] { store->get_range("object", 0, out, kNoStop); }), ErrorKind::kDamage);
}

TEST(FolderStore, ClockIsThatOfTheFileSystem) {
  const FolderRepository repository;
  const auto difference = repository.open()->now(kNoStop) - system_clock().now();
  EXPECT_LT(std::chrono::abs(difference), std::chrono::seconds(5));
  EXPECT_EQ(count_temporaries(repository.root()), 0U);
}

}  // namespace
}  // namespace holdfast
