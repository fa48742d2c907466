#include "report.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>
#include <vector>

namespace tally {

std::string report(const std::map<std::string, Lines>& by_language) {
    std::vector<std::pair<std::string, Lines>> rows{by_language.begin(), by_language.end()};
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& left, const auto& right) { return left.second.code > right.second.code; });
    std::ostringstream out;
    const auto row = [&out](const auto& name, const auto& files, const auto& code, const auto& comments,
                            const auto& blank) {
        out << std::left << std::setw(10) << name << std::right << std::setw(8) << files << std::setw(10) << code
            << std::setw(10) << comments << std::setw(10) << blank << '\n';
    };
    row("language", "files", "code", "comments", "blank");
    for (const auto& [name, lines] : rows) {
        row(name, lines.files, lines.code, lines.comments, lines.blank);
    }
    return out.str();
}

}  // namespace tally
