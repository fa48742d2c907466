//! What the kernel knows of a running server: its memory, its processor time.

/// Linux tells processor time in hundredths of a second, on every machine.
const TICK_MICROS: u64 = 10_000;

/// Memory in use now, bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// Most memory that was in use at once since its start, bytes.
pub(crate) fn most_resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// User and system time of all its threads since its start, microseconds.
pub(crate) fn cpu_micros(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program, in brackets, may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum();
    ticks * TICK_MICROS
}

/// A value of `/proc/<pid>/status`, which has it in kB, in bytes.
fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
