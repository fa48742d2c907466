// tally: counts lines of code by language.
#include <cstdlib>
#include <exception>
#include <iostream>

#include "count.hpp"
#include "report.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: tally DIRECTORY\n";
        return EXIT_FAILURE;
    }
    try {
        std::cout << tally::report(tally::count(argv[1]));
    } catch (const std::exception& error) {
        std::cerr << "tally: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
