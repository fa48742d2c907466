//! Numbers and names as people read them in a terminal: bytes, times, shares, counts, and tables of 80 columns.
//!
//! Knows nothing of what they are about.

use indicatif::{BinaryBytes, HumanCount};

/// Columns that lines are made for.
pub(super) const COLUMNS: usize = 80;

pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

pub(super) fn bytes(number: u64) -> String {
    BinaryBytes(number).to_string()
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A length of time in its two largest units; below a minute in seconds.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        let places = usize::from(seconds > 0.0 && seconds < 10.0);
        return format!("{seconds:.places$} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest there is"
    )]
    let minutes = (seconds / 60.0) as u64;
    let (hours, days) = (minutes / 60, minutes / (24 * 60));
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", count(days), hours % 24),
    }
}

/// A name that may come from anywhere, fit for a terminal and at most so many characters long: of a longer one its end, where
/// keys differ.
pub(super) fn name(text: &str, most: usize) -> String {
    let plain = || text.chars().map(|c| if c.is_control() { '?' } else { c });
    let length = plain().count();
    if length <= most {
        return plain().collect();
    }
    std::iter::once('…').chain(plain().skip(length + 1 - most.max(1))).collect()
}

/// Rows below a head, the first column to the left and as wide as there is room for, the others to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([head[at].chars().count()]).max().unwrap_or(0)
    };
    let others: usize = (1..head.len()).map(|at| width(at) + 2).sum();
    let first = width(0).min(COLUMNS.saturating_sub(others)).max(12);
    let line = |cells: Vec<&str>| {
        let mut line = format!("{:<first$}", name(cells[0], first));
        for (at, cell) in cells.iter().enumerate().skip(1) {
            line += &format!("  {cell:>width$}", width = width(at));
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(head.to_vec());
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.26, "0.3 s"),
            (59.4, "59 s"),
            (60.0, "1 min"),
            (3700.0, "1 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(
            (count(1_234_567).as_str(), percent(Some(0.8734)), percent(None)),
            ("1,234,567", "87.3 %".to_owned(), "–".to_owned())
        );
        assert_eq!(bytes(10 << 30), "10.00 GiB");
    }

    #[test]
    fn names_are_cut_at_their_beginning_and_do_nothing_to_a_terminal() {
        assert_eq!(name("abc", 3), "abc");
        assert_eq!(name("abcd", 3), "…cd");
        assert_eq!(name("a\u{1b}[2J\u{9b}x", 9), "a?[2J?x");
    }

    #[test]
    fn a_table_fits_into_the_columns() {
        let row = |first: &str| vec![first.to_owned(), "1,000,000".to_owned()];
        let text = table(&["Name", "Hits"], &[row("a"), row(&"b".repeat(100))]);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.lines().next().is_some_and(|line| line.starts_with("Name ") && line.ends_with(" Hits")));
    }
}
