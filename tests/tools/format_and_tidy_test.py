"""tools/format and tools/tidy find what is planted and pass what is clean."""

import json
import unittest

from common import ROOT, ToolTest

CLEAN = "int twice(int number) {\n  return 2 * number;\n}\n"
UGLY = "int twice( int number ){return 2*number;}\n"
BUGGY = """#include <string>
#include <utility>
std::size_t twice(std::string text) {
  std::string moved = std::move(text);
  return moved.size() + text.size();
}
"""


class Format(ToolTest):
    def check(self, text):
        # Beside .clang-format, which is looked for upwards from the file.
        (self.folder / ".clang-format").write_bytes((ROOT / ".clang-format").read_bytes())
        path = self.write("a.cpp", text)
        return self.run_tool(ROOT / "tools" / "format", "--check", path)[:2]

    def test_clean_file_passes(self):
        self.assertEqual(self.check(CLEAN), (0, ""))

    def test_unformatted_file_is_named(self):
        code, said = self.check(UGLY)
        self.assertNotEqual(code, 0)
        self.assertIn("a.cpp: not formatted", said)

    def test_formatting_mends_it(self):
        self.check(UGLY)
        self.assertEqual(self.run_tool(ROOT / "tools" / "format", self.folder / "a.cpp")[0], 0)
        self.assertEqual((self.folder / "a.cpp").read_text(), CLEAN)


class Tidy(ToolTest):
    def check(self, text):
        (self.folder / ".clang-tidy").write_bytes((ROOT / ".clang-tidy").read_bytes())
        source = self.write("src/core/a.cpp", text)
        self.write("build/release/compile_commands.json", json.dumps([
            {"directory": str(self.folder), "file": str(source),
             "command": f"g++ -std=c++20 -Wall -Wextra -Werror -Wno-psabi -O2 -c {source}"}]))
        return self.run_tool(ROOT / "tools" / "tidy", "--root", self.folder, "--all")

    def test_clean_source_passes(self):
        code, said, _ = self.check(CLEAN)
        self.assertEqual((code, said), (0, "tidy: 1 clean, 0 with findings\n"))

    def test_use_after_move_is_found(self):
        code, said, _ = self.check(BUGGY)
        self.assertEqual(code, 1)
        self.assertIn("bugprone-use-after-move", said)
        self.assertIn("tidy: 0 clean, 1 with findings\n", said)

    def check_two(self, folder, first, second):
        """Two sources that are looked at together."""
        (self.folder / ".clang-tidy").write_bytes((ROOT / ".clang-tidy").read_bytes())
        sources = [self.write(f"{folder}/a.cpp", first), self.write(f"{folder}/b.cpp", second)]
        self.write("build/release/compile_commands.json", json.dumps([
            {"directory": str(self.folder), "file": str(source),
             "command": f"g++ -std=c++20 -Wall -o {source.stem}.o -c {source}"}
            for source in sources]))
        return self.run_tool(ROOT / "tools" / "tidy", "--root", self.folder, "--all")

    def test_a_finding_in_the_second_of_two_sources_has_its_place(self):
        # The null dereference is the static analyzer's, which looks at main files only.
        code, said, _ = self.check_two("src/core", CLEAN, "int f(int k) {\n  int* p = nullptr;\n"
                                       "  if (k > 3) p = &k;\n  return *p;\n}\n")
        self.assertEqual(code, 1)
        self.assertIn("src/core/b.cpp:4:10: error: Dereference of null pointer", said)
        self.assertIn("tidy: 1 clean, 1 with findings\n", said)

    def test_sources_that_clash_are_looked_at_alone(self):
        helper = "static int help() { return 1; }\nint NAME() { return help(); }\n"
        code, said, _ = self.check_two("src/core", helper.replace("NAME", "f"),
                                       helper.replace("NAME", "g"))
        self.assertEqual((code, said), (0, "tidy: 2 clean, 0 with findings\n"))

    def test_helpers_of_tests_may_have_one_name(self):
        helper = "namespace {\nint help() { return 1; }\nint NAME() { return help(); }\n}  // namespace\n"
        code, said, _ = self.check_two("tests/unit", helper.replace("NAME", "f"),
                                       helper.replace("NAME", "g"))
        self.assertEqual((code, said), (0, "tidy: 2 clean, 0 with findings\n"))

    def test_a_header_included_twice_is_found(self):
        code, said, _ = self.check_two("src/core", "#include <string>\n" + CLEAN,
                                       "#include <string>\n\n#include <string>\n")
        self.assertEqual(code, 1)
        self.assertIn("src/core/b.cpp:3:1: error: string is included twice", said)

    def test_source_that_does_not_parse_is_a_finding(self):
        self.assertEqual(self.check("int f( {\n")[0], 1)

    def test_file_outside_the_build_is_refused(self):
        self.check(CLEAN)
        code, _, errors = self.run_tool(ROOT / "tools" / "tidy", "--root", self.folder, "src/b.cpp")
        self.assertEqual(code, 2)
        self.assertIn("not in the build: src/b.cpp", errors)

    def test_changed_header_brings_in_its_source_and_the_rotation_covers_all(self):
        from importlib.machinery import SourceFileLoader
        tidy = SourceFileLoader("tidy", str(ROOT / "tools" / "tidy")).load_module()
        self.write("src/core/a.h", "")
        self.write("src/core/only.h", "")
        sources = {"src/core/a.cpp", "src/core/b.cpp", "src/core/c.cpp"}
        for name in sources:
            self.write(name, '#include "core/only.h"\n' if name.endswith("c.cpp") else "")
        tidy.changed_names = lambda root: {"src/core/a.h", "src/core/only.h", "README.md"}
        tidy.rotating_part = lambda names, commit: set()
        self.assertEqual(tidy.pick_changed(self.folder, sources),
                         {"src/core/a.cpp", "src/core/c.cpp"})

    def test_rotation_reaches_every_source(self):
        from importlib.machinery import SourceFileLoader
        tidy = SourceFileLoader("tidy", str(ROOT / "tools" / "tidy")).load_module()
        names = {f"src/core/{number}.cpp" for number in range(40)}
        reached = set()
        for commit in range(tidy.PARTS):
            part = tidy.rotating_part(names, f"{commit:08x}ffff")
            self.assertTrue(part)
            self.assertFalse(part & reached)
            reached |= part
        self.assertEqual(reached, names)


if __name__ == "__main__":
    unittest.main()
