"""tools/check-names finds each kind of name that stands for two things, and only those."""

import unittest

from common import ROOT, ToolTest


def within(*lines, unnamed=False):
    text = ["namespace holdfast {"] + (["namespace {"] if unnamed else []) + list(lines)
    return "\n".join(text + ["}  // namespace"] * (2 if unnamed else 1)) + "\n"


class CheckNames(ToolTest):
    def check(self):
        code, said, _ = self.run_tool(ROOT / "tools" / "check-names", self.folder)
        return code, said

    def plant(self, first, second, *, unnamed=False, names=("src/app/a.cpp", "src/app/b.cpp")):
        for name, lines in zip(names, (first, second)):
            self.write(name, within(*lines, unnamed=unnamed))

    def assert_found(self, text):
        code, said = self.check()
        self.assertEqual((code, len(said.splitlines())), (1, 1), said)
        self.assertIn(text, said)

    def test_this_tree_passes(self):
        self.assertEqual(self.run_tool(ROOT / "tools" / "check-names")[:2], (0, ""))

    def test_class_in_two_modules(self):
        self.plant(["class Findings final", "    : public Base {", "};"], ["struct Findings {", "};"],
                   names=("src/app/check.h", "src/verify/findings.h"))
        self.assert_found("src/app/check.h and src/verify/findings.h: Findings in holdfast twice")

    def test_declared_often_and_defined_once_passes(self):
        self.plant(["class Findings;", "struct Findings::Part {", "};"], ["class Findings {", "};"])
        self.assertEqual(self.check(), (0, ""))

    def test_alias_for_another_type(self):
        self.plant(["using Times = std::vector<int>;"], ["using Times = std::vector<long>;"])
        self.assert_found("Times in holdfast twice")

    def test_alias_for_the_same_type_passes(self):
        self.plant(["using Times = std::vector<int>;"], ["using Times = std::vector<int>;"])
        self.assertEqual(self.check(), (0, ""))

    def test_constant_in_unnamed_namespaces_of_one_module(self):
        self.plant(["constexpr std::size_t kA = 1, kBytesMax = 2;"], ["const int kBytesMax{3};"],
                   unnamed=True)
        self.assert_found("kBytesMax in an unnamed namespace of app twice")

    def test_type_of_a_header_hidden_in_an_unnamed_namespace(self):
        self.write("src/core/time.h", within("class Clock {", "};"))
        self.write("src/app/a.cpp", within("using Clock = std::chrono::steady_clock;", unnamed=True))
        self.assert_found("src/app/a.cpp: Clock in an unnamed namespace of app is also in src/core/time.h")

    def test_function_of_the_same_parameters(self):
        self.plant(["int age_of(const fs::path& path) {", "}"],
                   ["std::optional<int> age_of(", "    const fs::path& file = {}) {", "}"], unnamed=True)
        self.assert_found("age_of(const fs::path&) in an unnamed namespace of app twice")

    def test_overloads_pass(self):
        self.plant(["int age_of(const fs::path& path) {", "}"], ["int age_of(int file) {", "}"],
                   unnamed=True)
        self.assertEqual(self.check(), (0, ""))

    def test_unnamed_namespaces_of_two_modules_and_of_commands_pass(self):
        lines = ["struct Arguments {", "};", "void run(Arguments& arguments) {", "}"]
        self.plant(lines, lines, unnamed=True, names=("src/app/a.cpp", "src/wal/a.cpp"))
        self.plant(lines, lines, unnamed=True, names=("src/cli/cmd_a.cpp", "src/cli/cmd_b.cpp"))
        self.assertEqual(self.check(), (0, ""))


if __name__ == "__main__":
    unittest.main()
