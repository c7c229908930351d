#pragma once
// A file system of a few megabytes of its own, for tests of full disks; gone with the object.
//
// Without the right to mount, a user namespace of its own gives it to this process, for as long as
// that lives; the programs that it starts from then on do not have the right, but see what is
// mounted. Servers that ran before do not see it. Where the kernel allows none of that, mounted()
// is false. Threads: the first one is made while the process has no other thread.

#include <filesystem>

namespace holdfast::test {

class SmallDisk {
 public:
  // `at` is made if it is not there; what is in it is hidden meanwhile.
  SmallDisk(const std::filesystem::path& at, int megabytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  // Writes until nothing more fits; the file that it writes.
  std::filesystem::path fill() const;

 private:
  const std::filesystem::path path_;
  bool mounted_ = false;
};

}  // namespace holdfast::test
