#include "language.hpp"

#include <map>

namespace tally {

std::optional<Language> language_of(const std::filesystem::path& file) {
    static const std::regex slashes{R"(^\s*(//|/\*|\*))"};
    static const std::regex hash{R"(^\s*#)"};
    static const std::map<std::string, Language> by_extension{
        {".c", {"C", slashes}},        {".h", {"C", slashes}},        {".cpp", {"C++", slashes}},
        {".hpp", {"C++", slashes}},    {".rs", {"Rust", slashes}},    {".go", {"Go", slashes}},
        {".py", {"Python", hash}},     {".sh", {"Shell", hash}},      {".toml", {"TOML", hash}},
    };
    const auto found = by_extension.find(file.extension().string());
    if (found == by_extension.end()) {
        return std::nullopt;
    }
    return found->second;
}

}  // namespace tally
