//! A Markdown table with a column for each number of objects, and how numbers look in it.

use std::time::Duration;

/// What was measured with one number of objects: names of rows and their values, in order.
pub(crate) struct Column {
    objects: u64,
    rows: Vec<(String, String)>,
}

impl Column {
    pub(crate) fn new(objects: u64) -> Self {
        Self { objects, rows: Vec::new() }
    }

    /// Adds a row, and says so on stderr: a long run shows that it goes on.
    pub(crate) fn add(&mut self, name: &str, value: String) {
        eprintln!("benches/growth: {name}: {value}");
        self.rows.push((name.to_owned(), value));
    }
}

/// Prints it; every column has the same rows.
pub(crate) fn print(columns: &[Column]) {
    let line = |name: &str, values: Vec<&str>| println!("| {name} | {} |", values.join(" | "));
    let heads: Vec<String> = columns.iter().map(|column| format!("{} objects", column.objects)).collect();
    line("", heads.iter().map(String::as_str).collect());
    line("---", columns.iter().map(|_| "---").collect());
    for (at, (name, _)) in columns[0].rows.iter().enumerate() {
        line(name, columns.iter().map(|column| column.rows[at].1.as_str()).collect());
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", as_float(bytes) / f64::from(1 << 20))
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub(crate) fn as_float(number: u64) -> f64 {
    number as f64
}
